"""Lists of trials: all of a study's, the slowest, and those that failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import cell_ids
from mixup_study.store.checkpoints import CheckpointEntry
from mixup_study.study.expand import Cell
from mixup_study.study.labels import list_varied, plain, time_text
from mixup_study.study.plan import list_needed_first
from mixup_study.views.sheet import Sheet

SLOWEST = 10
FAILED = 200
"""Trials listed."""


def trials_sheet(findings: Findings, checkpoints: Mapping[str, CheckpointEntry] | None = None) -> Sheet:
    """Return one row per cell of the study: trial_id, arm, every field that differs among the trials, and its state.

    Of a trial that has one of ``checkpoints``, by trial_id, the state says how far that is. Models that the cells
    need, and that are none of the study's own trials, follow; they are of no arm.
    """
    study = findings.study
    every_trial = list_needed_first(study.trials.values())
    models = [(Cell("", trial), trial_id) for trial_id, trial in every_trial.items() if trial_id not in study.trials]
    cells = study.every_cell
    varied = list_varied(cell.trial for cell in cells)
    rows = []
    for cell, trial_id in (*zip(cells, cell_ids(study, cells), strict=True), *models):
        record = findings.records.get(trial_id)
        state = "" if record is None else record["status"]
        if checkpoints and trial_id in checkpoints:
            state = ", ".join(filter(None, [state, checkpoints[trial_id].describe(cell.trial.trained_epochs)]))
        seconds = None if record is None else record["train_seconds"]
        taken = cell.trial.described_by
        values = (getattr(cell.trial, name) if name in taken else None for name in varied)
        texts = (plain(list(value) if isinstance(value, tuple) else value) for value in values)
        rows.append([trial_id, cell.arm, *texts, state or "to run", "" if seconds is None else f"{seconds:.1f}"])
    headings = ["trial_id", "arm", *varied, "state", "seconds"]
    return Sheet(headings, rows, numeric=frozenset({*range(2, 2 + len(varied)), len(headings) - 1}))


def slowest_sheet(findings: Findings) -> Sheet:
    """Return the finished trials that took longest, the slowest first."""
    timed = [
        (record["train_seconds"], record)
        for record in _records(findings)
        if record["status"] == "done" and record["train_seconds"]
    ]
    timed.sort(key=lambda pair: (-pair[0], pair[1]["trial_id"]))
    rows = []
    for seconds, record in timed[:SLOWEST]:
        started = "" if record["started_at"] is None else time_text(record["started_at"])
        rows.append([record["trial_id"], findings.labels[record["trial_id"]], f"{seconds:.1f}", started])
    return Sheet(["trial_id", "trial", "seconds", "started"], rows, numeric=frozenset({2}))


def failed_sheet(findings: Findings) -> Sheet:
    """Return the failed trials with their errors, in the study's order."""
    rows = [
        [
            record["trial_id"],
            findings.labels[record["trial_id"]],
            f"{record['train_seconds'] or 0:.1f}",
            record["error"] or "",
        ]
        for record in _records(findings)
        if record["status"] == "failed"
    ]
    return Sheet(["trial_id", "trial", "seconds", "error"], rows[:FAILED], numeric=frozenset({2}))


def _records(findings: Findings) -> list[Any]:
    """Return the records of the study's trials, in its order."""
    records = (findings.records.get(trial_id) for trial_id in findings.study.trials)
    return [record for record in records if record is not None]
