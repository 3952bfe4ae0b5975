"""Checkpoints of unfinished trials, kept beside the records."""

from __future__ import annotations

from mixup_study.store.place import Place
from mixup_study.store.trial_file import TrialFile

FOLDER = "checkpoints"
_SUFFIX = ".checkpoint"


class CheckpointFile(TrialFile):
    """The checkpoint of one trial: ``checkpoints/<trial_id>.checkpoint`` in a results folder or bucket."""

    def __init__(self, location: str, trial_id: str) -> None:
        """Name the place; nothing is created before the first write. ``location`` is that of a ResultStore."""
        super().__init__(location, f"{FOLDER}/{trial_id}{_SUFFIX}")


def list_checkpoints(location: str) -> list[str]:
    """Return the names of the checkpoints in a results folder or bucket. Raises StorageError."""
    place = Place.of(location)
    with place.reading():
        files = place.list_files(f"{place.root}/{FOLDER}")
    return [file.base_name.removesuffix(_SUFFIX) for file in files if file.base_name.endswith(_SUFFIX)]
