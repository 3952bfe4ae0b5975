"""The networks (sections 3.2, 3.6 and 3.7)."""

from __future__ import annotations

import itertools
from typing import Annotated

from pydantic import Field

from mixup_study.catalogue.entries import Network
from mixup_study.catalogue.fields import Fields, Real, Traits


class WidthFields(Fields):
    """Fields of networks that can be narrower or wider, and have dropout."""

    width: Annotated[int, Traits(cost=True)] = Field(
        default=64, ge=1, le=4096, description="Channels of the network's first stage, or units of each hidden layer."
    )
    dropout: Annotated[Real, Traits(sign="p", alone=True, requires="labels")] = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Probability of zeroing a unit between the two convolutions of each block (section 3.4), or after"
        " each hidden layer of mlp.",
    )


class MLPFields(WidthFields):
    """Fields of the fully connected network."""

    depth: Annotated[int, Traits(caption=True, cost=True)] = Field(
        default=2, ge=1, le=64, description="Hidden layers of mlp, and of each network of a GAN."
    )


def _mlp_weights(trial: MLPFields, features: int) -> int:
    units = [features, *[trial.width] * trial.depth]
    return sum(left * right for left, right in itertools.pairwise(units))


NETWORKS = (
    Network(
        "preact_resnet18",
        "mixup_study.networks.preact_resnet:build_preact_resnet18",
        WidthFields,
        takes=frozenset({"images"}),
        layers=5,
    ),
    Network(
        "mlp",
        "mixup_study.networks.mlp:build_mlp",
        MLPFields,
        layers=lambda values: int(values["depth"]) + 1,
        weights=_mlp_weights,
    ),
)
