"""ImageNet (Russakovsky et al., 2015): the ILSVRC 2012 classification data of section 3.1."""

from __future__ import annotations

import shutil
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from mixup_study.data.image_files import StreamedSet
from mixup_study.data.image_folder import MEAN, PARTS, STD, open_folder
from mixup_study.data.progress import ProgressLines
from mixup_study.errors import InputError

NAME = "imagenet"
ARCHIVES = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz")
"""The official files: training images, validation images, and the labels of these."""
TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
"""Files of the development kit: the class's number of each validation image, and the name of each class."""
CLASSES, TRAINING, TEST = 1000, 1_281_167, 50_000
SIDE = 224


def load_imagenet(folder: Path) -> StreamedSet:
    """Return the images in ``imagenet/train`` and ``imagenet/val`` of the data folder; the latter are tested on.

    Where a part is missing, it is unpacked from the official archives in the data folder; one process of a machine does
    that while others wait, and one that is interrupted is gone on with. Raises InputError where there is neither, or
    where images are missing.
    """
    root = folder / NAME
    if not all((root / part).is_dir() for part in PARTS):
        _unpack(folder, root)
    data = open_folder(root, SIDE, MEAN, STD)
    expected = {"classes": CLASSES, "training images": TRAINING, "validation images": TEST}
    counts = (data.classes, len(data.train_labels_N), len(data.test_labels_N))
    for count, (name, own) in zip(counts, expected.items(), strict=True):
        if count != own:
            raise InputError(f"{root}: {count:,} {name}; expected the {own:,} of ILSVRC 2012")
    return data


def _unpack(folder: Path, root: Path) -> None:
    train, val, devkit = (folder / name for name in ARCHIVES)
    needed = [train] if not (root / "train").is_dir() else []
    needed += [val, devkit] if not (root / "val").is_dir() else []
    missing = [archive.name for archive in needed if not archive.is_file()]
    if missing:
        raise InputError(
            f"imagenet: not in {folder}; put {', '.join(missing)} there, from image-net.org, or the unpacked images as"
            f" {NAME}/train/<class>/ and {NAME}/val/<class>/, or name another folder with --data"
        )
    try:
        with FileLock(folder / f".{NAME}.lock"):
            if not (root / "train").is_dir():
                unpack_training(train, root / "train")
            if not (root / "val").is_dir():
                unpack_validation(val, read_labels(devkit), root / "val")
    except (OSError, ValueError, tarfile.TarError) as error:
        raise InputError(f"imagenet: cannot be unpacked in {folder}: {' '.join(str(error).split())}") from None


def unpack_training(archive: Path, target: Path) -> None:
    """Unpack an archive of an archive for each class as ``target``; classes that were unpacked before are left."""
    part = target.with_name(f".{target.name}")
    part.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as outer:
        members = [member for member in outer if member.isfile() and member.name.endswith(".tar")]
        for member in _show_progress(members, "classes"):
            own = part / Path(member.name).stem
            if own.is_dir():
                continue
            unfinished = part / f".{own.name}.{uuid.uuid4().hex}"
            try:
                with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                    inner.extractall(unfinished, filter="data")
                unfinished.rename(own)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    part.rename(target)


def read_labels(devkit: Path) -> list[str]:
    """Return the class's name of each validation image, in the order of their numbers, by the development kit."""
    from scipy.io import loadmat

    with tarfile.open(devkit) as kit:
        by_name = {Path(member.name).name: member for member in kit if member.isfile()}
        for name in (TRUTH, META):
            if name not in by_name:
                raise ValueError(f"{devkit.name} has no {name}")
        truth = kit.extractfile(by_name[TRUTH])
        assert truth is not None
        numbers = [int(line) for line in truth.read().split()]
        synsets = loadmat(kit.extractfile(by_name[META]), squeeze_me=True)["synsets"]
    names = {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in synsets}
    return [names[number] for number in numbers]


def unpack_validation(archive: Path, labels: list[str], target: Path) -> None:
    """Unpack an archive of images, ``…_00000001.JPEG`` and so on, as ``target`` with a folder for each class."""
    part = target.with_name(f".{target.name}")
    with tarfile.open(archive) as images:
        members = [member for member in images if member.isfile()]
        for member in _show_progress(members, "validation images"):
            number = int(Path(member.name).stem.rpartition("_")[2])
            own = part / labels[number - 1] / Path(member.name).name
            if own.is_file() and own.stat().st_size == member.size:
                continue
            own.parent.mkdir(parents=True, exist_ok=True)
            source = images.extractfile(member)
            assert source is not None
            own.write_bytes(source.read())
    part.rename(target)


def _show_progress(members: list[tarfile.TarInfo], noun: str) -> Iterator[tarfile.TarInfo]:
    """Yield members of an archive; tell now and then on standard error how many there were."""
    lines = ProgressLines()
    for number, member in enumerate(members):
        lines.show(f"imagenet: {number:,} of {len(members):,} {noun} unpacked")
        yield member
