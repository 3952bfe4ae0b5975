"""The rows of a study's table: which setting of each arm is shown, and what it measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa

from mixup_study.catalogue.metrics import Metric, scaled
from mixup_study.study.study import Cell, Study
from mixup_study.study.trial import FIELDS, SEEDS, comparable

Records = Mapping[str, Mapping[str, Any]]
"""Rows of TRIALS by trial_id."""


class Ran(NamedTuple):
    """A cell, its record and that one's status; None where it has none."""

    cell: Cell
    record: Mapping[str, Any] | None
    status: str | None


class Shown(NamedTuple):
    """The setting shown of several: its hyper-parameters, how many there were, and the records of what has finished."""

    cell: Cell
    """One of the setting's."""
    setting: dict[str, Any]
    """Hyper-parameters that the arm sets itself, or that differ among the settings."""
    tried: int
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

    Each shows its ``shown_setting``.
    """
    keys_of = _values_of(study.table.keys)
    groups: dict[tuple[Any, ...], list[Ran]] = {}
    for ran in ran_cells(study, records):
        groups.setdefault(keys_of(ran.cell), []).append(ran)
    published = {tuple(comparable(row[name]) for name in study.table.keys): row for row in study.published}
    order = _row_order(study, groups)
    return [_row(study, key, groups[key], published.get(tuple(comparable(value) for value in key))) for key in order]


def ran_cells(study: Study, records: Records) -> list[Ran]:
    """Return the study's cells in their order, each with its record."""
    found = [records.get(trial_id) for trial_id in cell_ids(study)]
    return [
        Ran(cell, record, None if record is None else record["status"])
        for cell, record in zip(study.cells, found, strict=True)
    ]


def shown_setting(study: Study, cells: Sequence[Ran]) -> Shown | None:
    """Return the setting shown of ``cells``, which differ in hyper-parameters and seeds alone; None where nothing ran.

    It has the lowest mean of ``table.pick`` among those with every seed done; while there is none, among those
    with any.
    """
    hyper_parameters = [name for name in FIELDS if name not in (*SEEDS, *study.table.keys)]
    setting_of = _values_of(hyper_parameters)
    settings: dict[tuple[Any, ...], list[Ran]] = {}
    for ran in cells:
        settings.setdefault(setting_of(ran.cell), []).append(ran)
    differing = {name for name, *values in zip(hyper_parameters, *settings, strict=True) if len(set(values)) > 1}
    tried = [
        (group, [ran.record for ran in group if ran.record is not None and ran.status == "done"])
        for group in settings.values()
    ]
    candidates = [one for one in tried if len(one[0]) == len(one[1])] or [one for one in tried if one[1]]

    def mean_of_pick(tried: tuple[list[Ran], list[Mapping[str, Any]]]) -> float:
        values = _values(tried[1], study.table.pick.lowest) if study.table.pick else []
        return statistics.fmean(values) if values else float("inf")

    best = min(candidates, key=mean_of_pick, default=None)
    if best is None:
        return None
    (ran, *_), finished = best
    names = [name for name in hyper_parameters if name in ran.cell.settings or name in differing]
    return Shown(ran.cell, {name: getattr(ran.cell.trial, name) for name in names}, len(settings), finished)


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


def _row(study: Study, key: tuple[Any, ...], cells: Sequence[Ran], published: Mapping[str, Any] | None) -> TableRow:
    shown = shown_setting(study, cells)
    states = [ran.status for ran in cells]
    return TableRow(
        keys=dict(zip(study.table.keys, key, strict=True)),
        changes=(shown.cell if shown else cells[0].cell).trial.changes,
        setting=shown.setting if shown else {},
        trials=tuple(record["trial_id"] for record in shown.finished) if shown else (),
        measured=[
            Statistic.of(_values(shown.finished, column.metric)) if shown else None for column in study.table.columns
        ],
        published=published,
        done=states.count("done"),
        failed=states.count("failed"),
        total=len(cells),
    )


def _values(records: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    values = [record[metric] for record in records]
    return [value for value in values if value is not None and not math.isnan(value)]
