"""A study's table as the paper lays it out, and the list of its trials."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from mixup_study.results.labels import key_text, plain, setting_text, title_text
from mixup_study.results.render import Sheet
from mixup_study.results.table import Records, TableRow, cell_ids, table_rows
from mixup_study.spec.study import Column, Study, Table
from mixup_study.spec.trial import FIELDS, Trial

ARM_SEPARATOR = " / "
"""Arms named ``method / specification`` stand in two columns of the table."""
NOTED = ("train_size", "data_seed", "augment", "neighbours", "workers")
"""Fields that a caption names where they are not at their defaults."""
_PARTS = ("input", "target")


def study_sheet(study: Study, records: Records, reason: str, *, spread: bool = False) -> Sheet:
    """Return the study's table with its caption; ``reason`` says why this profile.

    With ``spread``, for CSV, every row names all its keys and each number stands alone in its column.
    """
    rows = table_rows(study, records)
    title = "Table" if study.paper is None or study.paper.table is None else f"Table {study.paper.table}"
    caption = f"{title}: {study.table.title}. {caption_of(study, records, reason)}"
    return _spread_sheet(study, rows, caption) if spread else _paper_sheet(study, rows, caption)


def _paper_sheet(study: Study, rows: Sequence[TableRow], caption: str) -> Sheet:
    table = study.table
    beside = " (paper)" if study.published else ""
    lines = [list(line) for _, line in itertools.groupby(rows, key=lambda row: _values_of(row, table.rows))]
    across = list(dict.fromkeys(_values_of(row, (table.across,)) for row in rows)) if table.across else [()]
    labels = [_label_texts(study, line[0]) for line in lines]

    titles = _label_titles(study)
    headings, groups = list(titles), [""] * len(titles)
    if table.modified:
        headings += _PARTS
        groups += ["modified"] * len(_PARTS)
    first_number = len(headings)
    for value in across:
        for group, title in _block_headings(table, value):
            headings.append(f"{title}{beside}")
            groups.append(group)
    lowest = _lowest(study, rows)
    texts: list[list[str]] = []
    marked, breaks = set(), set()
    for index, line in enumerate(lines):
        before = labels[index - 1] if index else []
        if index and len(titles) > 1 and labels[index][0] != before[0]:
            breaks.add(index)
        entries = [
            "" if labels[index][: level + 1] == before[: level + 1] and any(labels[index][level + 1 :]) else label
            for level, label in enumerate(labels[index])
        ]
        if table.modified:
            changes = line[0].changes
            entries += ["✓" if part in changes else "✗" for part in _PARTS]
        by_value = {_values_of(row, (table.across,) if table.across else ()): row for row in line}
        for value in across:
            row = by_value.get(value)
            if table.pick:
                entries.append(_setting_entry(study, row))
            for number, column in enumerate(table.columns):
                if row is not None and (id(row), number) in lowest:
                    marked.add((index, len(entries)))
                entries.append(_measured_entry(study, row, number, column))
        done, failed = sum(row.done for row in line), sum(row.failed for row in line)
        entries.append(f"{done}/{sum(row.total for row in line)}" + (f", {failed} failed" if failed else ""))
        texts.append(entries)
    headings.append("trials")
    groups.append("")
    words = {index for index, heading in enumerate(headings) if heading == f"setting{beside}"}
    numeric = frozenset(range(first_number, len(headings))) - words
    return Sheet(headings, texts, groups, caption, numeric, frozenset(breaks), frozenset(marked))


def _values_of(row: TableRow, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row.keys[name] for name in names)


def _label_titles(study: Study) -> list[str]:
    """Return the headings of the rows; arms named ``a / b`` stand in two columns."""
    split = any(ARM_SEPARATOR in cell.arm for cell in study.cells)
    titles = []
    for key in study.table.rows:
        titles += ["method", "specification"] if key == "arm" and split else [title_text(key)]
    return titles


def _label_texts(study: Study, row: TableRow) -> list[str]:
    split = any(ARM_SEPARATOR in cell.arm for cell in study.cells)
    texts = []
    for key in study.table.rows:
        text = key_text(key, row.keys[key])
        if key == "arm" and split:
            method, _, specification = text.partition(ARM_SEPARATOR)
            texts += [method, specification]
        else:
            texts.append(text)
    return texts


def _block_headings(table: Table, value: tuple[Any, ...]) -> list[tuple[str, str]]:
    """Return group and title of the columns under one value of ``table.across``."""
    setting = [("", "setting")] if table.pick else []
    if table.across is None:
        return setting + [(column.group, column.title) for column in table.columns]
    name, text = title_text(table.across), key_text(table.across, value[0])
    if not setting and len(table.columns) == 1:
        return [(name, text)]
    return [(f"{name} {text}", title) for title in ("setting",) * len(setting) + tuple(c.title for c in table.columns)]


def _setting_entry(study: Study, row: TableRow | None) -> str:
    if row is None:
        return ""
    return _beside(study, setting_text(row.setting) if row.done else "missing", _paper_setting(study, row))


def _measured_entry(study: Study, row: TableRow | None, number: int, column: Column) -> str:
    if row is None:
        return ""
    statistic = row.measured[number]
    measured = "–" if statistic is None else statistic.percent(column.decimals)
    return _beside(study, measured, _published_text(row.published, column))


def _lowest(study: Study, rows: Sequence[TableRow]) -> set[tuple[int, int]]:
    """Return which numbers are marked, by identity of the row and number of the column.

    In each column that asks for it, the lowest mean among the rows that differ in nothing but the arm, over
    all values of ``table.across``, is; ties are marked together.
    """
    outer = [name for name in study.table.rows if name != "arm"]
    found = set()
    for number, column in enumerate(study.table.columns):
        if not column.mark_lowest:
            continue
        alike: dict[tuple[Any, ...], list[tuple[float, TableRow]]] = {}
        for row in rows:
            statistic = row.measured[number]
            if statistic is not None:
                alike.setdefault(_values_of(row, outer), []).append((statistic.mean, row))
        for group in alike.values():
            least = min(mean for mean, _ in group)
            found |= {(id(row), number) for mean, row in group if mean == least}
    return found


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
    return setting_text({name: value for name, value in (row.published or {}).items() if name not in study.table.keys})


def _spread_sheet(study: Study, rows: Sequence[TableRow], caption: str) -> Sheet:
    names = sorted({name for row in rows for name in row.setting}, key=FIELDS.index)
    headings = [*study.table.keys, *names]
    for column in study.table.columns:
        headings += [f"{column.metric}_percent", f"{column.metric}_sd", f"{column.metric}_paper_percent"]
    texts = []
    for row in rows:
        entries = [plain(row.keys[key]) for key in study.table.keys] + [plain(row.setting.get(name)) for name in names]
        for column, statistic in zip(study.table.columns, row.measured, strict=True):
            mean = None if statistic is None else 100 * statistic.mean
            deviation = None if statistic is None or statistic.deviation is None else 100 * statistic.deviation
            entries += [plain(mean), plain(deviation), plain((row.published or {}).get(column.metric))]
        texts.append([*entries, str(row.done), str(row.failed), str(row.total)])
    return Sheet([*headings, "done", "failed", "trials"], texts, caption=caption)


def trials_sheet(study: Study, records: Records) -> Sheet:
    """Return one row per cell of the study: trial_id, arm, every field that differs among the trials, and its state."""
    varied = [name for name in FIELDS if len({getattr(cell.trial, name) for cell in study.cells}) > 1]
    rows = []
    for cell, trial_id in zip(study.cells, cell_ids(study), strict=True):
        record = records.get(trial_id)
        state = "to run" if record is None else record["status"]
        seconds = None if record is None else record["train_seconds"]
        took = "" if seconds is None else f"{seconds:.1f}"
        values = (getattr(cell.trial, name) for name in varied)
        texts = (plain(list(value) if isinstance(value, tuple) else value) for value in values)
        rows.append([trial_id, cell.arm, *texts, state, took])
    headings = ["trial_id", "arm", *varied, "state", "seconds"]
    return Sheet(headings, rows, numeric=frozenset({*range(2, 2 + len(varied)), len(headings) - 1}))


def caption_of(study: Study, records: Records, reason: str) -> str:
    """Return what ran, in one paragraph: profile, data, network, epochs, seeds, how much is done."""
    trials = list(study.trials.values())
    done = sum(records.get(trial_id, {}).get("status") == "done" for trial_id in study.trials)

    def all_of(name: str) -> str:
        values = dict.fromkeys(map(attrgetter(name), trials))
        return ", ".join(str(value) for value in values if value is not None)

    noted = [
        f"{name} {all_of(name)}, "
        for name in NOTED
        if set(map(attrgetter(name), trials)) != {Trial.model_fields[name].default}
    ]
    parts = [
        f"Profile {study.profile} ({reason}): data set {all_of('dataset')}, {all_of('model')} of width"
        f" {all_of('width')}, epochs {all_of('epochs')}, {''.join(noted)}seed {all_of('seed')};"
        f" {done} of {len(trials)} trials done.",
    ]
    if study.overrides:
        parts.append(f"Changed with --set: {'; '.join(study.overrides)}.")
    parts.append("Errors in percent.")
    if any(column.mark_lowest for column in study.table.columns):
        parts.append("The lowest is marked.")
    if study.published:
        protocol = f": {study.paper.protocol}" if study.paper and study.paper.protocol else ""
        same = study.profile == "paper" and not study.overrides
        note = "" if same else ", which is not what was run here"
        parts.append(f"In brackets, the paper's own numbers{protocol}{note}.")
    return " ".join(parts)
