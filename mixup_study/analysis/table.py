"""The rows of a study's table: which setting of each arm is chosen, and what it measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.expand import Cell
from mixup_study.study.labels import condition_text
from mixup_study.study.preferences import marked_by, picked_by
from mixup_study.study.study import Study
from mixup_study.study.trial import comparable

Records = Mapping[str, Mapping[str, Any]]
"""Rows of TRIALS by trial_id."""


class Ran(NamedTuple):
    """A cell, its record and that one's status; None where it has none."""

    cell: Cell
    record: Mapping[str, Any] | None
    status: str | None


class ChosenSetting(NamedTuple):
    """The setting of an arm that the table shows."""

    cell: Cell
    """One of the setting's."""
    values: dict[str, Any]
    """Hyper-parameters that the arm sets itself, or that differ among its settings."""
    tried: int
    """How many settings there were to choose from."""
    finished: list[Mapping[str, Any]]
    """The records of its finished trials."""


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


def cell_ids(study: Study, cells: Sequence[Cell]) -> list[str]:
    """Return the trial_id of each of a study's cells; computing one takes longer than anything else about a cell."""
    known = {id(trial): trial_id for trial_id, trial in study.trials.items()}
    return [known.get(id(cell.trial)) or cell.trial.trial_id for cell in cells]


@dataclass(frozen=True)
class Statistic:
    """Mean of a measurement over the seeds that were run, and its standard deviation where there are several."""

    mean: float
    deviation: float | None
    count: int

    def text(self, metric: str, decimals: int) -> str:
        """Return mean ± standard deviation, fractions in percent."""
        scaled = CATALOGUE.metrics[metric].unit.scaled
        mean = f"{scaled(self.mean):.{decimals}f}"
        return mean if self.deviation is None else f"{mean} ± {scaled(self.deviation):.{decimals}f}"


def summarise(values: Sequence[float]) -> Statistic | None:
    """Return the statistic of ``values``; None of none."""
    if not values:
        return None
    return Statistic(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True, eq=False)
class TableRow:
    """One row of a study's table; rows are told apart by identity, so that they can be keys."""

    keys: dict[str, Any]
    """Value of each of the table's keys: its row fields and arm, and the field across."""
    changes: frozenset[str]
    """Which of input and target the setting chosen, or else the arm's first, trains on otherwise than ERM."""
    setting: dict[str, Any]
    """The hyper-parameters of the setting chosen; empty where nothing has finished."""
    task: str
    """What the trials of the setting chosen, or else the arm's first, learn."""
    trials: tuple[str, ...]
    """Of the setting chosen, the trial_ids of the finished trials in the study's order; empty where nothing has."""
    measured: list[Statistic | None]
    """One per column, fractions; None where not measured."""
    published: Mapping[str, Any] | None
    """The paper's row, measurements in percent; None where the paper has none."""
    done: int
    failed: int
    total: int

    def values(self, names: Sequence[str]) -> tuple[Any, ...]:
        """Return the values of some of the keys."""
        return tuple(self.keys[name] for name in names)


def table_rows(study: Study, records: Records) -> list[TableRow]:
    """Return the rows of the study's table in the order of the file, cells not yet run included.

    Each shows the setting of ``choose_setting``.
    """
    keys_of = _values_of(study.table.keys)
    groups: dict[tuple[Any, ...], list[Ran]] = {}
    for ran in ran_cells(study, records):
        groups.setdefault(keys_of(ran.cell), []).append(ran)
    published = {tuple(comparable(row[name]) for name in study.table.keys): row for row in study.published}
    order = _row_order(study, groups)
    return [_row(study, key, groups[key], _find_published(published, key)) for key in order]


def _find_published(published: Mapping[tuple[Any, ...], Mapping[str, Any]], key: tuple[Any, ...]) -> Any:
    """Return the paper's row of the table's row with this ``key``: its own, or one that is of all rows like it."""
    values = tuple(comparable(value) for value in key)
    if values in published:
        return published[values]
    alike = (
        row
        for pattern, row in published.items()
        if all(expected is None or expected == value for expected, value in zip(pattern, values, strict=True))
    )
    return next(alike, None)


def ran_cells(study: Study, records: Records) -> list[Ran]:
    """Return the study's cells in their order, each with its record."""
    by_cell = [records.get(trial_id) for trial_id in cell_ids(study, study.cells)]
    return [
        Ran(cell, None, None)
        if record is None or cell.placeholder_of is not None
        else Ran(cell, record, record["status"])
        for cell, record in zip(study.cells, by_cell, strict=True)
    ]


def choose_setting(study: Study, cells: Sequence[Ran]) -> ChosenSetting | None:
    """Return the setting that the table shows of ``cells``, which differ in hyper-parameters and seeds alone.

    It has the best mean of the metric of ``table.pick`` among those with every seed done; while there is none, among
    those with any. None where nothing has finished.
    """
    left_out = {*CATALOGUE.seeds, *study.table.keys, *CATALOGUE.fields_with("needed")}
    hyper_parameters = [name for name in CATALOGUE.fields if name not in left_out]
    setting_of = _values_of(hyper_parameters)
    settings: dict[tuple[Any, ...], list[Ran]] = {}
    for ran in cells:
        models = tuple(needed.setting() for needed in ran.cell.trial.needs)
        settings.setdefault((setting_of(ran.cell), models), []).append(ran)
    values_of_settings = (values for values, _ in settings)
    differing = {
        name for name, *values in zip(hyper_parameters, *values_of_settings, strict=True) if len(set(values)) > 1
    }
    finished = [
        (group, [ran.record for ran in group if ran.record is not None and ran.status == "done"])
        for group in settings.values()
    ]
    complete = [(group, records) for group, records in finished if len(group) == len(records)]
    candidates = complete or [(group, records) for group, records in finished if records]
    preference = picked_by(study.table)

    def rank(candidate: tuple[list[Ran], list[Mapping[str, Any]]]) -> float:
        values = _measured(candidate[1], preference.metric) if preference else []
        return preference.rank(statistics.fmean(values)) if preference and values else math.inf

    best = min(candidates, key=rank, default=None)
    if best is None:
        return None
    (ran, *_), records = best
    names = [name for name in hyper_parameters if name in ran.cell.settings or name in differing]
    return ChosenSetting(ran.cell, {name: getattr(ran.cell.trial, name) for name in names}, len(settings), records)


def group_by_condition(study: Study, rows: Iterable[TableRow]) -> dict[str, list[TableRow]]:
    """Return the rows that differ in their arm alone, by what they have in common, as ``label noise 20%``."""
    others = [name for name in study.table.keys if name != "arm"]
    conditions: dict[str, list[TableRow]] = {}
    for row in rows:
        common = condition_text({name: row.keys[name] for name in others})
        conditions.setdefault(common, []).append(row)
    return conditions


def best_numbers(study: Study, rows: Sequence[TableRow]) -> set[tuple[TableRow, int]]:
    """Return which numbers are marked, by their row and the number of their column.

    In each column that asks for it, the best mean among the rows that differ in nothing but the arm, over all values
    of ``table.across``, is; ties are marked together.
    """
    outer = [name for name in study.table.rows if name != "arm"]
    best = set()
    for number, column in enumerate(study.table.columns):
        preference = marked_by(column)
        if preference is None:
            continue
        alike: dict[tuple[Any, ...], list[tuple[float, TableRow]]] = {}
        for row in rows:
            statistic = row.measured[number]
            if statistic is not None:
                alike.setdefault(row.values(outer), []).append((preference.rank(statistic.mean), row))
        for group in alike.values():
            first = min(rank for rank, _ in group)
            best |= {(row, number) for rank, row in group if rank == first}
    return best


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
    chosen = choose_setting(study, cells)
    finished = chosen.finished if chosen else []
    trial = (chosen.cell if chosen else cells[0].cell).trial
    states = [ran.status for ran in cells]
    return TableRow(
        keys=dict(zip(study.table.keys, key, strict=True)),
        changes=trial.changes,
        setting=chosen.values if chosen else {},
        task=trial.task,
        trials=tuple(record["trial_id"] for record in finished),
        measured=[summarise(_measured(finished, column.metric)) for column in study.table.columns],
        published=published,
        done=states.count("done"),
        failed=states.count("failed"),
        total=len(cells),
    )


def _measured(records: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    values = [record[metric] for record in records]
    return [value for value in values if value is not None and not math.isnan(value)]
