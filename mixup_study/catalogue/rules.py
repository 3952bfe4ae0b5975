"""TEMPORARY"""

from __future__ import annotations

from typing import TypeAlias

from mixup_study.catalogue.data_sets import TEST_SHARE
from mixup_study.catalogue.registry import CATALOGUE

TaskName: TypeAlias = str
DatasetName: TypeAlias = str
DATASET_KINDS = {name: next(iter(entry.provides - {"labels"})) for name, entry in CATALOGUE.data_sets.items()}
TABLE_SHAPES = {name: entry.shape for name, entry in CATALOGUE.data_sets.items() if entry.shape is not None}
__all__ = ["DATASET_KINDS", "TABLE_SHAPES", "TEST_SHARE", "DatasetName", "TaskName"]
