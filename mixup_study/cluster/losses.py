"""What ended a process that trained: in a line, with what to set; and Tune's way with a node out of memory."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ray._common.utils import get_system_memory
from ray._private.utils import get_used_memory
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import OutOfMemoryError, RayActorError

from mixup_study.cluster.records import LESS_MEMORY, describe_error
from mixup_study.errors import shown
from mixup_study.store.logs import LogFile
from mixup_study.store.place import StorageError

_USED = re.compile(r"Memory on the node \(IP: ([^,]+),.*?was ([\d.]+)GB used / ([\d.]+)GB limit")
_FATAL = re.compile(r"^Fatal Python error: (.+)$", re.MULTILINE)
"""What Python's faulthandler, which Ray switches on, leaves in the log of a process that a fault of its own ends."""
LOG_END = 2**16
"""Bytes of a log that may say what ended its process."""
FULL = 0.5
"""A job that took the memory of its node goes on once less than this part of it is used."""
FULL_SECONDS = 600.0
"""Or after so long: what else runs there may never end."""


class MemoryLoss(RayActorError):
    """Ray ended a process, for its node ran out of memory: OutOfMemoryError as the loss of an actor that it is."""


@contextmanager
def recovering_from_memory_losses() -> Iterator[None]:
    """Have Tune start again what OutOfMemoryError ended; Ray 2.60 takes it for a bug of its own, which ends the run."""
    handle = RayActorManager._actor_task_failed

    def handle_loss(manager: RayActorManager, tracked_actor_task: TrackedActorTask, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = MemoryLoss(error_msg=str(exception))
        handle(manager, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = handle_loss  # type: ignore[method-assign, assignment]  # a function in the place of a method of Ray's
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = handle  # type: ignore[method-assign]  # likewise


def is_memory_loss(error: Exception) -> bool:
    """Return whether Ray ended a process, of a trial or of a worker of one, for want of memory."""
    return isinstance(error, MemoryLoss | OutOfMemoryError)


def describe_loss(error: Exception, log: LogFile) -> str:
    """Return in one line what ended a job: the loss of its process, which ``log`` is of, or what training raised."""
    if is_memory_loss(error):
        return _describe_memory_loss(str(error))
    if not isinstance(error, RayActorError):
        return describe_error(error)
    if "node has died" in str(error):
        return "its process died with its node"
    return _describe_death(log)


def _describe_memory_loss(text: str) -> str:
    used = _USED.search(text)
    amount = f", {used[2]} of {used[3]} GB on {used[1]}" if used else ""
    return f"its process was killed: the node ran out of memory{amount}; {LESS_MEMORY}"


def _describe_death(log: LogFile) -> str:
    """Return what the log of a process that died says of that, with its last line before."""
    try:
        text = log.read_end(LOG_END).decode(errors="replace")
    except StorageError:
        return "its process died"
    printed = re.split(r"^== .*\n", text, flags=re.MULTILINE)[-1]  # not by the processes before it
    fatal = _FATAL.search(printed)
    lines = printed[: fatal.start() if fatal else None].split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    reason = f": {fatal[1]}" if fatal else " without a word, perhaps killed by the system for want of memory"
    return f"its process died{reason}{f'; its last line: {shown(last)}' if last else ''}"


def wait_for_memory(stop_requested: Callable[[], bool]) -> None:
    """Return once this node has memory again, on request, or after FULL_SECONDS."""
    end = time.monotonic() + FULL_SECONDS
    while get_used_memory() > FULL * get_system_memory() and time.monotonic() < end and not stop_requested():
        time.sleep(1)
