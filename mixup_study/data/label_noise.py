"""Corrupted training labels (section 3.4, after Zhang et al., 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from mixup_study.study.seeds import stream_seed


def corrupt(labels_N: Tensor, classes: int, probability: float, seed: int) -> tuple[Tensor, Tensor]:
    """Replace each label, independently with ``probability``, by one drawn uniformly from all ``classes``.

    Returns the labels to train on and the mask of the replaced ones, both (N,); a replaced label equals the
    true one with chance 1/classes and counts as replaced all the same. The draw depends on ``seed`` and
    ``probability`` alone, so every method at one noise level learns from the same labels.
    """
    generator = torch.Generator().manual_seed(stream_seed(seed, f"label noise {probability!r}"))
    replaced_N = torch.rand(len(labels_N), generator=generator, dtype=torch.float64) < probability
    drawn_N = torch.randint(classes, (len(labels_N),), generator=generator)
    replaced_N, drawn_N = replaced_N.to(labels_N.device), drawn_N.to(labels_N.device)
    return torch.where(replaced_N, drawn_N, labels_N), replaced_N
