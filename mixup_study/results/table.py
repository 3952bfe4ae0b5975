"""The rows of a study's table: which setting of each arm is shown, and what it measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mixup_study.spec.study import SEEDS, Cell, Study, comparable
from mixup_study.spec.trial import FIELDS

Records = Mapping[str, Mapping[str, Any]]
"""Rows of TRIALS by trial_id."""


def records_by_id(trials: pa.Table) -> Records:
    """Return the rows of TRIALS by trial_id."""
    return {row["trial_id"]: row for row in trials.to_pylist()}


@dataclass(frozen=True)
class Statistic:
    """Mean of a measurement over the seeds that were run, and its standard deviation where there are several."""

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistic | None:
        """Return the statistic of ``values``; None of none."""
        if not values:
            return None
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))

    def percent(self, decimals: int) -> str:
        """Return mean ± standard deviation in percent."""
        mean = f"{100 * self.mean:.{decimals}f}"
        return mean if self.deviation is None else f"{mean} ± {100 * self.deviation:.{decimals}f}"


@dataclass(frozen=True)
class TableRow:
    """One row of a study's table."""

    keys: dict[str, Any]
    """Value of each of the table's keys: its row fields and arm, and the field across."""
    changes: frozenset[str]
    """Which of input and target the setting shown, or else the arm's first, trains on otherwise than ERM."""
    setting: dict[str, Any]
    """The hyper-parameters shown, picked among the arm's; empty where nothing has finished."""
    measured: list[Statistic | None]
    """One per column, fractions; None where not measured."""
    published: Mapping[str, Any] | None
    """The paper's row, measurements in percent; None where the paper has none."""
    done: int
    failed: int
    total: int


def table_rows(study: Study, records: Records) -> list[TableRow]:
    """Return the rows of the study's table in the order of the file, cells not yet run included.

    For each row the setting shown has the lowest mean of ``table.pick`` among those with every seed done;
    while there is none, among those with any.
    """
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in study.cells:
        groups.setdefault(tuple(_keys(study, cell).values()), []).append(cell)
    published = {tuple(comparable(row[name]) for name in study.table.keys): row for row in study.published}
    order = _row_order(study, groups)
    return [
        _row(study, groups[key], records, published.get(tuple(comparable(value) for value in key))) for key in order
    ]


def _row_order(study: Study, groups: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the rows' keys with outer values together, each level in the order it first appears in the file."""
    keys = list(groups)
    ranks: list[dict[Any, int]] = [{} for _ in study.table.keys]
    for key in keys:
        for level, value in enumerate(key):
            ranks[level].setdefault(value, len(ranks[level]))
    return sorted(keys, key=lambda key: [ranks[level][value] for level, value in enumerate(key)])


def _keys(study: Study, cell: Cell) -> dict[str, Any]:
    return {name: cell.arm if name == "arm" else getattr(cell.trial, name) for name in study.table.keys}


def _row(study: Study, cells: Sequence[Cell], records: Records, published: Mapping[str, Any] | None) -> TableRow:
    hyper_parameters = [name for name in FIELDS if name not in (*SEEDS, *study.table.keys)]
    settings: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        settings.setdefault(tuple(getattr(cell.trial, name) for name in hyper_parameters), []).append(cell)
    differing = {
        name for index, name in enumerate(hyper_parameters) if len({setting[index] for setting in settings}) > 1
    }
    found = [(group, _finished(group, records)) for group in settings.values()]
    whole = [pair for pair in found if len(pair[1]) == len(pair[0])]
    candidates = whole or [pair for pair in found if pair[1]]

    def mean_of_pick(pair: tuple[Sequence[Cell], Sequence[Mapping[str, Any]]]) -> float:
        statistic = Statistic.of(_values(pair[1], study.table.pick.lowest)) if study.table.pick else None
        return float("inf") if statistic is None else statistic.mean

    best = min(candidates, key=mean_of_pick, default=None)
    shown = best[0][0] if best else None
    states = [records.get(cell.trial.trial_id, {}).get("status") for cell in cells]
    return TableRow(
        keys=_keys(study, cells[0]),
        changes=(shown or cells[0]).trial.changes,
        setting={
            name: getattr(shown.trial, name) for name in hyper_parameters if name in shown.settings or name in differing
        }
        if shown
        else {},
        measured=[Statistic.of(_values(best[1], column.metric)) if best else None for column in study.table.columns],
        published=published,
        done=states.count("done"),
        failed=states.count("failed"),
        total=len(cells),
    )


def _finished(cells: Sequence[Cell], records: Records) -> list[Mapping[str, Any]]:
    found = (records.get(cell.trial.trial_id) for cell in cells)
    return [record for record in found if record is not None and record["status"] == "done"]


def _values(records: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    return [record[metric] for record in records if record[metric] is not None and not math.isnan(record[metric])]
