"""Gaussian vicinities (section 2, after Chapelle et al., 2000; section 3.8)."""

from __future__ import annotations

import torch

from mixup_study.study.trial import Trial
from mixup_study.vicinity.base import Draws, Examples, Minibatch, VirtualBatch


class GaussianNoise:
    """Noise N(0, sigma²) on every value of the normalised images; the targets stay."""

    def __init__(self, trial: Trial, examples: Examples) -> None:
        """Take sigma ≥ 0, in standard deviations of the data set's pixels; 0 is ERM."""
        self.sigma = trial.sigma or 0.0

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return the images with noise of their own each."""
        images_BCHW = minibatch.images_BCHW
        if self.sigma != 0:
            noise_BCHW = torch.randn(
                images_BCHW.shape, generator=draws.noise, device=images_BCHW.device, dtype=images_BCHW.dtype
            )
            images_BCHW = images_BCHW.add(noise_BCHW, alpha=self.sigma)
        return VirtualBatch(images_BCHW, minibatch.targets_BK)
