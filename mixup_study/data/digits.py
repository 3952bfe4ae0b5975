"""scikit-learn's handwritten digits: 1,797 real 8x8 images that need no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mixup_study.data.images import ImageSet


def load_digits(folder: Path) -> ImageSet:
    """Return 1,437 training and 360 test images, the same split every time, stratified by class."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    pixels, labels = datasets.load_digits(return_X_y=True)  # 0 to 16
    images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    train, test = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
    scaled = images[train] / 255
    return ImageSet(
        train_inputs_N=torch.from_numpy(images[train]),
        train_labels_N=torch.from_numpy(labels[train]).long(),
        test_inputs_N=torch.from_numpy(images[test]),
        test_labels_N=torch.from_numpy(labels[test]).long(),
        classes=10,
        mean=(float(scaled.mean()),),
        std=(float(scaled.std()),),
        pad=1,
        flip=False,
    )
