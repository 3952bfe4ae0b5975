"""Checkpoints of unfinished trials, kept beside the records."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from mixup_study.store.envelope import DIGEST_SIZE, Envelope, FileUnusable
from mixup_study.store.place import Place
from mixup_study.store.trial_file import TrialFile

ENVELOPE = Envelope("checkpoint", 3)
FOLDER = "checkpoints"
HEADER_SIZE = 2**10
"""Bytes that the line of a CheckpointEntry has at most."""
_SUFFIX = ".checkpoint"


class CheckpointFile(TrialFile):
    """The checkpoint of one trial: ``checkpoints/<trial_id>.checkpoint`` in a results folder or bucket.

    What it holds is made and read by ``seal_checkpoint`` and ``open_checkpoint``.
    """

    def __init__(self, location: str, trial_id: str) -> None:
        """Name the place; nothing is created before the first write. ``location`` is that of a ResultStore."""
        super().__init__(location, f"{FOLDER}/{trial_id}{_SUFFIX}")


@dataclass(frozen=True)
class CheckpointEntry:
    """How far the trial is that a checkpoint holds: a line before its state, to be read without PyTorch."""

    trial_id: str
    epochs: int
    """Those that have ended."""
    is_within_epoch: bool
    """Whether a part of the next one is saved too."""

    @property
    def epoch(self) -> int:
        """Return the epoch, counted from 1, at whose end, or in which, the trial was saved."""
        return self.epochs + self.is_within_epoch

    def describe(self, epochs: int | None = None) -> str:
        """Return how far a trial, of so many epochs where that is known, is: ``epoch 15 of 20 saved``."""
        part = "part of " if self.is_within_epoch else ""
        whole = "" if epochs is None else f" of {epochs}"
        return f"{part}epoch {self.epoch}{whole} saved"

    @property
    def _line(self) -> bytes:
        return f"{json.dumps([self.epochs, self.is_within_epoch, self.trial_id])}\n".encode()


def seal_checkpoint(entry: CheckpointEntry, content: bytes) -> bytes:
    """Return the file of a checkpoint whose state is ``content``."""
    return ENVELOPE.seal(entry._line, content)


def open_checkpoint(file: bytes) -> memoryview:
    """Return the content that ``seal_checkpoint`` took.

    Raises FileUnusable for a file that is damaged, or is no checkpoint.
    """
    sealed = ENVELOPE.open(file)
    line, _ = _split_line(bytes(sealed[:HEADER_SIZE]))
    return sealed[len(line) + 1 :]


def _split_line(start: bytes) -> tuple[bytes, CheckpointEntry]:
    """Return the line that the content begins with, and what it says. Raises FileUnusable where there is none."""
    line, end, _ = start.partition(b"\n")
    try:
        epochs, is_within_epoch, trial_id = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        end = b""
    if not end or type(epochs) is not int or type(is_within_epoch) is not bool or not isinstance(trial_id, str):
        raise FileUnusable("it does not say how far its trial is")
    return line, CheckpointEntry(trial_id, epochs, is_within_epoch)


def list_checkpoints(location: str) -> list[str]:
    """Return the names of the checkpoints in a results folder or bucket. Raises StorageError."""
    place = Place.of(location)
    with place.reading():
        files = place.list_files(f"{place.root}/{FOLDER}")
    return [file.base_name.removesuffix(_SUFFIX) for file in files if file.base_name.endswith(_SUFFIX)]


def remove_checkpoints(location: str, trial_ids: Collection[str]) -> None:
    """Remove the checkpoints of trials that nobody will go on from, where there are any. Raises StorageError."""
    several = len(trial_ids) > 1
    for trial_id in set(trial_ids).intersection(list_checkpoints(location)) if several else trial_ids:
        CheckpointFile(location, trial_id).remove()


def read_entries(location: str, trial_ids: Collection[str]) -> dict[str, CheckpointEntry]:
    """Return by trial_id the checkpoint that each of some unfinished trials may go on from, as far as it has one.

    Only their beginnings are read. Those that say nothing of how far they are, as those of earlier versions, are left
    out. Raises StorageError.
    """
    if not trial_ids:
        return {}
    place, wanted = Place.of(location), frozenset(trial_ids)
    entries: dict[str, CheckpointEntry] = {}
    for name in wanted.intersection(list_checkpoints(location)):
        start = place.read_start(f"{place.root}/{FOLDER}/{name}{_SUFFIX}", HEADER_SIZE) or b""
        if not start.startswith(ENVELOPE.first_line):
            continue
        try:
            _, entry = _split_line(start[len(ENVELOPE.first_line) + DIGEST_SIZE :])
        except FileUnusable:
            continue
        if entry.trial_id == name:
            entries[name] = entry
    return entries
