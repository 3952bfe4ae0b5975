"""A file of one trial, beside the records."""

from __future__ import annotations

from mixup_study.store.place import Place


class TrialFile:
    """A file in a results folder or bucket, replaced as a whole."""

    def __init__(self, location: str, name: str) -> None:
        """Name the place; nothing is created before the first write.

        ``location`` is that of a ResultStore, ``name`` the file's path within it.
        """
        self._place = Place.of(location)
        self._path = f"{self._place.root}/{name}"

    @property
    def shown(self) -> str:
        """Return the file's path as messages name it."""
        return self._place.shown_path(self._path)

    def exists(self) -> bool:
        """Return whether the file was written. Raises StorageError."""
        return self._place.exists(self._path)

    def read(self) -> bytes | None:
        """Return what was written last, None where nothing was. Raises StorageError."""
        return self._place.read(self._path)

    def write(self, content: bytes) -> None:
        """Replace the file, whole or not at all. Raises StorageError."""
        self._place.write(self._path, content)

    def remove(self) -> None:
        """Remove the file, and what killed writers left of it; where that fails, or there is none, nothing is lost."""
        self._place.remove(self._path)
