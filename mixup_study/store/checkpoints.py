"""Checkpoints of unfinished trials, kept beside the records."""

from __future__ import annotations

import contextlib

from mixup_study.store.place import Place


class CheckpointFile:
    """The checkpoint of one trial: ``checkpoints/<trial_id>.checkpoint`` in a results folder or bucket."""

    def __init__(self, location: str, trial_id: str) -> None:
        """Name the place; nothing is created before the first write. ``location`` is that of a ResultStore."""
        self._place = Place.of(location)
        self._path = f"{self._place.root}/checkpoints/{trial_id}.checkpoint"

    def read(self) -> bytes | None:
        """Return what was written last, None where nothing was. Raises StorageError."""
        return self._place.read(self._path)

    def write(self, content: bytes) -> None:
        """Replace the checkpoint, whole or not at all. Raises StorageError."""
        self._place.write(self._path, content)

    def remove(self) -> None:
        """Remove the checkpoint; where that fails, or there is none, nothing is lost."""
        with contextlib.suppress(OSError):
            self._place.fs.delete_file(self._path)
