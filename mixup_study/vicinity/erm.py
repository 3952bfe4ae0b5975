"""Empirical risk minimization: the training examples themselves."""

from __future__ import annotations

from torch import Tensor

from mixup_study.spec.trial import Trial
from mixup_study.vicinity.base import Draws


class ERM:
    """The empirical distribution (equation 1)."""

    def __init__(self, trial: Trial) -> None:
        """Take no parameters."""

    def sample(self, images_NCHW: Tensor, targets_NK: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return the minibatch itself."""
        return images_NCHW, targets_NK
