"""Which example each example of a minibatch is mixed with (section 3.8)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from mixup_study.catalogue.methods import PartnerFields
from mixup_study.vicinity.base import Draws, Examples, Minibatch
from mixup_study.vicinity.neighbours import neighbours_of


class Partners(Protocol):
    """Chooses the partners of a minibatch."""

    def choose(self, minibatch: Minibatch, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return the partners' inputs and targets, of this worker's part of the minibatch."""


def partners_of(trial: PartnerFields, examples: Examples) -> Partners:
    """Return the trial's way of choosing: RP or KNN, AC or SC."""
    if trial.neighbours is not None:
        return NearestNeighbours(examples, trial.neighbours, trial.same_class)
    return PermutationWithinClasses() if trial.same_class else Permutation()


class Permutation:
    """A random permutation of the minibatch (AC + RP)."""

    def choose(self, minibatch: Minibatch, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return the minibatch in another order."""
        return minibatch.take(draws.permutation(len(minibatch.index_B)))


class PermutationWithinClasses:
    """A random permutation of each class of the minibatch (SC + RP)."""

    def choose(self, minibatch: Minibatch, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return the minibatch with the examples of each class in another order."""
        labels_B = minibatch.find_labels()
        shuffled_B = draws.permutation(len(labels_B))
        by_class_B = labels_B.argsort(stable=True)
        shuffled_by_class_B = shuffled_B[labels_B[shuffled_B].argsort(stable=True)]
        partner_B = torch.empty_like(by_class_B).scatter_(0, by_class_B, shuffled_by_class_B)
        return minibatch.take(partner_B)


class NearestNeighbours:
    """For each example a random one of its k nearest neighbours in the training set (KNN)."""

    def __init__(self, examples: Examples, k: int, same_class: bool) -> None:
        """Find the neighbours, or read them where they were found before; InputError for k too large."""
        self._neighbours_NK = neighbours_of(examples, k, same_class)

    def choose(self, minibatch: Minibatch, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return neighbours as this epoch sees them."""
        index_B = minibatch.index_B
        k = self._neighbours_NK.shape[1]
        choice_B = torch.randint(k, index_B.shape, generator=draws.partners, device=index_B.device)
        return minibatch.look_up(minibatch.part(self._neighbours_NK[index_B, choice_B]))
