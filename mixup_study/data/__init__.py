"""Data sets as tensors, their augmentation, and label noise."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from mixup_study.catalogue import CATALOGUE
from mixup_study.data.images import ImageSet
from mixup_study.data.labelled import LabelledSet

__all__ = ["ImageSet", "LabelledSet", "load_labelled_set"]


@lru_cache(maxsize=2)
def load_labelled_set(
    name: str, folder: Path, device: torch.device, /, *, file_digest: str | None = None, **values: Any
) -> LabelledSet:
    """Return a data set of the catalogue on ``device``; one just loaded is not read again.

    ``folder`` holds the data sets; ``values`` are those of the fields by which it is read, such as ``split_seed``.
    Files of another ``file_digest`` are read anew. Raises InputError where the data set is not to be had.
    """
    loaded: LabelledSet = CATALOGUE.data_sets[name].load()(folder, **values)
    return loaded.to(device)
