"""Data sets that torchvision downloads: CIFAR-10, CIFAR-100 and Fashion-MNIST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from mixup_study.data.images import ImageSet
from mixup_study.errors import InputError


@dataclass(frozen=True)
class Downloaded:
    """One of torchvision's data sets, and how its images are normalised and augmented."""

    name: str
    torchvision_class: str
    files: str
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool = True
    pad: int = 4

    def __call__(self, folder: Path) -> ImageSet:
        """Return the data set from ``folder``, downloading it there first where it is missing.

        One process downloads while others on the machine wait. Raises InputError, naming the folder and the
        files to put there, where the data set is missing and cannot be downloaded.
        """
        try:
            train, test = self._parts(folder)
        except Exception as error:  # torchvision raises whatever its transport does
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"{self.name}: not in {folder} and not to be downloaded ({reason}); put {self.files} there,"
                " or name another folder with --data"
            ) from error
        return ImageSet(
            train_inputs_N=train[0],
            train_labels_N=train[1],
            test_inputs_N=test[0],
            test_labels_N=test[1],
            classes=self.classes,
            mean=self.mean,
            std=self.std,
            pad=self.pad,
            flip=self.flip,
        )

    def _parts(self, folder: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
        try:
            return [self._part(folder, train=train, download=False) for train in (True, False)]
        except RuntimeError:  # not there, or damaged
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{self.name}.lock"):
                return [self._part(folder, train=train, download=True) for train in (True, False)]

    def _part(self, folder: Path, *, train: bool, download: bool) -> tuple[torch.Tensor, torch.Tensor]:
        from torchvision import datasets

        dataset: Callable[..., object] = getattr(datasets, self.torchvision_class)
        part = dataset(str(folder), train=train, download=download)
        images = np.asarray(part.data)  # type: ignore[attr-defined]  # every one of these data sets has it
        if images.ndim == 3:
            images = images[..., None]
        labels = torch.as_tensor(part.targets, dtype=torch.int64)  # type: ignore[attr-defined]  # likewise
        return torch.from_numpy(images), labels


load_cifar10 = Downloaded(
    name="cifar10",
    torchvision_class="CIFAR10",
    files="cifar-10-python.tar.gz, unpacked as cifar-10-batches-py/,",
    classes=10,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
)
load_cifar100 = Downloaded(
    name="cifar100",
    torchvision_class="CIFAR100",
    files="cifar-100-python.tar.gz, unpacked as cifar-100-python/,",
    classes=100,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
)
load_fashion_mnist = Downloaded(
    name="fashion_mnist",
    torchvision_class="FashionMNIST",
    files="the four *-ubyte files as FashionMNIST/raw/",
    classes=10,
    mean=(0.2860,),
    std=(0.3530,),
)
