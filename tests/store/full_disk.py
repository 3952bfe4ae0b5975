"""A disk that is full at one call of many, in the process of the test."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO, Any

import pytest
from pyarrow import fs


class FullDisk:
    """Makes one of the calls of this process fail that write, sync, rename or create a folder, and notes them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        """What each call did, and in a folder of which name: ``replace trials``."""
        self.failing: int | None = None
        """The number of the call that fails, counted from 0."""
        disk = self
        path_open, path_replace, fsync, os_open = Path.open, Path.replace, os.fsync, os.open

        def open_path(path: Path, mode: str = "r", *options: Any, **more: Any) -> IO[Any]:
            if "w" in mode:
                self.note("open", path)
            return path_open(path, mode, *options, **more)

        def replace(path: Path, target: Path | str) -> Path:
            self.note("replace", target)
            return path_replace(path, target)

        def sync(descriptor: int) -> None:
            self.note("sync", os.readlink(f"/proc/self/fd/{descriptor}"))
            fsync(descriptor)

        def open_descriptor(path: Any, flags: int, *options: Any, **more: Any) -> int:
            if flags & os.O_CREAT:
                self.note("append", path)
            return os_open(path, flags, *options, **more)

        class FileSystem(fs.LocalFileSystem):  # type: ignore[misc]  # pyarrow has no types
            def create_dir(self, path: str, *, recursive: bool = True) -> None:
                if not Path(path).is_dir():
                    disk.note("create", f"{path}/")
                super().create_dir(path, recursive=recursive)

            def open_output_stream(self, path: str, *options: Any, **more: Any) -> Any:
                disk.note("stream", path)
                return super().open_output_stream(path, *options, **more)

        monkeypatch.setattr(Path, "open", open_path)
        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(os, "fsync", sync)
        monkeypatch.setattr(os, "open", open_descriptor)
        monkeypatch.setattr(fs, "LocalFileSystem", FileSystem)

    def note(self, deed: str, path: object) -> None:
        """Note a call, and fail where it is the one."""
        self.calls.append(f"{deed} {os.path.basename(os.path.dirname(str(path)))}")
        if len(self.calls) - 1 == self.failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill_at(self, number: int | None) -> None:
        """Begin to count again, and have the call of this number fail."""
        self.calls.clear()
        self.failing = number
