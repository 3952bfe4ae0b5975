"""Checkpoints of unfinished trials, kept beside the records."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from pyarrow import fs

from mixup_study.results.store import ResultStore


class CheckpointFile:
    """The checkpoint of one trial: ``checkpoints/<trial_id>.checkpoint`` in a results folder or bucket."""

    def __init__(self, location: str, trial_id: str) -> None:
        """Name the place; nothing is created before the first write. ``location`` is that of a ResultStore."""
        store = ResultStore(location)
        self._fs = store._fs
        self._folder = f"{store._root}/checkpoints"
        self._path = f"{self._folder}/{trial_id}.checkpoint"

    def read(self) -> bytes | None:
        """Return what was written last, None where nothing was."""
        if self._fs.get_file_info(self._path).type != fs.FileType.File:
            return None
        with self._fs.open_input_stream(self._path) as stream:
            content: bytes = stream.read()
        return content

    def write(self, content: bytes) -> None:
        """Replace the checkpoint, whole or not at all; raise OSError where that is not possible."""
        self._fs.create_dir(self._folder, recursive=True)
        if not isinstance(self._fs, fs.LocalFileSystem):
            with self._fs.open_output_stream(self._path) as stream:
                stream.write(content)
            return
        part = Path(self._folder, f".{uuid.uuid4().hex}")
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def remove(self) -> None:
        """Remove the checkpoint; where that fails, or there is none, nothing is lost."""
        try:
            self._fs.delete_file(self._path)
        except OSError:
            return
