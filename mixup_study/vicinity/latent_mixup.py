"""Mixing hidden representations and labels (section 3.8)."""

from __future__ import annotations

from mixup_study.catalogue.methods import LatentMixupFields
from mixup_study.vicinity.base import Draws, Examples, LatentMix, Minibatch, VirtualBatch, mix


class LatentMixup:
    """mixup of random pairs at the input of one of the network's stages."""

    def __init__(self, trial: LatentMixupFields, examples: Examples) -> None:
        """Take alpha ≥ 0, which may be infinite, and the layer, counted from 1."""
        self.alpha = trial.alpha
        self.layer = trial.layer

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return the images themselves, mixed targets, and the same mixing for the network to do.

        Each worker sees the representations of its own part of the minibatch alone, so pairs are drawn there.
        """
        lam = draws.lam(self.alpha)
        if lam == 1:
            return VirtualBatch(minibatch.inputs_B, minibatch.targets_BK)
        sizes = [len(part) for part in minibatch.index_B.tensor_split(minibatch.workers)]
        partner_B = [draws.permutation(size) for size in sizes][minibatch.rank]
        targets_BK = mix(minibatch.targets_BK, minibatch.targets_BK.index_select(0, partner_B), lam)
        return VirtualBatch(minibatch.inputs_B, targets_BK, LatentMix(self.layer, lam, partner_B))
