"""Empirical risk minimization: the training examples themselves."""

from __future__ import annotations

from mixup_study.study.trial import Trial
from mixup_study.vicinity.base import Draws, Examples, Minibatch, VirtualBatch


class ERM:
    """The empirical distribution (equation 1)."""

    def __init__(self, trial: Trial, examples: Examples) -> None:
        """Take no parameters."""

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return the minibatch itself."""
        return VirtualBatch(minibatch.images_BCHW, minibatch.targets_BK)
