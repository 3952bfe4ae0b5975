"""A labelled image data set held as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mixup_study.data.augmentation import Augmentation
from mixup_study.data.labelled import LabelledSet


@dataclass(frozen=True)
class ImageSet(LabelledSet):
    """Images as uint8 in [0, 255], shape (N, H, W, C).

    ``mean`` and ``std`` are per channel, of pixels scaled to [0, 1]. ``pad`` (pixels of zero padding before a
    random crop) and ``flip`` (random horizontal flips) say which augmentation suits the images.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: int
    flip: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (C, H, W)."""
        _, height, width, channels = self.train_inputs_N.shape
        return channels, height, width

    def normalised(self, inputs_N: Tensor) -> Tensor:
        """Return uint8 images (N, H, W, C) as float32 (N, C, H, W), centred and scaled per channel.

        The result lies in memory as channels_last.
        """
        shift_C, scale_C = self._normalisation
        return torch.addcmul(shift_C, inputs_N.float(), scale_C).permute(0, 3, 1, 2)

    def augmented(self, enabled: bool) -> Augmentation:
        """Return the images under random crops and flips where ``enabled``, as far as they suit them."""
        pad, flip = (self.pad, self.flip) if enabled else (0, False)
        return Augmentation(self.train_inputs_N, self.normalised, pad, flip)

    @cached_property
    def _normalisation(self) -> tuple[Tensor, Tensor]:
        """Return shift and scale of pixels in [0, 255], on the images' device, so that no step waits for a copy."""
        device = self.train_inputs_N.device
        with torch.inference_mode(False):  # whoever asks first: gradients may be taken through them later
            mean_C, std_C = torch.tensor(self.mean, device=device), torch.tensor(self.std, device=device)
            return -mean_C / std_C, 1 / (255 * std_C)
