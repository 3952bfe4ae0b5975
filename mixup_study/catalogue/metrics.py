"""TEMPORARY"""

from __future__ import annotations

from typing import Any

from mixup_study.catalogue.registry import CATALOGUE
from mixup_study.catalogue.units import PERCENT

Metric = str
METRICS = tuple(CATALOGUE.metrics)
COUNTS = frozenset(name for name, metric in CATALOGUE.metrics.items() if metric.unit != PERCENT)
OF_TASK = {name: tuple(metric.name for metric in task.metrics) for name, task in CATALOGUE.tasks.items()}
HEADLINE: dict[str, Any] = {name: task.headline for name, task in CATALOGUE.tasks.items()}


def headline_metric(task: str) -> str:
    metric = CATALOGUE.tasks[task].headline_metric
    assert metric is not None
    return metric.name


def scaled(metric: str, value: float) -> float:
    return value * CATALOGUE.metrics[metric].unit.scale
