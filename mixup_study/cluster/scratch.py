"""A folder that Tune writes its state into, which nobody restores: it goes with the run, or with the next one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "mixup_study-run-"
_LOCK = ".lock"
"""Held by a run as long as it lives, whatever ends it."""


@contextmanager
def open_scratch() -> Iterator[str]:
    """Yield a new folder and remove it at the end, with those of runs that were killed before."""
    _remove_abandoned()
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder,
        FileLock(Path(folder, _LOCK)),
    ):
        yield folder


def _remove_abandoned() -> None:
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{_LOCK}"):
        try:
            with FileLock(lock, blocking=False):
                shutil.rmtree(lock.parent, ignore_errors=True)
        except (Timeout, OSError):  # its run lives, or is another user's
            continue
