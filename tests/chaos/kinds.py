"""What disturbs a study. Another kind is one function and one row of KINDS."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import psutil

from tests.chaos.places import JoinedCluster, OwnRay, Place, ThisProcess
from tests.chaos.processes import has_name, list_descendants
from tests.chaos.studies import GROUP_STUDY, MIXED_STUDY, ChaosStudy


class Disturbed(Protocol):
    """A command under way, as what disturbs it sees it."""

    random: random.Random
    place: Place
    command: subprocess.Popen[bytes]
    process: psutil.Process
    """The command's."""

    def expect_end(self, processes: Collection[psutil.Process]) -> None:
        """Take note that these must end soon."""


OWN, CLUSTER, LOCAL = OwnRay.name, JoinedCluster.name, ThisProcess.name


@dataclass(frozen=True)
class Kind:
    """A way to disturb a study."""

    name: str
    disturb: Callable[[Disturbed], bool]
    """Returns whether there was something to disturb."""
    places: Collection[str]
    """Where that can be done."""
    ends_command: bool
    """Whether the command must end by itself after it, within a minute."""
    weight: int = 1
    """How often it is drawn, in relation to the others."""
    may_come_early: bool = True
    """Whether it may come while the command starts, before anything is saved."""
    studies: Collection[ChaosStudy] = (MIXED_STUDY, GROUP_STUDY)
    """Those that it can disturb."""


def kill_named(name: str, run: Disturbed) -> bool:
    """Kill one process of the command's Ray that has this name."""
    victims = [process for process in run.place.list_processes(run.process) if has_name(process, name)]
    return bool(victims) and _kill(run.random.choice(victims))


def kill_node(run: Disturbed) -> bool:
    """Kill the raylet of the node that trains; another node takes its place."""
    assert isinstance(run.place, JoinedCluster)
    raylet = run.place.raylet
    run.expect_end(list_descendants([raylet]))
    killed = _kill(raylet)
    run.place.replace_node()
    return killed


def kill_head(run: Disturbed) -> bool:
    """Kill the GCS of a cluster that the command has joined, which nothing starts again."""
    assert isinstance(run.place, JoinedCluster)
    run.expect_end(run.place.list_processes(run.process))
    return _kill(run.place.head)


def kill_command(run: Disturbed) -> bool:
    """Kill the command itself."""
    run.command.kill()
    return True


def send(number: int, run: Disturbed) -> bool:
    """Send the command a signal, as ``kill`` and Kubernetes do."""
    run.command.send_signal(number)
    return True


def send_to_group(number: int, run: Disturbed) -> bool:
    """Send a signal to the command's process group, as a terminal does."""
    os.killpg(run.command.pid, number)
    return True


def press_twice(run: Disturbed) -> bool:
    """Press Ctrl-C, and again within the time that the first allows."""
    send_to_group(signal.SIGINT, run)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.command.wait(run.random.uniform(0, 2))
    with contextlib.suppress(ProcessLookupError):
        send_to_group(signal.SIGINT, run)
    return True


def fill_disk(run: Disturbed) -> bool:
    """Let no file of the command and of those that train grow beyond a few bytes for a while, as on a full disk.

    The system refuses the writes, of records, models, checkpoints, proposals, logs and whatever else. Programs that
    are not in Python, which alone ignores the signal that comes with the refusal, are left alone.
    """
    size = run.random.choice((0, 1000, 20_000))
    end = time.monotonic() + run.random.uniform(0.5, 4)
    while time.monotonic() < end and run.command.poll() is None:
        for process in (run.process, *run.place.list_trainers(run.process)):
            _limit_files(process, size)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.command.wait(0.05)
    freed = True
    while freed:  # one may have started another meanwhile
        freed = sum(_limit_files(process, None) for process in _list_limited(run)) > 0
    return True


def _list_limited(run: Disturbed) -> list[psutil.Process]:
    """Return what may have a limit: those that train, the command, and whatever it has started."""
    return [run.process, *list_descendants([run.process]), *run.place.list_trainers(run.process)]


def _limit_files(process: psutil.Process, size: int | None) -> bool:
    """Limit the size of a process's files, or do so no more; return whether that is a change."""
    try:
        soft, hard = process.rlimit(psutil.RLIMIT_FSIZE)
        wanted = hard if size is None else size
        process.rlimit(psutil.RLIMIT_FSIZE, (wanted, hard))
    except psutil.NoSuchProcess:
        return False
    return bool(soft != wanted)


def _kill(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


KINDS = (
    Kind("Tune actor", partial(kill_named, "ImplicitFunc"), (OWN, CLUSTER), ends_command=False, weight=3),
    Kind(
        "Train worker",
        partial(kill_named, "RayTrainWorker"),
        (OWN, CLUSTER),
        ends_command=False,
        studies=(GROUP_STUDY,),
    ),
    Kind("node", kill_node, (CLUSTER,), ends_command=False),
    Kind("head of a cluster", kill_head, (CLUSTER,), ends_command=True),
    Kind("own GCS", partial(kill_named, "gcs_server"), (OWN,), ends_command=True),
    Kind("own raylet", partial(kill_named, "raylet"), (OWN,), ends_command=True),
    Kind("command", kill_command, (OWN, CLUSTER, LOCAL), ends_command=True, weight=2),
    Kind("Ctrl-C", partial(send_to_group, signal.SIGINT), (OWN, CLUSTER, LOCAL), ends_command=True),
    Kind("Ctrl-C twice", press_twice, (OWN, CLUSTER, LOCAL), ends_command=True),
    Kind("SIGTERM", partial(send, signal.SIGTERM), (OWN, CLUSTER, LOCAL), ends_command=True),
    Kind("SIGHUP", partial(send_to_group, signal.SIGHUP), (OWN, CLUSTER, LOCAL), ends_command=True),
    # A command looks for room before it starts a Ray, whose programs would inherit the limit.
    Kind("full disk", fill_disk, (OWN, CLUSTER, LOCAL), ends_command=False, weight=3, may_come_early=False),
)
