"""Files that hold what was found out once, for every process of a machine."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

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
