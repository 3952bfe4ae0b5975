"""Random crops and flips of whole minibatches (section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mixup_study.data.images import ImageSet
from mixup_study.spec.seeds import stream_seed


class Augmentation:
    """Zero padding, a random crop to the original size, and a random horizontal flip, as the data set allows.

    One gather on uint8 tensors does all three for a minibatch, on the device that holds the images.
    """

    def __init__(self, data: ImageSet, enabled: bool) -> None:
        """Pad the training images once; with ``enabled`` false, images pass unchanged."""
        self._data = data
        self._pad = data.pad if enabled else 0
        self._flip = data.flip and enabled
        pad = self._pad
        self._padded_NHWC = F.pad(data.train_images_NHWC, (0, 0, pad, pad, pad, pad))
        size = data.train_images_NHWC.shape[1:3]
        device = data.train_images_NHWC.device
        self._rows_H = torch.arange(size[0], device=device)
        self._columns_W = torch.arange(size[1], device=device)

    def epoch(self, seed: int, epoch: int) -> AugmentedEpoch:
        """Return the training images as this epoch sees them; the same (seed, epoch) gives the same images."""
        count = len(self._padded_NHWC)
        device = self._padded_NHWC.device
        generator = torch.Generator(device).manual_seed(stream_seed(seed, "augmentation", epoch))

        def draw(high: int) -> Tensor:
            return torch.randint(high, (count, 1), generator=generator, device=device)

        rows_NH = self._rows_H + draw(2 * self._pad + 1)
        columns_NW = self._columns_W.expand(count, -1)
        if self._flip:
            columns_NW = torch.where(draw(2) == 1, columns_NW.flip(1), columns_NW)
        columns_NW = columns_NW + draw(2 * self._pad + 1)
        return AugmentedEpoch(self._data, self._padded_NHWC, rows_NH, columns_NW)


class AugmentedEpoch:
    """Training images under one epoch's crops and flips."""

    def __init__(self, data: ImageSet, padded_NHWC: Tensor, rows_NH: Tensor, columns_NW: Tensor) -> None:
        """Take the padded images and, for each, the rows and columns that its crop consists of."""
        self._data = data
        self._padded_NHWC = padded_NHWC
        self._rows_NH = rows_NH
        self._columns_NW = columns_NW

    def __getitem__(self, index_B: Tensor) -> Tensor:
        """Return the normalised images at ``index_B`` as float32 (B, C, H, W)."""
        images_BHWC = self._padded_NHWC[
            index_B[:, None, None], self._rows_NH[index_B][:, :, None], self._columns_NW[index_B][:, None, :]
        ]
        return self._data.normalised(images_BHWC)
