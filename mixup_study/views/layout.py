"""A study's table as the paper lays it out, and the list of its trials."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from mixup_study.analysis.compare import is_split, paired_p
from mixup_study.analysis.table import Records, TableRow, cell_ids, table_rows
from mixup_study.catalogue import CATALOGUE
from mixup_study.catalogue.metrics import COUNTS, scaled
from mixup_study.study.document import Column, Table
from mixup_study.study.labels import ARM_SEPARATOR, key_text, plain, setting_text, title_text
from mixup_study.study.study import Study
from mixup_study.study.trial import FIELDS
from mixup_study.views.render import Sheet

Tests = Mapping[int, Sequence[float | None]]
"""p-values of the columns of a row, by the row's identity."""
NOTED = ("train_size", "data_seed", "split_seed", "augment", "depth", "neighbours", "workers", "precision")
"""Fields that a caption names where they are not at their defaults."""
NOT_PUBLISHED = "not published"
_P = "p"
_PARTS = ("input", "target")


def study_sheet(study: Study, records: Records, reason: str, *, spread: bool = False) -> Sheet:
    """Return the study's table with its caption; ``reason`` says why this profile.

    With ``spread``, for CSV, every row names all its keys and each number stands alone in its column.
    """
    rows = table_rows(study, records)
    tests = _tests(study, records, rows)
    title = "Table" if study.paper is None or study.paper.table is None else f"Table {study.paper.table}"
    caption = f"{title}: {study.table.title}. {what_ran(study, records, reason)} {_of_the_numbers(study)}"
    return _spread_sheet(study, rows, tests, caption) if spread else _paper_sheet(study, rows, tests, caption)


def _tests(study: Study, records: Records, rows: Sequence[TableRow]) -> Tests:
    """Return the p-values of all columns of each row, against the row that differs from it in the arm alone."""
    baseline = study.table.baseline
    others = [name for name in study.table.keys if name != "arm"]
    against = {_values_of(row, others): row for row in rows if row.keys["arm"] == baseline}
    found = {}
    for row in rows:
        reference = against.get(_values_of(row, others))
        if reference is not None and reference is not row:
            found[id(row)] = [
                paired_p(study, records, row.trials, reference.trials, column.metric) for column in study.table.columns
            ]
    return found


def _paper_sheet(study: Study, rows: Sequence[TableRow], tests: Tests, caption: str) -> Sheet:
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
            headings.append(title if title == _P else f"{title}{beside}")
            groups.append(group)
    lowest = _lowest(study, rows)
    texts: list[list[str]] = []
    marked, breaks = set(), set()
    published = {}
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
                if row is not None and (setting := _paper_setting(study, row)):
                    published[index, len(entries)] = setting
                entries.append(_setting_entry(row))
            for number, column in enumerate(table.columns):
                if row is not None and (id(row), number) in lowest:
                    marked.add((index, len(entries)))
                if row is not None:
                    published[index, len(entries)] = _published_text(row.published, column)
                entries.append(_measured_entry(row, number, column))
                if _has_p(table, value):
                    entries.append(_p_text(None if row is None else tests.get(id(row), [None] * (number + 1))[number]))
        done, failed = sum(row.done for row in line), sum(row.failed for row in line)
        entries.append(f"{done}/{sum(row.total for row in line)}" + (f", {failed} failed" if failed else ""))
        texts.append(entries)
    headings.append("trials")
    groups.append("")
    words = {index for index, heading in enumerate(headings) if heading == f"setting{beside}"}
    numeric = frozenset(range(first_number, len(headings))) - words
    shown = published if study.published else {}
    return Sheet(headings, texts, groups, caption, numeric, frozenset(breaks), frozenset(marked), shown)


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
    titles = [("", "setting")] if table.pick else []
    for column in table.columns:
        titles.append((column.group, column.title))
        if _has_p(table, value):
            titles.append((column.group, _P))
    if table.across is None:
        return titles
    name, text = title_text(table.across), key_text(table.across, value[0])
    if len(table.columns) == 1 and table.pick is None and table.baseline is None:
        return [(name, text)]
    return [(text if table.across == "arm" else f"{name} {text}", title) for _, title in titles]


def _has_p(table: Table, value: tuple[Any, ...]) -> bool:
    """Return whether p-values stand under one value of ``table.across``: the baseline has none against itself."""
    return table.baseline is not None and (table.across != "arm" or value != (table.baseline,))


def _setting_entry(row: TableRow | None) -> str:
    if row is None:
        return ""
    return setting_text(row.setting) if row.done else "missing"


def _measured_entry(row: TableRow | None, number: int, column: Column) -> str:
    if row is None:
        return ""
    statistic = row.measured[number]
    return "–" if statistic is None else statistic.text(column.metric, column.decimals)


def _p_text(p: float | None) -> str:
    if p is None:
        return ""
    return f"{p:.2g}" if p >= 0.001 else "<0.001"


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


def _published_text(published: Mapping[str, Any] | None, column: Column) -> str:
    """Return the paper's number as printed there, trailing zeros included."""
    if published is None or column.metric not in published:
        return NOT_PUBLISHED
    number = published[column.metric]
    exact = f"{number}"
    return max(f"{number:.{column.decimals}f}", exact, key=len)


def _paper_setting(study: Study, row: TableRow) -> str:
    return setting_text({name: value for name, value in (row.published or {}).items() if name not in study.table.keys})


def _spread_sheet(study: Study, rows: Sequence[TableRow], tests: Tests, caption: str) -> Sheet:
    names = sorted({name for row in rows for name in row.setting}, key=FIELDS.index)
    headings = [*study.table.keys, *names]
    for column in study.table.columns:
        unit = "" if column.metric in COUNTS else "_percent"
        headings += [f"{column.metric}{unit}", f"{column.metric}_sd", f"{column.metric}_paper{unit}"]
        headings += [f"{column.metric}_p"] if study.table.baseline is not None else []
    texts = []
    for row in rows:
        entries = [plain(row.keys[key]) for key in study.table.keys] + [plain(row.setting.get(name)) for name in names]
        nothing = [None] * len(row.measured)
        for column, statistic, p in zip(study.table.columns, row.measured, tests.get(id(row), nothing), strict=True):
            mean = None if statistic is None else scaled(column.metric, statistic.mean)
            spread = None if statistic is None or statistic.deviation is None else statistic.deviation
            deviation = None if spread is None else scaled(column.metric, spread)
            entries += [plain(mean), plain(deviation), plain((row.published or {}).get(column.metric))]
            if study.table.baseline is not None:
                entries.append(plain(p))
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


def what_ran(study: Study, records: Records, reason: str) -> str:
    """Return what ran, in one paragraph: profile, data, network, epochs, seeds, how much is done, what was changed."""
    trials = list(study.trials.values())
    done = sum(records.get(trial_id, {}).get("status") == "done" for trial_id in study.trials)

    def all_of(name: str) -> str:
        values = [value for value in dict.fromkeys(map(attrgetter(name), trials)) if value is not None]
        counted = all(isinstance(value, int) for value in values)
        if counted and len(values) > 5 and values == list(range(values[0], values[0] + len(values))):
            return f"{values[0]} to {values[-1]}"
        return ", ".join(map(str, values))

    noted = [
        f"{name} {all_of(name)}, "
        for name in NOTED
        if set(map(attrgetter(name), trials)) != {CATALOGUE.fields[name].default}
    ]
    changed = f" Changed with --set: {'; '.join(study.overrides)}." if study.overrides else ""
    return (
        f"Profile {study.profile} ({reason}): data set {all_of('dataset')}, {all_of('model')} of width"
        f" {all_of('width')}, epochs {all_of('epochs')}, {''.join(noted)}seed {all_of('seed')};"
        f" {done} of {len(trials)} trials done.{changed}"
    )


def _of_the_numbers(study: Study) -> str:
    """Return how the numbers of a study's table are to be read."""
    classified = any(trial.task == "classification" for trial in study.trials.values())
    parts = [f"{'Errors' if classified else 'Shares'} in percent."]
    if study.table.baseline is not None:
        overlap = ", corrected for overlapping training sets (Nadeau and Bengio, 2003)"
        note = overlap if is_split(study, list(study.trials)) else ""
        parts.append(f"p: paired t-test against {study.table.baseline} over the seeds{note}.")
    if any(column.mark_lowest for column in study.table.columns):
        parts.append("The lowest is marked.")
    if study.published:
        protocol = f": {study.paper.protocol}" if study.paper and study.paper.protocol else ""
        note = "" if study.as_in_paper else ", which is not what was run here"
        parts.append(f"In brackets, the paper's own numbers{protocol}{note}.")
    return " ".join(parts)
