"""Empirical risk minimization: the training examples themselves."""

from __future__ import annotations

from mixup_study.catalogue.fields import Fields
from mixup_study.vicinity.base import Draws, Examples, Minibatch, VirtualBatch


class ERM:
    """The empirical distribution (equation 1)."""

    def __init__(self, trial: Fields, examples: Examples) -> None:
        """Take no parameters."""

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return the minibatch itself."""
        return VirtualBatch(minibatch.inputs_B, minibatch.targets_BK)
