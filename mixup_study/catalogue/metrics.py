"""What finished trials measure, by the names that tables, columns and SQL share."""

from __future__ import annotations

from typing import Literal, get_args

from mixup_study.catalogue.rules import TaskName

Metric = Literal[
    "test_error_best",
    "test_error_last",
    "test_error_median10",
    "train_error_real",
    "train_error_corrupted",
    "modes_covered_last",
    "modes_covered_lowest",
    "near_modes_last",
    "near_modes_mean",
]
"""Fractions in [0, 1], but for COUNTS."""

METRICS: tuple[Metric, ...] = get_args(Metric)
COUNTS: frozenset[Metric] = frozenset({"modes_covered_last", "modes_covered_lowest"})
"""Measurements that are numbers of things."""

OF_TASK: dict[TaskName, tuple[Metric, ...]] = {"classification": METRICS[:5], "gan": METRICS[5:]}
"""What the trials of each task measure."""
HEADLINE: dict[TaskName, str] = {"classification": "test_error", "gan": "modes_covered"}
"""The column of EPOCHS that tells how a trial is doing."""


def headline_metric(task: TaskName) -> Metric:
    """Return the measurement that tells how a finished trial did."""
    return next(metric for metric in OF_TASK[task] if metric == f"{HEADLINE[task]}_last")


def scaled(metric: Metric, value: float) -> float:
    """Return a measurement as tables show it: a fraction in percent, a count as it is."""
    return value if metric in COUNTS else 100 * value
