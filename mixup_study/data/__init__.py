"""Data sets as tensors, their augmentation, and label noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from mixup_study.catalogue.rules import TABLE_SHAPES, DatasetName
from mixup_study.data import digits
from mixup_study.data.downloaded import CIFAR10, CIFAR100, FASHION_MNIST
from mixup_study.data.embedded import embedded, in_the_plane
from mixup_study.data.labelled import LabelledSet
from mixup_study.data.openml import uci
from mixup_study.data.tables import Table

IMAGES: dict[DatasetName, Callable[[Path], LabelledSet]] = {
    "digits": digits.load,
    "cifar10": CIFAR10.load,
    "cifar100": CIFAR100.load,
    "fashion_mnist": FASHION_MNIST.load,
}
"""Every image data set by the name that studies give it; called with the data folder."""
TABLES: dict[DatasetName, Table] = {
    "iris": embedded("iris"),
    "wine": embedded("wine"),
    "breast_cancer": embedded("breast_cancer"),
    "optdigits": embedded("digits"),
    "abalone": uci("abalone", TABLE_SHAPES["abalone"], openml_id=183, classes=28),
    "arcene": uci("arcene", TABLE_SHAPES["arcene"], openml_id=1458, classes=2),
    "arrhythmia": uci("arrhythmia", TABLE_SHAPES["arrhythmia"], openml_id=5, classes=13),
    "htru2": uci("htru2", TABLE_SHAPES["htru2"], openml_id=45558, classes=2),
    "phishing": uci("phishing", TABLE_SHAPES["phishing"], openml_id=4534, classes=2),
    "two_moons": in_the_plane("moons", TABLE_SHAPES["two_moons"]),
    "circles": in_the_plane("circles", TABLE_SHAPES["circles"], factor=0.5),
}
"""Every table by the name that studies give it."""


@lru_cache(maxsize=2)
def load(name: DatasetName, folder: Path, device: torch.device, split_seed: int = 0) -> LabelledSet:
    """Return a data set on ``device``, InputError where it is not to be had; one just loaded is not read again.

    ``split_seed`` splits a table into training and test rows; images have a split of their own.
    """
    loaded = TABLES[name].load(folder, split_seed) if is_table(name) else IMAGES[name](folder)
    return loaded.to(device)


def is_table(name: DatasetName) -> bool:
    """Return whether a data set is a table, which its trials split by their seeds."""
    return name in TABLES
