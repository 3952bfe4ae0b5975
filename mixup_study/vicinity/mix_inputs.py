"""Mixed images under the label of one example: of the closer one (section 3.8)."""

from __future__ import annotations

import torch
from torch import Tensor

from mixup_study.catalogue.methods import MixInputsFields
from mixup_study.vicinity.base import Draws, Examples, Minibatch, VirtualBatch, is_one, mix
from mixup_study.vicinity.label_smoothing import smoothed
from mixup_study.vicinity.partners import partners_of


class MixInputs:
    """Images mixed as by mixup; the target is the example's own where lambda ≥ 1/2, else its partner's.

    With partners among the nearest neighbours of the same class this is SMOTE (Chawla et al., 2002).
    """

    def __init__(self, trial: MixInputsFields, examples: Examples) -> None:
        """Take alpha ≥ 0, which may be infinite, the way to choose partners, and epsilon of label smoothing."""
        self.alpha = trial.alpha
        self.epsilon = trial.label_smoothing or 0.0
        self.partners = partners_of(trial, examples)

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return lambda x + (1 - lambda) x' and the closer example's target, smoothed."""
        lam = draws.lam(self.alpha)
        inputs_B, targets_BK = minibatch.inputs_B, minibatch.targets_BK
        if not is_one(lam):
            others_B, other_targets_BK = self.partners.choose(minibatch, draws)
            inputs_B = mix(inputs_B, others_B, lam)
            targets_BK = closer(targets_BK, other_targets_BK, lam)
        return VirtualBatch(inputs_B, smoothed(targets_BK, self.epsilon))


def closer(own: Tensor, other: Tensor, lam: float | Tensor) -> Tensor:
    """Return ``own`` where lambda ≥ 1/2, else ``other``."""
    return torch.where(lam >= 0.5, own, other) if isinstance(lam, Tensor) else own if lam >= 0.5 else other
