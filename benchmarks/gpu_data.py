"""Generated images of CIFAR's and of ImageNet's shape, for benchmarks where neither is at hand: a plugin."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mixup_study.catalogue import Dataset
from mixup_study.data import ImageSet


def load_generated(folder: Path) -> ImageSet:
    """Return 50,000 training and 2,000 test images of 32x32x3 noise, in 10 classes."""
    return _generate(50_000, 2_000, 32, classes=10)


def load_generated_large(folder: Path) -> ImageSet:
    """Return 2,048 training and 256 test images of 224x224x3 noise, in 1,000 classes."""
    return _generate(2_048, 256, 224, classes=1000)


def _generate(training: int, test: int, side: int, classes: int) -> ImageSet:
    generator = torch.Generator().manual_seed(0)

    def images(count: int) -> tuple[Tensor, Tensor]:
        pixels = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)
        return pixels, torch.arange(count) % classes

    return ImageSet(*images(training), *images(test), classes, (0.5,) * 3, (0.25,) * 3, pad=4, flip=True)


ENTRIES = [
    Dataset("generated", "benchmarks.gpu_data:load_generated", provides=frozenset({"labels", "images"})),
    Dataset("generated_large", "benchmarks.gpu_data:load_generated_large", provides=frozenset({"labels", "images"})),
]
