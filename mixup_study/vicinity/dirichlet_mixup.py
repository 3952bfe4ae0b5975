"""Convex combinations of more than two examples (section 2)."""

from __future__ import annotations

import math

import torch

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
        with torch.no_grad():
            inputs_B, targets_BK = minibatch.inputs_B * weights[0], minibatch.targets_BK * weights[0]
            for weight in weights[1:]:
                others_B, other_targets_BK = minibatch.take(draws.permutation(len(minibatch.index_B)))
                inputs_B.add_(others_B, alpha=weight)
                targets_BK.add_(other_targets_BK, alpha=weight)
            return VirtualBatch(inputs_B, targets_BK)
