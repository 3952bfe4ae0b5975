"""Everything that a study's results say, each thing worked out once."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixup_study.analysis.claims import JudgedClaim, judge
from mixup_study.analysis.compare import is_split, p_values
from mixup_study.analysis.curves import CurveGroup, learning_curves
from mixup_study.analysis.efficiency import SlotUse, slot_use
from mixup_study.analysis.searches import add_search_cells, follow_searches
from mixup_study.analysis.table import Records, TableRow, best_numbers, group_by_condition, records_by_id, table_rows
from mixup_study.store.ledger import ResultLedger
from mixup_study.store.store import ResultStore
from mixup_study.study.labels import cell_labels
from mixup_study.study.search_progress import SearchProgress
from mixup_study.study.study import Study


@dataclass(frozen=True)
class Progress:
    """How many of the study's trials have ended, and how."""

    total: int
    done: int
    failed: int
    stopped: int = 0
    """Those that a search has stopped after some of their epochs."""

    @property
    def left(self) -> int:
        """Return how many have not ended."""
        return self.total - self.done - self.failed - self.stopped


@dataclass(frozen=True, eq=False)
class Findings:
    """A study and its results, with everything that follows from them.

    What follows is worked out, and what trials kept is read, when it is first asked for. Raises StorageError where it
    cannot be read.
    """

    study: Study
    store: ResultStore
    """Where the trials' epochs and points are."""
    reason: str
    """Why this profile of the study was taken."""
    records: Records
    """Rows of TRIALS by trial_id, of other studies' trials too."""
    searches: Sequence[SearchProgress] = ()
    """How far each of the study's searches is."""

    @classmethod
    def read(cls, study: Study, store: ResultStore, reason: str) -> Findings:
        """Return the findings of the records that ``store`` holds, of what the study's searches found too."""
        records = records_by_id(store.trials())
        ledger = ResultLedger(store)
        proposals = ledger.read_proposals() if study.searches else {}
        searches = follow_searches(study, proposals, records, ledger.read_pauses)
        return cls(add_search_cells(study, searches), store, reason, records, searches)

    @cached_property
    def progress(self) -> Progress:
        """Return how far the study is."""
        states = [record["status"] for trial_id in self.study.trials if (record := self.records.get(trial_id))]
        total = len(self.study.trials) + sum(progress.to_come for progress in self.searches)
        return Progress(total, states.count("done"), states.count("failed"), states.count("stopped"))

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Return what each trial is within the study, in a few words, by trial_id."""
        return cell_labels(self.study)

    @cached_property
    def arms(self) -> Sequence[str]:
        """Return the names of the arms in their order, which decides how each looks in figures."""
        return list(dict.fromkeys(cell.arm for cell in self.study.cells))

    @cached_property
    def rows(self) -> Sequence[TableRow]:
        """Return the rows of the study's table."""
        return table_rows(self.study, self.records)

    @cached_property
    def has_published(self) -> bool:
        """Return whether the paper has numbers for any row of the table as it was run."""
        return any(row.published is not None for row in self.rows)

    @cached_property
    def conditions(self) -> Mapping[str, Sequence[TableRow]]:
        """Return the rows that differ in their arm alone, by what they have in common."""
        return group_by_condition(self.study, self.rows)

    @cached_property
    def best_numbers(self) -> Collection[tuple[TableRow, int]]:
        """Return which numbers the table marks, by their row and the number of their column."""
        return best_numbers(self.study, self.rows)

    @cached_property
    def p_values(self) -> Mapping[TableRow, Sequence[float | None]]:
        """Return the p-values of each column of the rows that are compared with the baseline's."""
        return p_values(self.study, self.records, self.rows)

    @cached_property
    def splits_differ(self) -> bool:
        """Return whether seeds split a table into training and test rows, so that training sets overlap."""
        return is_split(self.study, list(self.study.trials))

    @cached_property
    def claims(self) -> Sequence[JudgedClaim]:
        """Return the study's claims, judged."""
        return judge(self.study, self.records)

    @cached_property
    def slot_use(self) -> SlotUse | None:
        """Return how well the slots were used; None where no trial has a start and a time."""
        return slot_use(self.study, self.records)

    @cached_property
    def epochs(self) -> Mapping[str, pa.Table]:
        """Return rows of EPOCHS of each trial that a row of the table shows, in order, by trial_id."""
        return self.read_epochs([trial_id for row in self.rows for trial_id in row.trials])

    def read_epochs(self, trial_ids: Collection[str]) -> Mapping[str, pa.Table]:
        """Return the same of other trials."""
        return _rows_by_trial(self.store.epochs(), trial_ids, "epoch")

    @cached_property
    def curves(self) -> Sequence[CurveGroup]:
        """Return the learning curves of the rows."""
        return learning_curves(self.conditions, self.epochs)

    @cached_property
    def points(self) -> Mapping[str, pa.Table]:
        """Return rows of POINTS of the first trial that each row of the table shows, in order, by trial_id."""
        trials = [row.trials[0] for row in self.rows if row.trials]
        return _rows_by_trial(self.store.points(), trials, "point")

    @cached_property
    def points_of_all(self) -> Mapping[str, pa.Table]:
        """Return the same of every trial that a row of the table shows."""
        trials = [trial_id for row in self.rows for trial_id in row.trials]
        return _rows_by_trial(self.store.points(), trials, "point")


def _rows_by_trial(table: pa.Table, trial_ids: Collection[str], order: str) -> dict[str, pa.Table]:
    """Return the rows of each of some trials, sorted by the column ``order``; trials without any are left out."""
    rows = table.filter(pc.is_in(table["trial_id"], value_set=pa.array(list(trial_ids), pa.string())))
    rows = rows.sort_by([("trial_id", "ascending"), (order, "ascending")])
    ids = rows["trial_id"].to_numpy(zero_copy_only=False)
    starts = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)] if len(ids) else []
    return {ids[start]: rows.slice(start, end - start) for start, end in itertools.pairwise(starts)}
