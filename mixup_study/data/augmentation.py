"""Random crops and flips of whole minibatches (section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from mixup_study.data.labelled import Inputs
from mixup_study.study.seeds import stream_seed


class Augmentation:
    """Zero padding, a random crop to the original size, and a random horizontal flip.

    One gather on uint8 tensors does all three for a minibatch, on the device that holds the images.
    """

    def __init__(self, images_NHWC: Tensor, normalised: Callable[[Tensor], Tensor], pad: int, flip: bool) -> None:
        """Pad uint8 images by ``pad`` pixels, once; ``normalised`` is applied to what is cropped from them."""
        self._normalised = normalised
        self._pad = pad
        self._flip = flip
        self._padded_NHWC = F.pad(images_NHWC, (0, 0, pad, pad, pad, pad))
        size = images_NHWC.shape[1:3]
        device = images_NHWC.device
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
        return AugmentedEpoch(self._normalised, self._padded_NHWC, rows_NH, columns_NW)


class AugmentedEpoch(Inputs):
    """Training images under one epoch's crops and flips."""

    def __init__(
        self, normalised: Callable[[Tensor], Tensor], padded_NHWC: Tensor, rows_NH: Tensor, columns_NW: Tensor
    ) -> None:
        """Take the padded images and, for each, the rows and columns that its crop consists of."""
        self._normalised = normalised
        self._padded_NHWC = padded_NHWC
        self._rows_NH = rows_NH
        self._columns_NW = columns_NW

    def __getitem__(self, index_B: Tensor) -> Tensor:
        """Return the normalised images at ``index_B`` as float32 (B, C, H, W)."""
        images_BHWC = self._padded_NHWC[
            index_B[:, None, None], self._rows_NH[index_B][:, :, None], self._columns_NW[index_B][:, None, :]
        ]
        return self._normalised(images_BHWC)
