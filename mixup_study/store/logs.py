"""What trials print, kept beside their records."""

from __future__ import annotations

import os
from pathlib import Path

from mixup_study.store.place import Place

FOLDER = "logs"
_SUFFIX = ".log"


class LogFile:
    """The log of one trial or pack: ``logs/<name>.log`` in a results folder or bucket."""

    def __init__(self, location: str, name: str) -> None:
        """Name the place; nothing is created before something is written. ``location`` is that of a ResultStore."""
        self._place = Place.of(location)
        self._path = f"{self._place.root}/{FOLDER}/{name}{_SUFFIX}"
        self.shown = self._place.shown_path(self._path)
        """The log as messages name it, without secrets."""

    @property
    def local(self) -> Path | None:
        """Return the path of a log that can be appended to in place; None in a bucket."""
        return Path(self._path) if self._place.local else None

    def exists(self) -> bool:
        """Return whether anything was written. Raises StorageError."""
        return self._place.exists(self._path)

    def open(self) -> int:
        """Return a file descriptor that appends to a local log, within the results. Raises StorageError."""
        self._place.check_inside(self._path)
        with self._place.writing():
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)

    def read(self) -> bytes:
        """Return what the log holds so far; of one in a bucket, by the last save. Raises StorageError."""
        return self._place.read(self._path) or b""

    def read_end(self, size: int) -> bytes:
        """Return the last ``size`` bytes of a log, or all; nothing of one that is not there. Raises StorageError."""
        if self.local is None:
            return self.read()[-size:]
        with self._place.reading():
            try:
                with open(self._path, "rb") as file:
                    file.seek(max(file.seek(0, os.SEEK_END) - size, 0))
                    return file.read()
            except FileNotFoundError:
                return b""

    def write(self, content: bytes) -> None:
        """Replace the log in a bucket. Raises StorageError."""
        self._place.write(self._path, content)

    def remove(self) -> None:
        """Remove the log; where that fails, or there is none, nothing is lost."""
        self._place.remove(self._path)


def list_logs(location: str) -> list[str]:
    """Return the names of the logs in a results folder or bucket. Raises StorageError."""
    place = Place.of(location)
    with place.reading():
        files = place.list_files(f"{place.root}/{FOLDER}")
    return [file.base_name.removesuffix(_SUFFIX) for file in files if file.base_name.endswith(_SUFFIX)]
