"""Files that hold what was found out once, for every process of a machine; and what to do where a disk is full."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeVar

from filelock import FileLock

T = TypeVar("T")


def load_or_compute(
    path: Path, load: Callable[[], T | None], compute: Callable[[], T], write: Callable[[BinaryIO, T], object]
) -> T:
    """Return what the file at ``path`` holds, computed and written there first where it is missing.

    One process computes while others wait. ``load`` returns None where the file is missing or damaged. The file is
    written whole or not at all; where it cannot be written, the folder read-only or the disk full, every process
    computes for itself.
    """
    value = load()
    if value is not None:
        return value
    with contextlib.ExitStack() as held:
        writable = True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(path.with_name(f".{path.stem}.lock")))
        except OSError:
            writable = False
        value = load()  # another process may have written it meanwhile
        if value is not None:
            return value
        value = compute()
        written = load() if writable and _write_whole(path, lambda file: write(file, value)) else None
    return value if written is None else written


def _write_whole(path: Path, write: Callable[[BinaryIO], object]) -> bool:
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        return False
    return True


def is_disk_full(error: Exception) -> bool:
    """Return whether an error says that a disk, or a user's part of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def find_full_disk(error: BaseException) -> OSError | None:
    """Return the error that says that a disk is full: this one, or one that it was raised for; None where none does."""
    seen: list[BaseException] = []
    left: BaseException | None = error
    while left is not None and left not in seen:
        if isinstance(left, OSError) and is_disk_full(left):
            return left
        seen.append(left)
        left = left.__cause__ or left.__context__
    return None


class LossyStream:
    """A text stream that leaves out what a full disk does not take: output is no reason to end a training."""

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream``, and be it in anything else."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write as far as there is room."""
        with _leaving_out():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, as far as there is room."""
        with _leaving_out():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _leaving_out() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
