"""What there is: fields, data sets, networks, methods, optimizers, tasks and metrics. Imports neither torch nor ray."""

from __future__ import annotations

from mixup_study.catalogue.entries import (
    Component,
    Curve,
    Dataset,
    Method,
    Metric,
    Network,
    Optimizer,
    Quantity,
    TableShape,
    Task,
)
from mixup_study.catalogue.fields import FieldEntry, Fields, NeededTrial, Traits
from mixup_study.catalogue.registry import CATALOGUE, Catalogue, load_plugins
from mixup_study.catalogue.units import PERCENT, PLAIN, Unit, count_of

__all__ = [
    "CATALOGUE",
    "PERCENT",
    "PLAIN",
    "Catalogue",
    "Component",
    "Curve",
    "Dataset",
    "FieldEntry",
    "Fields",
    "Method",
    "Metric",
    "NeededTrial",
    "Network",
    "Optimizer",
    "Quantity",
    "TableShape",
    "Task",
    "Traits",
    "Unit",
    "count_of",
    "load_plugins",
]
