"""mixup: convex combinations of pairs of examples and of their targets (section 2)."""

from __future__ import annotations

from mixup_study.study.trial import Trial
from mixup_study.vicinity.base import Draws, Examples, Minibatch, VirtualBatch, is_one, mix
from mixup_study.vicinity.partners import partners_of


class Mixup:
    """One lambda ~ Beta(alpha, alpha) a minibatch, each example mixed with its partner, targets likewise."""

    def __init__(self, trial: Trial, examples: Examples) -> None:
        """Take alpha ≥ 0, which may be infinite, and the way to choose partners."""
        self.alpha = trial.alpha or 0.0
        self.partners = partners_of(trial, examples)

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return lambda x + (1 - lambda) x' of images and targets alike."""
        lam = draws.lam(self.alpha)
        if is_one(lam):
            return VirtualBatch(minibatch.images_BCHW, minibatch.targets_BK)
        images_BCHW, targets_BK = self.partners.choose(minibatch, draws)
        return VirtualBatch(mix(minibatch.images_BCHW, images_BCHW, lam), mix(minibatch.targets_BK, targets_BK, lam))
