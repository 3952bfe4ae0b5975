"""The proposals of searches in the results, and what their trials measured."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import pyarrow as pa
import pyarrow.compute as pc

from mixup_study.store.checkpoints import remove_checkpoints
from mixup_study.store.record import DIVERGED, PROPOSALS
from mixup_study.store.store import ResultStore
from mixup_study.study.search import Search
from mixup_study.study.search_progress import Pauses, Results
from mixup_study.study.space import Values


class ResultLedger:
    """The Ledger of a SearchPlan that the results are."""

    def __init__(self, store: ResultStore) -> None:
        """Read and write the proposals in ``store``."""
        self._store = store

    def read_proposals(self) -> Mapping[str, Mapping[int, Values]]:
        """Return the values of the proposals by their search's search_id and their number. Raises StorageError."""
        proposals: dict[str, dict[int, Values]] = {}
        for row in self._store.proposals().to_pylist():
            proposals.setdefault(row["search_id"], {})[row["number"]] = json.loads(row["values"])
        return proposals

    def write_proposal(self, search: Search, study: str, number: int, values: Values, trial_ids: Sequence[str]) -> None:
        """Record a proposal, before a trial of it starts. Raises StorageError."""
        sampler = f"{search.options.sampler}, optuna {version('optuna')}"
        row = {
            "proposal_id": f"{search.search_id}-{number}",
            "search_id": search.search_id,
            "number": number,
            "study": study,
            "arm": search.arm,
            "values": json.dumps(dict(values)),
            "trial_ids": list(trial_ids),
            "sampler": "first" if number < len(search.first) else sampler,
            "proposed_at": datetime.now(UTC),
        }
        self._store.write_proposal(pa.Table.from_pylist([row], schema=PROPOSALS))

    def read_results(self, trial_ids: Collection[str], metrics: Sequence[str]) -> Results:
        """Return what trials measured that have ended for good; None of one that diverged. Raises StorageError."""
        rows = self._store.find_trials(trial_ids, [*metrics, "error"]).to_pylist()
        return collect_results(rows, metrics)

    def read_pauses(self, trial_ids: Collection[str], curve: str, epochs: Collection[int]) -> Pauses:
        """Return a curve of trials after some epochs, as far as they are recorded. Raises StorageError."""
        if not epochs:
            return {}
        return collect_pauses(self._store.find_epochs(trial_ids, ["epoch", curve]), curve, epochs)

    def remove_checkpoints(self, trial_ids: Collection[str]) -> None:
        """Remove the checkpoints of trials that do not go on, where there are any."""
        remove_checkpoints(self._store.location, trial_ids)


def collect_pauses(rows: pa.Table, curve: str, epochs: Collection[int]) -> Pauses:
    """Return a curve by trial_id and epoch, of rows of EPOCHS; what is no number is left out."""
    wanted = rows.filter(pc.is_in(rows["epoch"], value_set=pa.array(list(epochs), pa.int64())))
    pauses: dict[str, dict[int, float]] = {}
    for row in wanted.to_pylist():
        if row[curve] is not None and not math.isnan(row[curve]):
            pauses.setdefault(row["trial_id"], {})[row["epoch"]] = row[curve]
    return pauses


def collect_results(records: Collection[Mapping[str, object]], metrics: Sequence[str]) -> Results:
    """Return what trials measured of ``metrics`` by their records; None of one that diverged, and would again."""
    results: dict[str, tuple[float, ...] | None] = {}
    for record in sorted(records, key=lambda record: record["status"] == "done"):
        values, error = [record[metric] for metric in metrics], record["error"]
        if record["status"] == "done":
            numbers = tuple(value for value in values if isinstance(value, float) and not math.isnan(value))
            results[str(record["trial_id"])] = numbers if len(numbers) == len(metrics) else None
        elif isinstance(error, str) and error.startswith(DIVERGED):
            results[str(record["trial_id"])] = None
    return results
