"""A study's table as the paper lays it out, and as CSV has it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import TableRow
from mixup_study.catalogue import CATALOGUE, PERCENT
from mixup_study.study.document import Column, Table
from mixup_study.study.labels import ARM_SEPARATOR, key_text, plain, setting_text, title_text
from mixup_study.study.study import QUOTED, Study
from mixup_study.views.captions import ON_TEST_SET, QUOTED_MARK, table_notes, table_source
from mixup_study.views.sheet import NOT_PUBLISHED, PAPER, Sheet

_P = "p"
_PARTS = ("input", "target")
_SETTING = "setting"


def study_sheet(findings: Findings, *, spread: bool = False) -> Sheet:
    """Return the study's table with its caption.

    With ``spread``, for CSV, every row names all its keys and each number stands alone in its column.
    """
    study = findings.study
    sheet = _spread_sheet(findings) if spread else _paper_sheet(findings)
    return replace(
        sheet, name=study.name, title=study.table.title, source=table_source(study), notes=table_notes(findings)
    )


def _paper_sheet(findings: Findings) -> Sheet:
    study, rows = findings.study, findings.rows
    table = study.table
    lines = [list(line) for _, line in itertools.groupby(rows, key=lambda row: row.values(table.rows))]
    across = list(dict.fromkeys(row.values((table.across,)) for row in rows)) if table.across else [()]
    labels = [_label_texts(study, line[0]) for line in lines]

    titles = _label_titles(study)
    headings, groups = list(titles), [""] * len(titles)
    if table.modified:
        headings += _PARTS
        groups += ["modified"] * len(_PARTS)
    first_number = len(headings)
    for value in across:
        for group, title in _block_headings(study, value):
            headings.append(title)
            groups.append(group)
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
        by_value = {row.values((table.across,) if table.across else ()): row for row in line}
        for value in across:
            row = by_value.get(value)
            if study.shows_settings:
                if row is not None and (setting := _paper_setting(study, row)):
                    published[index, len(entries)] = setting
                entries.append(_setting_entry(row))
            for number, column in enumerate(table.columns):
                if row is not None and (row, number) in findings.best_numbers:
                    marked.add((index, len(entries)))
                if row is not None:
                    published[index, len(entries)] = _published_text(row.published, column)
                entries.append(_measured_entry(row, number, column))
                if _has_p(table, value):
                    p_values = None if row is None else findings.p_values.get(row)
                    entries.append(_p_text(p_values[number] if p_values else None))
        done, failed = sum(row.done for row in line), sum(row.failed for row in line)
        entries.append(f"{done}/{sum(row.total for row in line)}" + (f", {failed} failed" if failed else ""))
        texts.append(entries)
    headings.append("trials")
    groups.append("")
    words = {index for index, heading in enumerate(headings) if heading == _SETTING}
    beside = {column for (_, column), text in published.items() if text != NOT_PUBLISHED}
    headings = [f"{heading}{PAPER}" if column in beside else heading for column, heading in enumerate(headings)]
    numeric = frozenset(range(first_number, len(headings))) - words
    return Sheet(
        headings,
        texts,
        groups,
        labels=len(titles),
        numeric=numeric,
        breaks=frozenset(breaks),
        marked=frozenset(marked),
        published={place: text for place, text in published.items() if place[1] in beside},
    )


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
        if key == "arm" and any(search.arm == text and search.options.uses_test_set for search in study.searches):
            text += f" {ON_TEST_SET}"
        if key == "arm" and split:
            method, _, specification = text.partition(ARM_SEPARATOR)
            texts += [method, specification]
        else:
            texts.append(text)
    return texts


def _block_headings(study: Study, value: tuple[Any, ...]) -> list[tuple[str, str]]:
    """Return group and title of the columns under one value of ``table.across``."""
    table = study.table
    titles = [("", _SETTING)] if study.shows_settings else []
    for column in table.columns:
        titles.append((column.group, column.title))
        if _has_p(table, value):
            titles.append((column.group, _P))
    if table.across is None:
        return titles
    name, text = title_text(table.across), key_text(table.across, value[0])
    if len(table.columns) == 1 and not study.shows_settings and table.baseline is None:
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


def _published_text(published: Mapping[str, Any] | None, column: Column) -> str:
    """Return the paper's number as printed there, trailing zeros included."""
    if published is None or column.metric not in published:
        return NOT_PUBLISHED
    number = published[column.metric]
    exact = f"{number}"
    return max(f"{number:.{column.decimals}f}", exact, key=len) + (QUOTED_MARK if QUOTED in published else "")


def _paper_setting(study: Study, row: TableRow) -> str:
    return setting_text({name: value for name, value in (row.published or {}).items() if name not in study.table.keys})


def _spread_sheet(findings: Findings) -> Sheet:
    headings, rows = spread_values(findings)
    return Sheet(headings, [[plain(value) for value in row] for row in rows])


def spread_values(findings: Findings) -> tuple[list[str], list[list[Any]]]:
    """Return the headings and the rows of the study's table as CSV has it: every number stands alone, or is None.

    Numbers of a column that ends in ``_percent`` are in percent, and so is its deviation.
    """
    study, rows = findings.study, findings.rows
    settings = {name for row in rows for name in row.setting}
    names = [name for name in CATALOGUE.fields if name in settings]
    headings = [*study.table.keys, *names]
    for column in study.table.columns:
        unit = "_percent" if CATALOGUE.metrics[column.metric].unit == PERCENT else ""
        headings += [f"{column.metric}{unit}", f"{column.metric}_sd", f"{column.metric}_paper{unit}"]
        headings += [f"{column.metric}_p"] if study.table.baseline is not None else []
    lines = []
    for row in rows:
        entries = [row.keys[key] for key in study.table.keys] + [row.setting.get(name) for name in names]
        p_values = findings.p_values.get(row, [None] * len(row.measured))
        for column, statistic, p in zip(study.table.columns, row.measured, p_values, strict=True):
            scaled = CATALOGUE.metrics[column.metric].unit.scaled
            mean = None if statistic is None else scaled(statistic.mean)
            deviation = None if statistic is None or statistic.deviation is None else scaled(statistic.deviation)
            entries += [mean, deviation, (row.published or {}).get(column.metric)]
            if study.table.baseline is not None:
                entries.append(p)
        lines.append([*entries, row.done, row.failed, row.total])
    return [*headings, "done", "failed", "trials"], lines
