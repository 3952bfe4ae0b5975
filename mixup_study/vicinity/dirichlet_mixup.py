"""Convex combinations of more than two examples (section 2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mixup_study.catalogue.methods import DirichletMixupFields
from mixup_study.vicinity.base import Draws, Examples, Minibatch, VirtualBatch


class DirichletMixup:
    """Weights ~ Dirichlet(alpha, …, alpha), one draw a minibatch, over it and ``ways`` - 1 permutations of it."""

    def __init__(self, trial: DirichletMixupFields, examples: Examples) -> None:
        """Take alpha ≥ 0, infinity for equal weights and 0 for ERM, and the number of examples combined."""
        self.alpha = trial.alpha
        self.ways = trial.ways

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return the weighted sums of images and of targets."""
        if self.alpha == 0 or not draws.mixing:
            return VirtualBatch(minibatch.inputs_B, minibatch.targets_BK)
        if math.isinf(self.alpha):
            weights = [1 / self.ways] * self.ways
        else:
            weights = draws.interpolation.dirichlet([self.alpha] * self.ways).tolist()
        orders = [draws.permutation(len(minibatch.index_B)) for _ in weights[1:]]

        def combined(own: Tensor) -> Tensor:
            total = own * weights[0]
            for weight, order_B in zip(weights[1:], orders, strict=True):
                total.add_(own.index_select(0, order_B), alpha=weight)
            return total

        with torch.no_grad():
            return VirtualBatch(combined(minibatch.inputs_B), combined(minibatch.targets_BK))
