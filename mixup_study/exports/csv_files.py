"""A study's results as CSV files, for spreadsheets and other languages."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.study_trials import list_study_trials
from mixup_study.exports.targets import writing_to
from mixup_study.store.sql import query
from mixup_study.views.query_sheet import query_sheet
from mixup_study.views.render import render
from mixup_study.views.study_table import study_sheet


def write_csv_files(findings: Findings, folder: Path) -> str:
    """Write ``table.csv``, ``trials.csv``, ``epochs.csv`` and, where trials keep points, ``points.csv`` to a folder.

    Numbers are exact, and in the units of the results; a column in which no trial has a value is left out. Returns what
    was written. Raises InputError where that is not possible.
    """
    texts = {"table.csv": render(study_sheet(findings, spread=True), "csv")}
    study = list_study_trials(findings.study)
    for view, order in (("trials", "trial_id"), ("epochs", "trial_id, epoch"), ("points", "trial_id, point")):
        rows = query(findings.store, f"select * from {view} order by {order}", None, [study])
        if len(rows) or view != "points":
            texts[f"{view}.csv"] = render(query_sheet(_drop_empty_columns(rows), rounded=False), "csv")
    with writing_to("--csv", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    return ", ".join(texts)


def _drop_empty_columns(rows: pa.Table) -> pa.Table:
    filled = [name for name in rows.column_names if rows[name].null_count < len(rows)]
    return rows.select(filled) if len(rows) else rows
