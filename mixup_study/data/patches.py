"""Patches of real photographs that come with scikit-learn and scikit-image: colour images that need no download."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from mixup_study.data.images import ImageSet

PHOTOGRAPHS = (
    ("skimage.data", "astronaut.png"),
    ("skimage.data", "chelsea.png"),
    ("skimage.data", "coffee.png"),
    ("skimage.data", "rocket.jpg"),
    ("skimage.data", "hubble_deep_field.jpg"),
    ("skimage.data", "ihc.png"),
    ("skimage.data", "retina.jpg"),
    ("skimage.data", "motorcycle_left.png"),
    ("sklearn.datasets.images", "china.jpg"),
    ("sklearn.datasets.images", "flower.jpg"),
)
"""Package and file of each class's photograph."""
HEIGHT, WIDTH = 300, 448
"""Of the middle of each photograph, which the patches are cut from."""
SIDE = 32
"""Rows and columns of a patch."""
BAND = 64
"""Columns of a band: its first half is for test patches, the other for training patches."""
TRAINING, TEST = 100, 50
"""Patches of each photograph."""


def load_patches(folder: Path) -> ImageSet:
    """Return 1,000 training and 500 test patches, the same every time, whose class is the photograph.

    No column of a photograph is in patches of both kinds: columns are cut into bands of BAND, of which test patches
    take one half and training patches the other.
    """
    photographs = [read_photograph(package, file) for package, file in PHOTOGRAPHS]
    parts = []
    for test, count in ((False, TRAINING), (True, TEST)):
        patches = [
            photograph[row : row + SIDE, column : column + SIDE]
            for label, photograph in enumerate(photographs)
            for row, column in draw_places(label, count, test=test)
        ]
        parts.append((torch.from_numpy(np.stack(patches)), torch.arange(len(PHOTOGRAPHS)).repeat_interleave(count)))
    (train_images, train_labels), (test_images, test_labels) = parts
    scaled = train_images.double() / 255
    return ImageSet(
        train_inputs_N=train_images,
        train_labels_N=train_labels,
        test_inputs_N=test_images,
        test_labels_N=test_labels,
        classes=len(PHOTOGRAPHS),
        mean=tuple(scaled.mean((0, 1, 2)).tolist()),
        std=tuple(scaled.std((0, 1, 2), correction=0).tolist()),
        pad=4,
        flip=True,
    )


def draw_places(label: int, count: int, *, test: bool) -> list[tuple[int, int]]:
    """Return the upper left corners of a class's patches, rows and columns in its photograph's middle, no two alike."""
    bands = WIDTH // BAND
    generator = np.random.RandomState([label, int(test)])  # whose numbers no version of NumPy changes
    places = generator.choice((HEIGHT - SIDE + 1) * bands, count, replace=False)
    return [(place // bands, BAND * (place % bands) + (0 if test else BAND - SIDE)) for place in places.tolist()]


def read_photograph(package: str, file: str) -> np.ndarray:
    """Return the middle of a photograph, uint8 (HEIGHT, WIDTH, 3)."""
    from PIL import Image

    with (files(package) / file).open("rb") as stream:
        pixels = np.asarray(Image.open(stream).convert("RGB"))
    top, left = (pixels.shape[0] - HEIGHT) // 2, (pixels.shape[1] - WIDTH) // 2
    return pixels[top : top + HEIGHT, left : left + WIDTH]
