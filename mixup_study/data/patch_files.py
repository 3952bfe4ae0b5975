"""The patches of photographs as JPEG files: a small data set that is read as ImageNet is."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from filelock import FileLock
from torch import Tensor
from torchvision.io import encode_jpeg

from mixup_study.data.image_files import StreamedSet
from mixup_study.data.image_folder import open_folder
from mixup_study.data.patches import PHOTOGRAPHS, SIDE, load_patches
from mixup_study.errors import InputError

NAME = "patches_jpeg"
QUALITY = 95


def load_patch_files(folder: Path) -> StreamedSet:
    """Return the images of ``patches`` with the same split, from files in the data folder that are written first.

    One process of a machine writes them while others wait. Raises InputError where they cannot be written.
    """
    patches = load_patches(folder)
    root = folder / NAME
    if not root.is_dir():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{NAME}.lock"):
                if not root.is_dir():
                    parts = {
                        "train": (patches.train_inputs_N, patches.train_labels_N),
                        "val": (patches.test_inputs_N, patches.test_labels_N),
                    }
                    _write(root, parts)
        except OSError as error:
            raise InputError(f"{NAME}: cannot be written to {folder}: {error.strerror}") from None
    return open_folder(root, SIDE, patches.mean, patches.std)


def _write(root: Path, parts: dict[str, tuple[Tensor, Tensor]]) -> None:
    """Write the images of each part, uint8 (N, H, W, 3), as a folder that exists only once all of them are there."""
    names = [Path(file).stem for _, file in PHOTOGRAPHS]
    unfinished = root.with_name(f".{root.name}.{uuid.uuid4().hex}")
    try:
        for part, (images_N, labels_N) in parts.items():
            for number, (image, label) in enumerate(zip(images_N, labels_N.tolist(), strict=True)):
                (own := unfinished / part / names[label]).mkdir(parents=True, exist_ok=True)
                encoded = encode_jpeg(image.permute(2, 0, 1).contiguous(), quality=QUALITY)
                (own / f"{number:04}.jpeg").write_bytes(encoded.numpy().tobytes())
        unfinished.rename(root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
