"""The processes of the program's own commands and clusters, which alone it may end."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator

import psutil

PATIENCE = 120.0
"""Seconds within which something must happen after everything."""
LEAVING_SECONDS = 45.0
"""Seconds within which the processes of a command that has ended must be gone: Ray takes half a minute at times."""
TRAINERS = ("ImplicitFunc", "RayTrainWorker")
"""What Ray calls the processes that train: Tune's actors, and Train's workers."""


def wait_patiently(seconds: float = PATIENCE) -> Iterator[None]:
    """Yield until so many seconds are over, a little apart."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.05)


def list_descendants(roots: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return what descends from some processes, as far as they live."""
    descendants: list[psutil.Process] = []
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            descendants += root.children(recursive=True)
    return [process for process in descendants if is_running(process)]


def is_running(process: psutil.Process) -> bool:
    """Return whether a process lives, and is no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def has_name(process: psutil.Process, *names: str) -> bool:
    """Return whether a process is a program of one of these names, or what Ray calls by one."""
    try:
        title = " ".join(process.cmdline())
        return process.name() in names or any(title.startswith(f"ray::{name}") for name in names)
    except psutil.Error:
        return False


def is_resource_tracker(process: psutil.Process) -> bool:
    """Return whether a process is Python's own, which lives as long as the one that has spawned others."""
    try:
        return "multiprocessing.resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def list_session(leader: int) -> list[psutil.Process]:
    """Return what lives of the session that a process began, orphans included.

    Ray overwrites the command lines and the environments of its processes, but gives them no session of their own.
    """
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader and is_running(process):
                members.append(process)
    return members


def describe_process(process: psutil.Process) -> str:
    """Return the pid and the command line of a process, in a few words."""
    try:
        return f"process {process.pid} {' '.join(process.cmdline())[:120]}"
    except psutil.Error:
        return f"process {process.pid}"
