"""Folders of images, one for each class: ``train/<class>/<image>``, and ``val`` or ``test`` likewise."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from mixup_study.data.image_files import ImageFiles, StreamedSet
from mixup_study.data.labelled import Part
from mixup_study.errors import InputError
from mixup_study.study.data_files import INDEX

PARTS = ("train", "val")
SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, scaled to [0, 1], per channel: what photographs are normalised by."""

DAMAGES = (OSError, KeyError, ValueError, EOFError, BadZipFile)
"""What NumPy raises for an index that is not there, or damaged."""


@dataclass(frozen=True)
class FolderIndex:
    """What is in a folder of images."""

    classes: tuple[str, ...]
    names: np.ndarray
    """Paths below the folder as bytes, (N,): those of the first part, then those of the second …, each sorted."""
    labels: np.ndarray
    """int64, (N,)."""
    counts: tuple[int, ...]
    """How many of them each part has."""

    @property
    def training(self) -> int:
        """Return how many of them are to train on: the first."""
        return self.counts[0]

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that name which files there are."""
        return hashlib.sha256(b"\n".join(self.names.tolist())).hexdigest()[:16]


def list_images(root: Path, parts: Sequence[str] = PARTS) -> FolderIndex:
    """Return what is in a folder of images, by its index where that is there and no class's folder has changed since.

    ``parts`` are the folders in it, that of the training images first; INDEX is written beside them.

    Raises InputError for a folder that has no such parts, or none of a class.
    """
    folders = {part: _list_folders(root / part) for part in parts}
    classes = tuple(folders[parts[0]])
    for held_out in parts[1:]:
        for name in folders[held_out]:
            if name not in classes:
                raise InputError(
                    f"{root / held_out / name}: a class that train has not; expected the same folders in both"
                )
    times = np.array([own[name] for own in folders.values() for name in own], np.int64)
    file = root / INDEX
    with suppress(*DAMAGES), np.load(file) as saved:  # one that is damaged is written anew
        if tuple(saved["classes"].tolist()) == classes and np.array_equal(saved["times"], times):
            return FolderIndex(classes, saved["names"], saved["labels"], tuple(saved["counts"].tolist()))
    index = _list_files(root, folders)
    part = file.with_name(f".{INDEX}.{uuid.uuid4().hex}.npz")
    try:
        with suppress(OSError):  # a folder that cannot be written is listed each time
            np.savez(
                part,
                classes=np.array(classes),
                times=times,
                names=index.names,
                labels=index.labels,
                counts=np.array(index.counts),
            )
            part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return index


def _list_folders(folder: Path) -> dict[str, int]:
    """Return the classes of a part, sorted, with when their folders last changed."""
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.stat().st_mtime_ns for entry in entries if entry.is_dir()}
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}; expected a folder for each class") from None
    if not found:
        raise InputError(f"{folder}: it holds no folder; expected one for each class")
    return dict(sorted(found.items()))


def _list_files(root: Path, folders: dict[str, dict[str, int]]) -> FolderIndex:
    classes = tuple(next(iter(folders.values())))
    numbers = {name: number for number, name in enumerate(classes)}
    names: list[bytes] = []
    labels: list[int] = []
    counts: list[int] = []
    for part, own in folders.items():
        for name in own:
            with os.scandir(root / part / name) as entries:
                files = sorted(entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES))
            if not files:
                raise InputError(f"{root / part / name}: no image; expected files that end in {', '.join(SUFFIXES)}")
            names += [f"{part}/{name}/{file}".encode() for file in files]
            labels += [numbers[name]] * len(files)
        counts.append(len(names) - sum(counts))
    return FolderIndex(classes, np.array(names, np.bytes_), np.array(labels, np.int64), tuple(counts))


def load_image_folder(data_folder: Path, /, folder: str, image_size: int) -> StreamedSet:
    """Return the images of a folder in the data folder as squares of ``image_size`` pixels.

    They are tested on ``test``, or on ``val`` where there is no ``test``; where there are both, ``val`` is the
    validation part. Pixels are normalised by ImageNet's mean and standard deviation. Raises InputError.
    """
    root = data_folder / folder
    held_out = [part for part in ("test", "val") if (root / part).is_dir()]
    if not held_out:
        raise InputError(f"{root}: neither test nor val is in it; expected test/<class>/<image>")
    return open_folder(root, image_size, MEAN, STD, ("train", *held_out))


def open_folder(
    root: Path, side: int, mean: tuple[float, ...], std: tuple[float, ...], parts: Sequence[str] = PARTS
) -> StreamedSet:
    """Return the images below ``root`` as squares of ``side`` pixels. Raises InputError.

    ``parts`` are the folders to train on, to test on, and perhaps to validate on.
    """
    index = list_images(root, parts)
    labels = torch.from_numpy(index.labels).split(index.counts)
    numbers = torch.arange(len(index.labels)).split(index.counts)
    return StreamedSet(
        train_inputs_N=numbers[0],
        train_labels_N=labels[0],
        test_inputs_N=numbers[1],
        test_labels_N=labels[1],
        validation=Part(numbers[2], labels[2]) if len(numbers) > 2 else None,
        classes=len(index.classes),
        digest=index.digest,
        files=ImageFiles(root, index.names, side),
        mean=mean,
        std=std,
    )
