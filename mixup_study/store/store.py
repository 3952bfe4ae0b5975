"""Records in a folder or a bucket: written whole, read as tables."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixup_study.store.folder import FAILED, STOPPED, RecordFolder
from mixup_study.store.place import Place, StorageError
from mixup_study.store.record import POINTS, PROPOSALS, Status, TrialRecord, epochs_schema, trials_schema
from mixup_study.store.trial_ids import find_trial_id

_SUFFIXES: Mapping[Status, str] = {"done": ".parquet", "failed": FAILED, "stopped": STOPPED}
_REPLACED: Mapping[Status, Sequence[Status]] = {"done": ("failed", "stopped"), "failed": (), "stopped": ("failed",)}
"""Of each status, the records that are of no more use."""


def _warn(line: str) -> None:
    print(line, file=sys.stderr)


class ResultStore:
    """The results at a path, or at a URL that pyarrow.fs knows (``s3://…``, ``gs://…``).

    ``trials/``, ``epochs/`` and, of trials that keep any, ``points/`` hold Parquet: a file per trial, named by its
    trial_id, and in ``merged/`` below them the files that ``compact`` made of those. The file in ``trials/`` is
    written last, so where it stands the trial is recorded whole. ``proposals/`` holds a file for each proposal of a
    search. Other folders beside them are left alone.
    """

    def __init__(self, location: str, warn: Callable[[str], None] = _warn) -> None:
        """Open ``location``; nothing is created before the first record is written.

        ``warn`` is given one line for each file that cannot be read. Raises InputError for a location that
        names no file system.
        """
        self._place = Place.of(location)
        self._fs, self._root = self._place.fs, self._place.root
        self.location = self._place.location
        """What opens the store again; a URL may hold a password, so messages take ``shown``."""
        self.shown = self._place.shown
        self._warn = warn
        self._trials_folder = RecordFolder(self._place, "trials", trials_schema(), _each_trial, warn)
        self._epochs_folder = RecordFolder(self._place, "epochs", epochs_schema(), _each_of("epoch"), warn)
        self._points_folder = RecordFolder(self._place, "points", POINTS, _each_of("point"), warn)
        self._proposals_folder = RecordFolder(
            self._place, "proposals", PROPOSALS, _each_proposal, warn, key="proposal_id"
        )

    def check_writable(self) -> None:
        """Raise InputError where a record could not be written."""
        probe = f"{self._root}/trials/.writable-{uuid.uuid4().hex}"
        with self._place.writing():
            self._fs.create_dir(f"{self._root}/trials", recursive=True)
            self._fs.create_dir(f"{self._root}/epochs", recursive=True)
            with self._fs.open_output_stream(probe) as stream:
                stream.write(b"")
            self._fs.delete_file(probe)

    def write(self, record: TrialRecord) -> None:
        """Record a trial, replacing an earlier record of it; a reader sees all of it or nothing.

        Nothing replaces what a finished trial measured but another record of it as finished. Raises StorageError,
        which is an InputError and an OSError, where that is not possible; nothing half-written is left then.
        """
        trial_id, status = record.trial.trial_id, record.status
        if status != "done" and self.done_among([trial_id]):
            return
        if status != "failed":
            self._epochs_folder.write(record.epochs_table(), trial_id)
        if len(record.points) > 0:
            self._points_folder.write(record.points_table(), trial_id)
        self._trials_folder.write(record.trials_table(), trial_id, _SUFFIXES[status])
        for earlier in _REPLACED[status]:
            self._trials_folder.remove(trial_id, _SUFFIXES[earlier])

    def find_trial_id(self, text: str) -> str:
        """Return the one recorded trial_id that begins with ``text``. Raises InputError for none, or several."""
        return find_trial_id(text, self.trials()["trial_id"].to_pylist(), self.shown)

    def find_record(self, text: str) -> dict[str, Any]:
        """Return the row of TRIALS of the recorded trial whose trial_id begins with ``text``. Raises InputError."""
        trial_id = self.find_trial_id(text)
        record: dict[str, Any] = self.trials().filter(pc.equal(self.trials()["trial_id"], trial_id)).to_pylist()[0]
        return record

    def read_epochs(self, trial_id: str) -> list[dict[str, Any]]:
        """Return the rows of EPOCHS of one trial, in order, reading little else. Raises StorageError."""
        rows = self.find_epochs([trial_id], epochs_schema().names)
        epochs = {row["epoch"]: row for row in rows.to_pylist()}
        return [epochs[epoch] for epoch in sorted(epochs)]

    def forget(self, trial_ids: Collection[str]) -> None:
        """Remove the records of some trials, finished or not, and no other's, as if they had never run.

        Not to be called while a run writes to the results. Interrupted, it leaves trials forgotten or not, none half.
        Raises StorageError.
        """
        self._trials_folder.forget(trial_ids)  # it says what is recorded, so it comes first
        self._epochs_folder.forget(trial_ids)
        self._points_folder.forget(trial_ids)
        self.refresh()

    def done(self) -> set[str]:
        """Return the trial_ids of the finished trials."""
        table = self.trials()
        return set(table["trial_id"].filter(pc.equal(table["status"], "done")).to_pylist())

    def done_among(self, trial_ids: Collection[str]) -> set[str]:
        """Return which of a few trials are recorded as finished by now, reading little else."""
        return self._trials_folder.done_among(trial_ids)

    def write_proposal(self, proposal: pa.Table) -> None:
        """Record a proposal, one row of PROPOSALS, whole or not at all. Raises StorageError."""
        self._proposals_folder.write(proposal, proposal["proposal_id"][0].as_py())

    def find_trials(self, trial_ids: Collection[str], columns: Sequence[str]) -> pa.Table:
        """Return columns, and the status, of what is recorded by now of a few trials, reading little else.

        A trial may have a row for each failure beside that of its end.
        """
        return self._trials_folder.find(trial_ids, columns)

    def find_epochs(self, trial_ids: Collection[str], columns: Sequence[str]) -> pa.Table:
        """Return columns of the epochs that are recorded by now of a few trials, reading little else."""
        return self._epochs_folder.find(trial_ids, columns)

    def proposals(self) -> pa.Table:
        """Return one row per proposal of a search, with the columns of PROPOSALS. Raises StorageError."""
        return self._proposals_folder.read()

    def trials(self) -> pa.Table:
        """Return one row per recorded trial, by trial_id, under ``trials_schema``. Raises StorageError."""
        return self._trials

    @cached_property
    def _trials(self) -> pa.Table:
        return self._trials_folder.read()

    def epochs(self) -> pa.Table:
        """Return one row per epoch of each recorded trial, under ``epochs_schema``. Raises StorageError."""
        return self._of_trials(self._epochs_folder.read())

    def points(self) -> pa.Table:
        """Return the points in the plane that recorded trials kept, with the columns of POINTS. Raises StorageError."""
        return self._of_trials(self._points_folder.read())

    def _of_trials(self, table: pa.Table) -> pa.Table:
        return table.filter(pc.is_in(table["trial_id"], value_set=self.trials()["trial_id"].combine_chunks()))

    def refresh(self) -> None:
        """Forget what was read, so that the next question sees what has been written since."""
        self.__dict__.pop("_trials", None)

    def compact(self) -> None:
        """Merge small files into larger ones where there are many; cheap where there are few.

        It may be interrupted at any moment and run beside writers, readers and other compactions; see
        ``RecordFolder.compact``. Nothing depends on it, so where it is not possible, a warning says why.
        """
        try:
            self._epochs_folder.compact()
            self._points_folder.compact()
            self._proposals_folder.compact()
            self._trials_folder.compact()
        except StorageError as error:
            self._warn(f"not compacted: {error}")


def _each_trial(table: pa.Table) -> pa.Table:
    """Return one row per trial, by trial_id: a finished one before a failed one, the newest first."""
    keys = [("trial_id", "ascending"), ("status", "ascending"), ("started_at", "descending")]
    order = pc.sort_indices(table.select([name for name, _ in keys]), sort_keys=keys)
    ids = table["trial_id"].take(order).combine_chunks()
    first = pc.not_equal(ids[1:], ids[:-1])
    return table.take(order.filter(pa.concat_arrays([pa.array([True] * min(len(ids), 1), pa.bool_()), first])))


def _each_proposal(table: pa.Table) -> pa.Table:
    """Return one row per proposal, by search and number: the first that was made."""
    order = [("search_id", "ascending"), ("number", "ascending"), ("proposed_at", "ascending")]
    proposals = table.sort_by(order)
    first = dict(zip(reversed(proposals["proposal_id"].to_pylist()), reversed(range(len(table))), strict=True))
    return proposals.take(sorted(first.values()))


def _each_of(name: str) -> Callable[[pa.Table], pa.Table]:
    """Return what keeps the first row of each value of ``name`` of each trial, in their order."""

    def once(table: pa.Table) -> pa.Table:
        numbered = table.append_column("row", pa.array(np.arange(len(table))))
        first = numbered.group_by(["trial_id", name]).aggregate([("row", "min")])["row_min"]
        return table if len(first) == len(table) else table.take(first.combine_chunks().sort())

    return once
