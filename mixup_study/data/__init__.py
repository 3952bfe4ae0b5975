"""Data sets as tensors, their augmentation, and label noise."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch

from mixup_study.catalogue import CATALOGUE
from mixup_study.data.images import ImageSet
from mixup_study.data.labelled import LabelledSet

__all__ = ["ImageSet", "LabelledSet", "load_labelled_set"]


@lru_cache(maxsize=2)
def load_labelled_set(name: str, folder: Path, device: torch.device, split_seed: int = 0) -> LabelledSet:
    """Return a data set of the catalogue on ``device``; one just loaded is not read again.

    ``folder`` holds the data sets; ``split_seed`` splits one without a test set of its own. Raises InputError where
    the data set is not to be had.
    """
    entry = CATALOGUE.data_sets[name]
    load = entry.load()
    loaded: LabelledSet = load(folder, split_seed) if entry.is_split else load(folder)
    return loaded.to(device)
