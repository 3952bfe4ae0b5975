"""Distributions in the plane that GANs learn: mixtures of Gaussians (section 3.7)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

STANDARD_DEVIATION = 0.01
"""Of every mode, along each axis."""
NEAR = 3.0
"""A point is near a mode that is at most so many standard deviations away."""


@dataclass(frozen=True)
class Density:
    """Equally likely Gaussians around ``modes_M2``, STANDARD_DEVIATION wide."""

    modes_M2: Tensor

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Return ``count`` points, (count, 2) float32, drawn by ``generator``, on its device."""
        device = generator.device
        mode_N = torch.randint(len(self.modes_M2), (count,), generator=generator, device=device)
        noise_N2 = torch.randn(count, 2, generator=generator, device=device)
        return self.modes_M2.to(device)[mode_N] + STANDARD_DEVIATION * noise_N2

    def near(self, points_N2: Tensor) -> Tensor:
        """Return which points are near which modes, (N, M): modes do not lie so close that one is near two."""
        return torch.cdist(points_N2, self.modes_M2.to(points_N2.device)) <= NEAR * STANDARD_DEVIATION


def _ring(modes: int) -> Density:
    angles = [2 * math.pi * mode / modes for mode in range(modes)]
    return Density(torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles]))


def _grid(side: int) -> Density:
    axis = torch.linspace(-1, 1, side)
    return Density(torch.cartesian_prod(axis, axis))


GAUSSIAN_RING = _ring(8)
GAUSSIAN_GRID = _grid(5)
