"""A labelled image data set held as tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from mixup_study.spec.seeds import stream_seed


@dataclass(frozen=True)
class ImageSet:
    """Training and test images with their labels, all on one device.

    Images are uint8 in [0, 255], shape (N, H, W, C); labels are int64 in [0, classes), shape (N,). ``mean``
    and ``std`` are per channel, of pixels scaled to [0, 1]. ``pad`` (pixels of zero padding before a random
    crop) and ``flip`` (random horizontal flips) say which augmentation suits the images.
    """

    train_images_NHWC: Tensor
    train_labels_N: Tensor
    test_images_NHWC: Tensor
    test_labels_N: Tensor
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: int
    flip: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (C, H, W), the shape of an image as networks take it."""
        _, height, width, channels = self.train_images_NHWC.shape
        return channels, height, width

    def to(self, device: torch.device) -> ImageSet:
        """Return the same data set on ``device``."""
        return replace(
            self,
            train_images_NHWC=self.train_images_NHWC.to(device),
            train_labels_N=self.train_labels_N.to(device),
            test_images_NHWC=self.test_images_NHWC.to(device),
            test_labels_N=self.test_labels_N.to(device),
        )

    def subset(self, size: int | None, seed: int) -> ImageSet:
        """Return the data set with ``size`` training examples, drawn by ``seed``; with all of them for None.

        Raises ValueError where there are fewer than ``size``.
        """
        available = len(self.train_labels_N)
        if size is None:
            return self
        if size > available:
            raise ValueError(f"train_size {size}: the data set has {available} training examples")
        generator = torch.Generator().manual_seed(stream_seed(seed, "train_size"))
        chosen_N = torch.randperm(available, generator=generator)[:size].sort().values
        chosen_N = chosen_N.to(self.train_labels_N.device)
        return replace(
            self,
            train_images_NHWC=self.train_images_NHWC[chosen_N],
            train_labels_N=self.train_labels_N[chosen_N],
        )

    def normalised(self, images_NHWC: Tensor) -> Tensor:
        """Return uint8 images (N, H, W, C) as float32 (N, C, H, W), centred and scaled per channel.

        The result lies in memory as channels_last.
        """
        shift_C, scale_C = self._normalisation
        return torch.addcmul(shift_C, images_NHWC.float(), scale_C).permute(0, 3, 1, 2)

    @cached_property
    def _normalisation(self) -> tuple[Tensor, Tensor]:
        """Return shift and scale of pixels in [0, 255], on the images' device, so that no step waits for a copy."""
        device = self.train_images_NHWC.device
        mean_C, std_C = torch.tensor(self.mean, device=device), torch.tensor(self.std, device=device)
        return -mean_C / std_C, 1 / (255 * std_C)
