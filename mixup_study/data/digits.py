"""scikit-learn's handwritten digits: 1,797 real 8x8 images that need no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mixup_study.data.images import ImageSet

_FILE = Path(__file__).with_name("digits.npz")
"""The images of ``sklearn.datasets.load_digits``, split by its ``train_test_split`` with ``random_state=0``.

They are part of the Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998, UCI Machine Learning
Repository, CC BY 4.0). They stand here because to import scikit-learn takes longer than to train on them.
"""


def load_digits(folder: Path) -> ImageSet:
    """Return 1,437 training and 360 test images, the same split every time, stratified by class."""
    with np.load(_FILE) as parts:
        images = parts["train_inputs"]
        scaled = images / 255
        return ImageSet(
            train_inputs_N=torch.from_numpy(images),
            train_labels_N=torch.from_numpy(parts["train_labels"]).long(),
            test_inputs_N=torch.from_numpy(parts["test_inputs"]),
            test_labels_N=torch.from_numpy(parts["test_labels"]).long(),
            classes=10,
            mean=(float(scaled.mean()),),
            std=(float(scaled.std()),),
            pad=1,
            flip=False,
        )
