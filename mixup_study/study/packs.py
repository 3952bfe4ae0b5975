"""Which trials may be trained together, as one batched model."""

from __future__ import annotations

from collections.abc import Hashable

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.trial import Trial

LARGEST = 256
"""Trials of a pack at most."""
BYTES = 2**30
"""Memory that the weights, gradients, moments and data of a pack may take."""


def pack_key(trial: Trial) -> Hashable:
    """Return what trials must share to be trained as a pack; None for one that is trained alone."""
    components = trial.components
    packable = (
        components.task.build_pack is not None
        and components.dataset is not None
        and components.dataset.shape is not None
        and components.network is not None
        and components.network.weights is not None
        and components.method is not None
        and components.method.packs
        and not any(trial.departs(name) for name in CATALOGUE.fields_with("alone"))
    )
    return tuple(trial.model_dump(exclude=set(CATALOGUE.fields_with("varies_in_pack"))).items()) if packable else None


def largest_pack(trial: Trial) -> int:
    """Return how many trials like this one, which has a ``pack_key``, a pack holds at most."""
    dataset, network = trial.components.dataset, trial.components.network
    assert dataset is not None
    assert dataset.shape is not None
    assert network is not None
    assert network.weights is not None
    weights = network.weights(trial, dataset.shape.features)
    return max(1, min(LARGEST, BYTES // (4 * (4 * weights + dataset.shape.rows * dataset.shape.features))))
