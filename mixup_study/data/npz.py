"""Images and tables of the user's own, in a file of arrays as ``numpy.savez`` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from torch import Tensor

from mixup_study.data.images import ImageSet
from mixup_study.data.preparation import draw_held_out
from mixup_study.data.tables import TabularSet
from mixup_study.errors import InputError

SPLIT = ("x_train", "y_train", "x_test", "y_test")
WHOLE = ("x", "y")
PADDED = 8
"""The shorter side of an image over the pixels of zeros around it before a random crop: 4 of CIFAR's 32."""

COUNTED = 1000
"""Images whose pixels are counted at a time."""


class _Examples(NamedTuple):
    """Inputs as they stand in the file, and their labels, int64."""

    x_train: np.ndarray
    y_train: Tensor
    x_test: np.ndarray
    y_test: Tensor
    classes: int


def load_images(data_folder: Path, /, file: str, test_share: float | None, flip: bool) -> ImageSet:
    """Return the images of a file, uint8 (N, H, W) or (N, H, W, C), normalised by the training images per channel.

    Under augmentation they are cropped at random after an eighth of their shorter side of zeros was put around them,
    and flipped where ``flip``. Raises InputError for arrays of another kind.
    """
    path = data_folder / file
    examples = _read(path, test_share)
    for name, x in _list_inputs(examples, test_share):
        if x.ndim not in (3, 4):
            hint = "; dataset: npz_table takes rows of numbers" if x.ndim == 2 else ""
            raise InputError(
                f"{path}: {name} has the shape {x.shape}; expected images, (N, H, W) or (N, H, W, C){hint}"
            )
        if x.dtype != np.uint8:
            raise InputError(
                f"{path}: {name} is {x.dtype}; expected uint8 pixels in [0, 255], as (255 * x).round().astype('uint8')"
                " makes of those in [0, 1]"
            )
    train, test = (x if x.ndim == 4 else x[..., None] for x in (examples.x_train, examples.x_test))
    mean, std = zip(*(_measure(train[..., channel]) for channel in range(train.shape[3])), strict=True)
    return ImageSet(
        train_inputs_N=torch.from_numpy(train),
        train_labels_N=examples.y_train,
        test_inputs_N=torch.from_numpy(test),
        test_labels_N=examples.y_test,
        classes=examples.classes,
        mean=mean,
        std=std,
        pad=round(min(train.shape[1:3]) / PADDED),
        flip=flip,
    )


def _measure(pixels_NHW: np.ndarray) -> tuple[float, float]:
    """Return the mean of uint8 pixels scaled to [0, 1], and their standard deviation, 1 where all are the same."""
    counts = np.zeros(256)
    for first in range(0, len(pixels_NHW), COUNTED):  # as numbers of 8 bytes
        counts += np.bincount(pixels_NHW[first : first + COUNTED].reshape(-1), minlength=256)
    levels, shares = np.arange(256) / 255, counts / counts.sum()
    mean = shares @ levels
    return float(mean), float((shares @ (levels - mean) ** 2) ** 0.5) or 1.0


def load_table(data_folder: Path, /, file: str, test_share: float | None) -> TabularSet:
    """Return the rows of a file, numbers (N, F), standardised by the training rows. Raises InputError for others."""
    path = data_folder / file
    examples = _read(path, test_share)
    for name, x in _list_inputs(examples, test_share):
        if x.ndim != 2:
            hint = "; dataset: npz takes images" if x.ndim in (3, 4) else ""
            raise InputError(f"{path}: {name} has the shape {x.shape}; expected rows of numbers, (N, F){hint}")
        if x.dtype.kind not in "biuf":
            raise InputError(f"{path}: {name} is {x.dtype}; expected numbers")
        wrong = ~np.isfinite(x).all(1)
        if wrong.any():
            raise InputError(
                f"{path}: {name} has {wrong.sum()} rows with NaN or infinity, the first of them row {wrong.argmax()};"
                " expected finite numbers"
            )
    train, test = (x.astype(np.float64) for x in (examples.x_train, examples.x_test))
    mean, std = train.mean(0), train.std(0)
    scaled = [torch.from_numpy(((x - mean) / np.where(std > 0, std, 1)).astype(np.float32)) for x in (train, test)]
    return TabularSet(scaled[0], examples.y_train, scaled[1], examples.y_test, examples.classes)


def _list_inputs(examples: _Examples, test_share: float | None) -> list[tuple[str, np.ndarray]]:
    """Return the arrays of inputs by their names in the file."""
    if test_share is None:
        return [("x_train", examples.x_train), ("x_test", examples.x_test)]
    return [("x", examples.x_train)]


def _read(path: Path, test_share: float | None) -> _Examples:
    """Return the examples of a file, split by ``test_share`` where it holds no test set. Raises InputError."""
    arrays = _read_arrays(path)
    expected = SPLIT if test_share is None else WHOLE
    missing = [name for name in expected if name not in arrays]
    if missing:
        hint = ""
        if test_share is None and set(WHOLE) <= arrays.keys():
            hint = ", or test_share: 0.2 beside file, which sets a part of x and y apart"
        elif test_share is not None and set(SPLIT) <= arrays.keys():
            hint = "; it has a test set, so expected no test_share"
        raise InputError(
            f"{path}: no {', '.join(missing)}; it holds {', '.join(arrays) or 'nothing'}; expected"
            f" {', '.join(expected)}{hint}"
        )
    for inputs, own in zip(expected[::2], expected[1::2], strict=True):
        _check_pair(path, (inputs, arrays[inputs]), (own, arrays[own]))
    if test_share is None and arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        raise InputError(
            f"{path}: x_train has the shape {arrays['x_train'].shape}, x_test {arrays['x_test'].shape}; expected"
            " examples of one shape"
        )
    labels = [torch.from_numpy(arrays[name].reshape(-1).astype(np.int64)) for name in expected[1::2]]
    classes = _count_classes(path, labels[0], expected[1])
    if test_share is None:
        above = int(labels[1].max())
        if above >= classes:
            raise InputError(f"{path}: y_test has label {above}; expected those of y_train, 0 to {classes - 1}")
        return _Examples(arrays["x_train"], labels[0], arrays["x_test"], labels[1], classes)
    try:
        is_test_N = draw_held_out(labels[0], test_share, 0, "test_share")
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    x, y = arrays["x"], labels[0]
    return _Examples(x[~is_test_N.numpy()], y[~is_test_N], x[is_test_N.numpy()], y[is_test_N], classes)


def _read_arrays(path: Path) -> dict[str, Any]:
    try:
        opened = np.load(path)
        if not isinstance(opened, NpzFile):
            raise InputError(f"{path}: it holds a single array; expected several by name, as numpy.savez writes")
        with opened as file:
            return {name: file[name] for name in file.files if name in (*SPLIT, *WHOLE)}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; put it there, or name another folder with --data") from None
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(
            f"{path}: cannot be read: {' '.join(str(error).split())}; expected a file of numpy.savez"
        ) from None


def _check_pair(path: Path, inputs: tuple[str, np.ndarray], labels: tuple[str, np.ndarray]) -> None:
    """Raise InputError unless there is an integer label for each input."""
    (x_name, x), (y_name, y) = inputs, labels
    if y.dtype.kind not in "iu":
        raise InputError(f"{path}: {y_name} is {y.dtype}; expected whole numbers, the class of each example from 0")
    if y.ndim not in (1, 2) or y.size != len(y):
        raise InputError(f"{path}: {y_name} has the shape {y.shape}; expected a label for each example, (N,)")
    if x.ndim == 0 or len(x) != len(y) or len(x) == 0:
        raise InputError(
            f"{path}: {x_name} has the shape {x.shape}, {y_name} {y.shape}; expected as many, at least one"
        )
    if int(y.min()) < 0:
        raise InputError(f"{path}: {y_name} has label {y.min()}; expected whole numbers from 0")


def _count_classes(path: Path, labels_N: Tensor, name: str) -> int:
    """Return how many classes there are; raise InputError for one without an example, and for one alone."""
    present = labels_N.unique()
    classes = int(present[-1]) + 1
    absent = sorted(set(range(min(classes, len(labels_N) + 1))) - set(present.tolist()))
    if absent:
        raise InputError(
            f"{path}: {name} has labels up to {classes - 1} but none of class {absent[0]}; expected examples of all"
            " classes, counted from 0 without a gap"
        )
    if classes < 2:
        raise InputError(f"{path}: {name} has one class; expected two or more")
    return classes
