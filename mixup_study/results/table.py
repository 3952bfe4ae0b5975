"""A study's table, as the paper lays it out: measured beside published."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mixup_study.results.render import Sheet
from mixup_study.spec.study import Cell, Column, Study
from mixup_study.spec.trial import FIELDS, Trial

SEEDS = ("seed", "data_seed")
NOTED = ("train_size", "data_seed", "augment", "workers")
"""Fields that a caption names where they are not at their defaults."""
_SIGNS = {"alpha": "α", "dropout": "p"}

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
    """Value of each of the table's row fields, and of arm."""
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
    published = {tuple(_comparable(row[name]) for name in study.table.rows): row for row in study.published}
    order = _row_order(study, groups)
    return [
        _row(study, groups[key], records, published.get(tuple(_comparable(value) for value in key))) for key in order
    ]


def _row_order(study: Study, groups: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the rows' keys with outer values together, each level in the order it first appears in the file."""
    keys = list(groups)
    ranks: list[dict[Any, int]] = [{} for _ in study.table.rows]
    for key in keys:
        for level, value in enumerate(key):
            ranks[level].setdefault(value, len(ranks[level]))
    return sorted(keys, key=lambda key: [ranks[level][value] for level, value in enumerate(key)])


def _comparable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _keys(study: Study, cell: Cell) -> dict[str, Any]:
    return {name: cell.arm if name == "arm" else getattr(cell.trial, name) for name in study.table.rows}


def _row(study: Study, cells: Sequence[Cell], records: Records, published: Mapping[str, Any] | None) -> TableRow:
    hyper_parameters = [name for name in FIELDS if name not in (*SEEDS, *study.table.rows)]
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
        statistic = Statistic.of(_values(pair[1], study.table.pick.lowest))
        return float("inf") if statistic is None else statistic.mean

    best = min(candidates, key=mean_of_pick, default=None)
    shown = best[0][0] if best else None
    states = [records.get(cell.trial.trial_id, {}).get("status") for cell in cells]
    return TableRow(
        keys=_keys(study, cells[0]),
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


def study_sheet(study: Study, records: Records, reason: str, *, spread: bool = False) -> Sheet:
    """Return the study's table with its caption; ``reason`` says why this profile.

    With ``spread``, for CSV, every row names all its keys and each number stands alone in its column.
    """
    rows = table_rows(study, records)
    title = "Table" if study.paper is None or study.paper.table is None else f"Table {study.paper.table}"
    caption = f"{title}: {study.table.title}. {caption_of(study, records, reason)}"
    return _spread_sheet(study, rows, caption) if spread else _paper_sheet(study, rows, caption)


def _paper_sheet(study: Study, rows: Sequence[TableRow], caption: str) -> Sheet:
    keys, columns = study.table.rows, study.table.columns
    beside = " (paper)" if study.published else ""
    headings = [*(_title(key) for key in keys), f"setting{beside}"]
    headings += [*(f"{column.title}{beside}" for column in columns), "trials"]
    groups = ["" for _ in keys] + ["", *(column.group for column in columns), ""]
    texts: list[list[str]] = []
    breaks = set()
    previous: list[str] = []
    for row in rows:
        labels = [key_text(key, row.keys[key]) for key in keys]
        if texts and len(keys) > 1 and labels[0] != previous[0]:
            breaks.add(len(texts))
        entries = [
            "" if level < len(keys) - 1 and labels[: level + 1] == previous[: level + 1] else label
            for level, label in enumerate(labels)
        ]
        entries.append(_beside(study, setting_text(row.setting) if row.done else "missing", _paper_setting(study, row)))
        for column, statistic in zip(columns, row.measured, strict=True):
            measured = "–" if statistic is None else statistic.percent(column.decimals)
            entries.append(_beside(study, measured, _published_text(row.published, column)))
        entries.append(f"{row.done}/{row.total}" + (f", {row.failed} failed" if row.failed else ""))
        texts.append(entries)
        previous = labels
    numeric = range(len(keys) + 1, len(headings))
    return Sheet(headings, texts, groups, caption, frozenset(numeric), frozenset(breaks))


def _beside(study: Study, measured: str, published: str) -> str:
    """Return a measured entry with the paper's in brackets, where the study compares."""
    return f"{measured} ({published})".strip() if study.published and published else measured


def _published_text(published: Mapping[str, Any] | None, column: Column) -> str:
    """Return the paper's number as printed there, trailing zeros included."""
    if published is None or column.metric not in published:
        return "not published"
    number = published[column.metric]
    exact = f"{number}"
    return max(f"{number:.{column.decimals}f}", exact, key=len)


def _paper_setting(study: Study, row: TableRow) -> str:
    return setting_text({name: value for name, value in (row.published or {}).items() if name not in study.table.rows})


def _spread_sheet(study: Study, rows: Sequence[TableRow], caption: str) -> Sheet:
    names = sorted({name for row in rows for name in row.setting}, key=FIELDS.index)
    headings = [*study.table.rows, *names]
    for column in study.table.columns:
        headings += [f"{column.metric}_percent", f"{column.metric}_sd", f"{column.metric}_paper_percent"]
    texts = []
    for row in rows:
        entries = [_plain(row.keys[key]) for key in study.table.rows] + [
            _plain(row.setting.get(name)) for name in names
        ]
        for column, statistic in zip(study.table.columns, row.measured, strict=True):
            mean = None if statistic is None else 100 * statistic.mean
            deviation = None if statistic is None or statistic.deviation is None else 100 * statistic.deviation
            entries += [_plain(mean), _plain(deviation), _plain((row.published or {}).get(column.metric))]
        texts.append([*entries, str(row.done), str(row.failed), str(row.total)])
    return Sheet([*headings, "done", "failed", "trials"], texts, caption=caption)


def trials_sheet(study: Study, records: Records) -> Sheet:
    """Return one row per cell of the study: trial_id, arm, every field that differs among the trials, and its state."""
    flat = [cell.trial.flat() for cell in study.cells]
    varied = [name for name in FIELDS if len({str(values[name]) for values in flat}) > 1]
    rows = []
    for cell, values in zip(study.cells, flat, strict=True):
        record = records.get(cell.trial.trial_id)
        state = "to run" if record is None else record["status"]
        seconds = None if record is None else record["train_seconds"]
        took = "" if seconds is None else f"{seconds:.1f}"
        rows.append([cell.trial.trial_id, cell.arm, *(_plain(values[name]) for name in varied), state, took])
    headings = ["trial_id", "arm", *varied, "state", "seconds"]
    return Sheet(headings, rows, numeric=frozenset({*range(2, 2 + len(varied)), len(headings) - 1}))


def caption_of(study: Study, records: Records, reason: str) -> str:
    """Return what ran, in one paragraph: profile, data, network, epochs, seeds, how much is done."""
    trials = list(study.trials.values())
    done = sum(records.get(trial_id, {}).get("status") == "done" for trial_id in study.trials)

    def all_of(name: str) -> str:
        return ", ".join(dict.fromkeys(str(getattr(trial, name)) for trial in trials))

    noted = [
        f"{name} {all_of(name)}, "
        for name in NOTED
        if any(getattr(trial, name) != Trial.model_fields[name].default for trial in trials)
    ]
    parts = [
        f"Profile {study.profile} ({reason}): data set {all_of('dataset')}, {all_of('model')} of width"
        f" {all_of('width')}, epochs {all_of('epochs')}, {''.join(noted)}seed {all_of('seed')};"
        f" {done} of {len(trials)} trials done.",
    ]
    if study.overrides:
        parts.append(f"Changed with --set: {'; '.join(study.overrides)}.")
    parts.append("Errors in percent.")
    if study.published:
        protocol = f": {study.paper.protocol}" if study.paper and study.paper.protocol else ""
        same = study.profile == "paper" and not study.overrides
        note = "" if same else ", which is not what was run here"
        parts.append(f"In brackets, the paper's own numbers{protocol}{note}.")
    return " ".join(parts)


def setting_text(setting: Mapping[str, Any]) -> str:
    """Return hyper-parameters as the paper writes them: ``α=8, p=0.3``."""
    order = [name for name in FIELDS if name in setting and name not in SEEDS]
    order.sort(key=lambda name: name != "alpha")
    return ", ".join(f"{_SIGNS.get(name, name)}={_plain(setting[name])}" for name in order)


def cell_labels(study: Study) -> dict[str, str]:
    """Return what each trial is within its study, in a few words: ``label noise 20%, mixup, α=8, seed=1``."""
    outer = [name for name in study.table.rows if name != "arm"]
    varied = [name for name in FIELDS if len({getattr(cell.trial, name) for cell in study.cells}) > 1]
    told = {"method", *outer, *(name for cell in study.cells for name in cell.settings)}
    others = [name for name in varied if name not in told]
    labels = {}
    for cell in study.cells:
        parts = [f"{_title(name)} {key_text(name, getattr(cell.trial, name))}" for name in outer]
        settings = {name: getattr(cell.trial, name) for name in cell.settings}
        rest = [f"{name}={_plain(getattr(cell.trial, name))}" for name in others]
        labels[cell.trial.trial_id] = ", ".join(filter(None, [*parts, cell.arm, setting_text(settings), *rest]))
    return labels


def key_text(name: str, value: Any) -> str:
    """Return a row's label: the arm's name, noise in percent, else the plain value."""
    return f"{100 * value:g}%" if name == "label_noise" else _plain(value)


def _title(name: str) -> str:
    return "method" if name == "arm" else name.replace("_", " ")


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
