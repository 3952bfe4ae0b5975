"""The rows of a study's table: which setting of each arm is shown, and what it measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa

from mixup_study.spec.metrics import Metric, scaled
from mixup_study.spec.study import SEEDS, Cell, Study, comparable
from mixup_study.spec.trial import FIELDS

Records = Mapping[str, Mapping[str, Any]]
"""Rows of TRIALS by trial_id."""


class _Ran(NamedTuple):
    """A cell, its record and that one's status; None where it has none."""

    cell: Cell
    record: Mapping[str, Any] | None
    status: str | None


class _Tried(NamedTuple):
    """A setting: one of its cells, how many it has, and the records of those that have finished."""

    cell: Cell
    total: int
    finished: list[Mapping[str, Any]]


def records_by_id(trials: pa.Table) -> Records:
    """Return the rows of TRIALS by trial_id."""
    columns = _Columns(trials)
    return {trial_id: _Record(columns, row) for row, trial_id in enumerate(columns["trial_id"])}


class _Columns(dict[str, list[Any]]):
    """The columns of an Arrow table as Python values, each made when it is first asked for."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __missing__(self, name: str) -> list[Any]:
        self[name] = self.table[name].to_pylist()
        return self[name]


class _Record(Mapping[str, Any]):
    """One row of ``columns``."""

    __slots__ = ("_columns", "_row")

    def __init__(self, columns: _Columns, row: int) -> None:
        self._columns = columns
        self._row = row

    def __getitem__(self, name: str) -> Any:
        return self._columns[name][self._row]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.table.column_names)

    def __len__(self) -> int:
        return len(self._columns.table.column_names)


def cell_ids(study: Study) -> list[str]:
    """Return the trial_id of each cell; computing one takes longer than anything else about a cell."""
    known = {id(trial): trial_id for trial_id, trial in study.trials.items()}
    return [known.get(id(cell.trial)) or cell.trial.trial_id for cell in study.cells]


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

    def text(self, metric: Metric, decimals: int) -> str:
        """Return mean ± standard deviation, fractions in percent."""
        mean = f"{scaled(metric, self.mean):.{decimals}f}"
        return mean if self.deviation is None else f"{mean} ± {scaled(metric, self.deviation):.{decimals}f}"


@dataclass(frozen=True)
class TableRow:
    """One row of a study's table."""

    keys: dict[str, Any]
    """Value of each of the table's keys: its row fields and arm, and the field across."""
    changes: frozenset[str]
    """Which of input and target the setting shown, or else the arm's first, trains on otherwise than ERM."""
    setting: dict[str, Any]
    """The hyper-parameters shown, picked among the arm's; empty where nothing has finished."""
    trials: tuple[str, ...]
    """Of the setting shown, the trial_ids of the finished trials in the study's order; empty where nothing has."""
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
    keys_of = _values_of(study.table.keys)
    groups: dict[tuple[Any, ...], list[_Ran]] = {}
    for cell, trial_id in zip(study.cells, cell_ids(study), strict=True):
        record = records.get(trial_id)
        groups.setdefault(keys_of(cell), []).append(_Ran(cell, record, None if record is None else record["status"]))
    published = {tuple(comparable(row[name]) for name in study.table.keys): row for row in study.published}
    order = _row_order(study, groups)
    return [_row(study, key, groups[key], published.get(tuple(comparable(value) for value in key))) for key in order]


def _values_of(names: Sequence[str]) -> Callable[[Cell], tuple[Any, ...]]:
    """Return what gives the values of a cell's fields, and of its arm, as a tuple."""
    paths = ["arm" if name == "arm" else f"trial.{name}" for name in names]
    get = attrgetter(*paths)
    return get if len(paths) > 1 else lambda cell: (get(cell),)


def _row_order(study: Study, groups: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the rows' keys with outer values together, each level in the order it first appears in the file."""
    keys = list(groups)
    ranks: list[dict[Any, int]] = [{} for _ in study.table.keys]
    for key in keys:
        for level, value in enumerate(key):
            ranks[level].setdefault(value, len(ranks[level]))
    return sorted(keys, key=lambda key: [ranks[level][value] for level, value in enumerate(key)])


def _row(study: Study, key: tuple[Any, ...], cells: Sequence[_Ran], published: Mapping[str, Any] | None) -> TableRow:
    hyper_parameters = [name for name in FIELDS if name not in (*SEEDS, *study.table.keys)]
    setting_of = _values_of(hyper_parameters)
    settings: dict[tuple[Any, ...], list[_Ran]] = {}
    for ran in cells:
        settings.setdefault(setting_of(ran.cell), []).append(ran)
    differing = {name for name, *values in zip(hyper_parameters, *settings, strict=True) if len(set(values)) > 1}
    tried = [
        _Tried(
            group[0].cell, len(group), [ran.record for ran in group if ran.record is not None and ran.status == "done"]
        )
        for group in settings.values()
    ]
    candidates = [one for one in tried if len(one.finished) == one.total] or [one for one in tried if one.finished]

    def mean_of_pick(tried: _Tried) -> float:
        values = measured_by(tried.finished, study.table.pick.lowest) if study.table.pick else []
        return statistics.fmean(values) if values else float("inf")

    best = min(candidates, key=mean_of_pick, default=None)
    shown = best.cell if best else None
    states = [ran.status for ran in cells]
    return TableRow(
        keys=dict(zip(study.table.keys, key, strict=True)),
        changes=(shown or cells[0].cell).trial.changes,
        setting={
            name: getattr(shown.trial, name) for name in hyper_parameters if name in shown.settings or name in differing
        }
        if shown
        else {},
        trials=tuple(record["trial_id"] for record in best.finished) if best else (),
        measured=[
            Statistic.of(measured_by(best.finished, column.metric)) if best else None for column in study.table.columns
        ],
        published=published,
        done=states.count("done"),
        failed=states.count("failed"),
        total=len(cells),
    )


def measured_by(records: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    """Return what finished trials measured, those left out that have no number of it."""
    values = [record[metric] for record in records]
    return [value for value in values if value is not None and not math.isnan(value)]
