"""A network of your own. Name this module with ``--plugin own_network``, and studies can choose ``model: own_network``.

A change of this file gives its trials new ids, so that they are trained anew.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from mixup_study.catalogue import Fields, Network, Traits


class OwnNetworkFields(Fields):
    """What a study may say of the network: ``trial: {model: own_network, filters: 32}``."""

    filters: Annotated[int, Traits(caption=True, cost=True)] = Field(
        default=16, ge=1, description="Filters of the first convolution; the second has twice as many."
    )


def build_own_network(trial: OwnNetworkFields, shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return the network for inputs of a shape (C, H, W); it returns logits (B, classes)."""
    filters = trial.filters
    return nn.Sequential(
        nn.Conv2d(shape[0], filters, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(filters, 2 * filters, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(2 * filters),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(2 * filters * 4 * 4, classes),
    )


ENTRIES = [
    Network("own_network", "own_network:build_own_network", OwnNetworkFields, takes=frozenset({"images"})),
]
