"""Checkpoints of unfinished trials, kept beside the records."""

from __future__ import annotations

from mixup_study.store.trial_file import TrialFile


class CheckpointFile(TrialFile):
    """The checkpoint of one trial: ``checkpoints/<trial_id>.checkpoint`` in a results folder or bucket."""

    def __init__(self, location: str, trial_id: str) -> None:
        """Name the place; nothing is created before the first write. ``location`` is that of a ResultStore."""
        super().__init__(location, f"checkpoints/{trial_id}.checkpoint")
