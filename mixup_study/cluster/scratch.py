"""A folder that Tune writes its state into, which nobody restores: it goes with the run, or with the next one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from ray._common.utils import get_ray_temp_dir

from mixup_study.errors import InputError
from mixup_study.files import is_disk_full

PREFIX = "mixup_study-run-"
ROOM = 100 * 2**20
"""Bytes that Ray's logs and sockets, and Tune's state, may take."""
_LOCK = ".lock"
"""Held by a run as long as it lives, whatever ends it."""


def check_room() -> None:
    """Raise InputError where the folders of temporary files have no room for a run: Ray would wait, then fail."""
    for folder, variable in ((tempfile.gettempdir(), "TMPDIR"), (_find_existing(get_ray_temp_dir()), "RAY_TMPDIR")):
        free = shutil.disk_usage(folder).free
        if free < ROOM:
            raise InputError(
                f"{folder} has {free / 2**20:.0f} MB free, and Ray needs {ROOM / 2**20:.0f} MB there for a run; free"
                f" space, or set {variable} to a folder with more"
            )


def _find_existing(folder: str) -> str:
    return next(str(path) for path in (Path(folder), *Path(folder).parents) if path.exists())


@contextmanager
def open_scratch() -> Iterator[str]:
    """Yield a new folder and remove it at the end, with those of runs that were killed before.

    Raises InputError for what Tune cannot write there for want of room.
    """
    _remove_abandoned()
    try:
        with _open_new() as folder:
            yield folder
    except OSError as error:
        if isinstance(error, InputError) or not is_disk_full(error):
            raise
        raise InputError(
            f"{tempfile.gettempdir()}: the disk is full ({error}); free space, then run the same command again, which"
            " goes on from here"
        ) from None


@contextmanager
def _open_new() -> Iterator[str]:
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
