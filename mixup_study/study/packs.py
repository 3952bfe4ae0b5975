"""Which trials may be trained together, as one batched model."""

from __future__ import annotations

import itertools
from collections.abc import Hashable

from mixup_study.catalogue.rules import DATASET_KINDS, TABLE_SHAPES, MethodName
from mixup_study.study.trial import Trial

VARIED = ("seed", "data_seed", "split_seed", "label_noise", "alpha", "weight_decay")
"""Fields that may differ within a pack."""
METHODS: frozenset[MethodName] = frozenset({"erm", "mixup", "mix_inputs", "label_smoothing"})
"""Those that draw nothing but lambda and a permutation of each minibatch."""
LARGEST = 256
"""Trials of a pack at most."""
BYTES = 2**30
"""Memory that the weights, gradients, moments and data of a pack may take."""


def pack_key(trial: Trial) -> Hashable:
    """Return what trials must share to be trained as a pack; None for one that is trained alone."""
    packable = (
        trial.task == "classification"
        and DATASET_KINDS[trial.dataset] == "table"
        and trial.method in METHODS
        and not trial.same_class
        and trial.dropout == 0
        and trial.precision == "float32"
        and trial.workers == 1
    )
    return tuple(trial.model_dump(exclude=set(VARIED)).items()) if packable else None


def largest_pack(trial: Trial) -> int:
    """Return how many trials like this one a pack holds at most."""
    table = TABLE_SHAPES[trial.dataset]
    units = [table.features, *[trial.width] * trial.depth]
    weights = sum(one * other for one, other in itertools.pairwise(units))
    return max(1, min(LARGEST, BYTES // (4 * (4 * weights + table.rows * table.features))))
