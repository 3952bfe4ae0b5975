"""mixup: convex combinations of pairs of examples and of their targets (section 2)."""

from __future__ import annotations

from mixup_study.catalogue.methods import MixupFields
from mixup_study.vicinity.base import Draws, Examples, Minibatch, VirtualBatch, is_one, mix
from mixup_study.vicinity.partners import partners_of


class Mixup:
    """One lambda ~ Beta(alpha, alpha) a minibatch, each example mixed with its partner, targets likewise."""

    def __init__(self, trial: MixupFields, examples: Examples) -> None:
        """Take alpha ≥ 0, which may be infinite, and the way to choose partners."""
        self.alpha = trial.alpha
        self.partners = partners_of(trial, examples)

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return lambda x + (1 - lambda) x' of images and targets alike."""
        lam = draws.lam(self.alpha)
        if is_one(lam):
            return VirtualBatch(minibatch.inputs_B, minibatch.targets_BK)
        inputs_B, targets_BK = self.partners.choose(minibatch, draws)
        return VirtualBatch(mix(minibatch.inputs_B, inputs_B, lam), mix(minibatch.targets_BK, targets_BK, lam))
