"""How far the study is, and which of its trials took longest or failed."""

from __future__ import annotations

from dataclasses import dataclass

from mixup_study.analysis.table import Records
from mixup_study.study.labels import cell_labels
from mixup_study.study.study import Study
from mixup_study.views.report.charts import Numbers
from mixup_study.views.report.texts import moment

SLOWEST = 10
FAILED = 200
"""Trials listed."""


@dataclass(frozen=True)
class Progress:
    """How many of the study's trials have ended, and how."""

    total: int
    done: int
    failed: int

    @property
    def left(self) -> int:
        """Return how many have neither finished nor failed."""
        return self.total - self.done - self.failed


def progress(study: Study, records: Records) -> Progress:
    """Return how far the study is."""
    states = [record["status"] for trial_id in study.trials if (record := records.get(trial_id)) is not None]
    return Progress(len(study.trials), states.count("done"), states.count("failed"))


def slowest(study: Study, records: Records) -> Numbers:
    """Return the finished trials that took longest, the slowest first."""
    found = [
        (record["train_seconds"], trial_id)
        for trial_id in study.trials
        if (record := records.get(trial_id)) is not None and record["status"] == "done" and record["train_seconds"]
    ]
    labels = cell_labels(study)
    rows = [
        [trial_id, labels[trial_id], f"{seconds:.1f}", _started(records, trial_id)]
        for seconds, trial_id in sorted(found, key=lambda one: (-one[0], one[1]))[:SLOWEST]
    ]
    return Numbers(["trial_id", "trial", "seconds", "started"], rows, frozenset({2}))


def failed(study: Study, records: Records) -> Numbers:
    """Return the failed trials with their errors, in the study's order."""
    labels = cell_labels(study)
    rows = [
        [trial_id, labels[trial_id], f"{record['train_seconds'] or 0:.1f}", record["error"] or ""]
        for trial_id in study.trials
        if (record := records.get(trial_id)) is not None and record["status"] == "failed"
    ]
    return Numbers(["trial_id", "trial", "seconds", "error"], rows[:FAILED], frozenset({2}))


def _started(records: Records, trial_id: str) -> str:
    at = records[trial_id]["started_at"]
    return "" if at is None else moment(at)
