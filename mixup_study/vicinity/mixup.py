"""mixup: convex combinations of pairs of examples and of their targets (section 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from mixup_study.spec.trial import Trial
from mixup_study.vicinity.base import Draws


class Mixup:
    """One lambda ~ Beta(alpha, alpha) a minibatch, mixed with a random permutation of itself."""

    def __init__(self, trial: Trial) -> None:
        """Take alpha ≥ 0 from the trial; 0 is ERM."""
        self.alpha = trial.alpha or 0.0

    def sample(self, images_NCHW: Tensor, targets_NK: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return lambda x + (1 - lambda) x[permutation], for images and targets alike."""
        if self.alpha == 0:
            return images_NCHW, targets_NK
        lam = float(draws.interpolation.beta(self.alpha, self.alpha))
        permutation_N = torch.randperm(len(images_NCHW), generator=draws.partners, device=images_NCHW.device)
        return (
            torch.lerp(images_NCHW, images_NCHW.index_select(0, permutation_N), 1 - lam),
            torch.lerp(targets_NK, targets_NK.index_select(0, permutation_N), 1 - lam),
        )
