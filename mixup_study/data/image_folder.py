"""Folders of images, one for each class: ``train/<class>/<image>`` and ``val/<class>/<image>``."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from mixup_study.data.image_files import ImageFiles, StreamedSet
from mixup_study.errors import InputError

PARTS = ("train", "val")
SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
INDEX = "index.npz"
"""File beside the parts that lists theirs, written when they are first listed."""

DAMAGES = (OSError, KeyError, ValueError, EOFError, BadZipFile)
"""What NumPy raises for an index that is not there, or damaged."""


@dataclass(frozen=True)
class FolderIndex:
    """What is in a folder of images."""

    classes: tuple[str, ...]
    names: np.ndarray
    """Paths below the folder as bytes, (N,): those of the first part, then those of the second, each sorted."""
    labels: np.ndarray
    """int64, (N,)."""
    training: int
    """How many of them are to train on: the first."""

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that name which files there are."""
        return hashlib.sha256(b"\n".join(self.names.tolist())).hexdigest()[:16]


def list_images(root: Path) -> FolderIndex:
    """Return what is in a folder of images, by its index where that is there and no class's folder has changed since.

    Raises InputError for a folder that has no such parts, or none of a class.
    """
    folders = {part: _list_folders(root / part) for part in PARTS}
    classes = tuple(folders["train"])
    for name in folders["val"]:
        if name not in folders["train"]:
            raise InputError(f"{root / 'val' / name}: a class that train has not; expected the same folders in both")
    times = np.array([own[name] for own in folders.values() for name in own], np.int64)
    file = root / INDEX
    with suppress(*DAMAGES), np.load(file) as saved:  # one that is damaged is written anew
        if tuple(saved["classes"].tolist()) == classes and np.array_equal(saved["times"], times):
            return FolderIndex(classes, saved["names"], saved["labels"], int(saved["training"]))
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
                training=index.training,
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
    classes = tuple(folders["train"])
    numbers = {name: number for number, name in enumerate(classes)}
    names: list[bytes] = []
    labels: list[int] = []
    counts = []
    for part, own in folders.items():
        for name in own:
            with os.scandir(root / part / name) as entries:
                files = sorted(entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES))
            if not files:
                raise InputError(f"{root / part / name}: no image; expected files that end in {', '.join(SUFFIXES)}")
            names += [f"{part}/{name}/{file}".encode() for file in files]
            labels += [numbers[name]] * len(files)
        counts.append(len(names))
    return FolderIndex(classes, np.array(names, np.bytes_), np.array(labels, np.int64), counts[0])


def open_folder(root: Path, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> StreamedSet:
    """Return the images below ``root`` as squares of ``side`` pixels. Raises InputError."""
    index = list_images(root)
    labels_N = torch.from_numpy(index.labels)
    numbers_N = torch.arange(len(labels_N))
    return StreamedSet(
        train_inputs_N=numbers_N[: index.training],
        train_labels_N=labels_N[: index.training],
        test_inputs_N=numbers_N[index.training :],
        test_labels_N=labels_N[index.training :],
        classes=len(index.classes),
        digest=index.digest,
        files=ImageFiles(root, index.names, side),
        mean=mean,
        std=std,
    )
