"""Gaussian vicinities (section 2, after Chapelle et al., 2000; section 3.8)."""

from __future__ import annotations

import torch

from mixup_study.catalogue.methods import GaussianNoiseFields
from mixup_study.vicinity.base import Draws, Examples, Minibatch, VirtualBatch


class GaussianNoise:
    """Noise N(0, sigma²) on every value of the normalised images; the targets stay."""

    def __init__(self, trial: GaussianNoiseFields, examples: Examples) -> None:
        """Take sigma ≥ 0, in standard deviations of the data set's pixels; 0 is ERM."""
        self.sigma = trial.sigma

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return the images with noise of their own each."""
        inputs_B = minibatch.inputs_B
        if self.sigma != 0:
            shape = (len(minibatch.index_B), *inputs_B.shape[1:])
            noise_B = torch.randn(shape, generator=draws.noise, device=inputs_B.device, dtype=inputs_B.dtype)
            inputs_B = inputs_B.add(minibatch.part(noise_B), alpha=self.sigma)
        return VirtualBatch(inputs_B, minibatch.targets_BK)
