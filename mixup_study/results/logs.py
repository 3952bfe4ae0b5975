"""What trials print, kept beside their records."""

from __future__ import annotations

import os
from pathlib import Path

from pyarrow import fs

from mixup_study.results.place import Place


class LogFile:
    """The log of one trial or pack: ``logs/<name>.log`` in a results folder or bucket."""

    def __init__(self, location: str, name: str) -> None:
        """Name the place; nothing is created before something is written. ``location`` is that of a ResultStore."""
        self._place = Place.of(location)
        self._path = f"{self._place.root}/logs/{name}.log"
        folder, mark, options = self._place.shown.partition("?" if "://" in location else "\0")
        self.shown = f"{folder.rstrip('/')}/logs/{name}.log{mark}{options}"
        """The log as messages name it, without secrets."""

    @property
    def local(self) -> Path | None:
        """Return the path of a log that can be appended to in place; None in a bucket."""
        return Path(self._path) if self._place.local else None

    def exists(self) -> bool:
        """Return whether anything was written. Raises StorageError."""
        try:
            return bool(self._place.fs.get_file_info(self._path).type == fs.FileType.File)
        except OSError as error:
            raise self._place.unreadable(error) from None

    def open(self) -> int:
        """Return a file descriptor that appends to a local log. Raises StorageError."""
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise self._place.unwritable(error) from None

    def read(self) -> bytes:
        """Return what a bucket holds of the log so far. Raises StorageError."""
        if not self.exists():
            return b""
        try:
            with self._place.fs.open_input_stream(self._path) as stream:
                content: bytes = stream.read()
        except OSError as error:
            raise self._place.unreadable(error) from None
        return content

    def write(self, content: bytes) -> None:
        """Replace the log in a bucket. Raises StorageError."""
        try:
            self._place.write(self._path, content)
        except OSError as error:
            raise self._place.unwritable(error) from None
