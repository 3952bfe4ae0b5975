"""Data sets as tensors, their augmentation, and label noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from mixup_study.data import digits
from mixup_study.data.downloaded import CIFAR10, CIFAR100, FASHION_MNIST
from mixup_study.data.images import ImageSet
from mixup_study.spec.trial import DatasetName

DATASETS: dict[DatasetName, Callable[[Path], ImageSet]] = {
    "digits": digits.load,
    "cifar10": CIFAR10.load,
    "cifar100": CIFAR100.load,
    "fashion_mnist": FASHION_MNIST.load,
}
"""Every data set by the name that studies give it."""


@lru_cache(maxsize=2)
def load(name: DatasetName, folder: Path, device: torch.device) -> ImageSet:
    """Return a data set on ``device``, read once per process; InputError where it is not to be had."""
    return DATASETS[name](folder).to(device)
