"""Folders that Tune and Train write their state into, which nobody restores: they go with the run, or the next one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mixup_study.errors import InputError
from mixup_study.files import find_full_disk

PREFIX = "mixup_study-run-"
_LOCK = ".lock"
"""Held by the process that opened the folder as long as it lives, whatever ends it."""


@contextmanager
def open_scratch() -> Iterator[str]:
    """Yield a new folder and remove it at the end, with those of processes that were killed before.

    Raises InputError for what Tune, which raises an error of its own then, cannot write there for want of room.
    """
    remove_abandoned()
    try:
        with _open_new() as folder:
            yield folder
    except Exception as error:
        full_disk = None if isinstance(error, InputError) else find_full_disk(error)
        if full_disk is None:
            raise
        raise InputError(
            f"the disk of the temporary files is full ({full_disk}); free space, then run the same command again, which"
            " goes on from here"
        ) from None


@contextmanager
def _open_new() -> Iterator[str]:
    while True:
        with (
            tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder,
            FileLock(Path(folder, _LOCK)),
        ):
            if Path(folder, _LOCK).exists():  # otherwise another process took it for abandoned before it was locked
                yield folder
                return


def remove_abandoned() -> None:
    """Remove the folders on this machine of processes that were killed."""
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError:  # no such folder can be written to, which is no reason to remove anything
        return
    for lock in temporary.glob(f"{PREFIX}*/{_LOCK}"):
        try:
            with FileLock(lock, blocking=False):
                shutil.rmtree(lock.parent, ignore_errors=True)
        except (Timeout, OSError):  # its run lives, or is another user's
            continue
