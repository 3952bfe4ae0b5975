"""Label smoothing (section 3.8, after Szegedy et al., 2016)."""

from __future__ import annotations

from torch import Tensor

from mixup_study.catalogue.methods import LabelSmoothingFields
from mixup_study.vicinity.base import Draws, Examples, Minibatch, VirtualBatch


class LabelSmoothing:
    """The training images under smoothed targets."""

    def __init__(self, trial: LabelSmoothingFields, examples: Examples) -> None:
        """Take epsilon in [0, 1]; 0 is ERM."""
        self.epsilon = trial.label_smoothing

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return the images themselves and epsilon/K for the K - 1 wrong classes, the rest for the right one."""
        return VirtualBatch(minibatch.inputs_B, smoothed(minibatch.targets_BK, self.epsilon))


def smoothed(targets_BK: Tensor, epsilon: float) -> Tensor:
    """Return (1 - epsilon) targets + epsilon/K; the targets themselves for epsilon = 0."""
    if epsilon == 0:
        return targets_BK
    return targets_BK.mul(1 - epsilon).add_(epsilon / targets_BK.shape[1])
