"""The networks (sections 3.2, 3.3, 3.6 and 3.7)."""

from __future__ import annotations

import itertools
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mixup_study.catalogue.entries import Arithmetic, Network
from mixup_study.catalogue.fields import Fields, Real, Traits


def _check_depth(depth: int) -> int:
    below = depth - (depth - 4) % 6
    if depth != below:
        nearest = {"below": below, "above": below + 6}
        raise PydanticCustomError("depth", "expected a depth of 6n + 4, as {below} or {above}", nearest)
    return depth


ConvolutionalDepth = Annotated[int, Field(ge=10, le=1000), AfterValidator(_check_depth)]
"""Layers with weights of a network of three groups: 6n + 4."""


class DropoutFields(Fields):
    """Fields of networks with dropout."""

    dropout: Annotated[Real, Traits(sign="p", alone=True, requires="labels")] = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Probability of zeroing a unit between the two convolutions of each block (section 3.4), after each"
        " convolution of densenet_bc but the first, or after each hidden layer of mlp; of speech_lenet, a channel of"
        " the second convolution and a unit of the hidden layer.",
    )


class _WidthOnlyFields(Fields):
    width: Annotated[int, Traits(cost=True)] = Field(
        default=64, ge=1, le=4096, description="Channels of the network's first stage, or units of each hidden layer."
    )


class WidthFields(DropoutFields, _WidthOnlyFields):
    """Fields of networks that can be narrower or wider, and have dropout."""


class MLPFields(WidthFields):
    """Fields of the fully connected network."""

    depth: Annotated[int, Traits(caption=True, cost=True)] = Field(
        default=2, ge=1, le=64, description="Hidden layers of mlp, and of each network of a GAN."
    )


class WideResNetFields(DropoutFields):
    """Fields of the wide residual network."""

    depth: Annotated[ConvolutionalDepth, Traits(caption=True, cost=True)] = Field(
        default=28, description="Layers with weights of wide_resnet: 6n + 4, n blocks in each of its three groups."
    )
    widen_factor: Annotated[int, Traits(caption=True, cost=True)] = Field(
        default=10, ge=1, le=256, description="Times 16, the channels of the first group of wide_resnet."
    )


class DenseNetFields(DropoutFields):
    """Fields of the densely connected network."""

    depth: Annotated[ConvolutionalDepth, Traits(caption=True, cost=True)] = Field(
        default=190,
        description="Layers with weights of densenet_bc: 6n + 4, n dense layers in each of its three blocks.",
    )
    growth_rate: Annotated[int, Traits(caption=True, cost=True)] = Field(
        default=40, ge=1, le=1024, description="Channels that each dense layer of densenet_bc adds."
    )


WidthPerGroup = Annotated[
    int,
    Field(
        ge=1,
        le=4096,
        description="Channels of the 3x3 convolutions in the first blocks of a ResNet, or of each group of a ResNeXt.",
    ),
    Traits(caption=True, cost=True),
]


class ResNetFields(Fields):
    """Fields of the residual networks for ImageNet."""

    width_per_group: WidthPerGroup = 64


class ResNeXtFields(Fields):
    """Fields of residual networks of grouped convolutions."""

    width_per_group: WidthPerGroup = 4


class _UnitsFields(Fields):
    units: Annotated[int, Traits(caption=True, cost=True)] = Field(
        default=512, ge=1, le=1_000_000, description="Units of the hidden linear layer of speech_lenet or vgg11."
    )


class VGGFields(_WidthOnlyFields, _UnitsFields):
    """Fields of VGG-11."""


class SpeechLeNetFields(DropoutFields, _UnitsFields):
    """Fields of the LeNet for spectrograms."""

    channels: Annotated[int, Traits(caption=True, cost=True)] = Field(
        default=20, ge=1, le=4096, description="Channels of both convolutions of speech_lenet."
    )
    units: Annotated[int, Traits(caption=True, cost=True)] = Field(
        default=1000, ge=1, le=1_000_000, description="Units of the hidden linear layer of speech_lenet or vgg11."
    )


def _mlp_weights(trial: MLPFields, features: int) -> int:
    units = [features, *[trial.width] * trial.depth]
    return sum(left * right for left, right in itertools.pairwise(units))


def _resnet(name: str, fields: type[Fields], gflop: float) -> Network:
    build = f"mixup_study.networks.resnet:build_{name}"
    return Network(name, build, fields, takes=IMAGES, layers=5, arithmetic=Arithmetic(gflop, 224 * 224))


IMAGES, SPECTROGRAMS = frozenset({"images"}), frozenset({"spectrograms"})

NETWORKS = (
    Network(
        "preact_resnet18",
        "mixup_study.networks.preact_resnet:build_preact_resnet18",
        WidthFields,
        takes=IMAGES | SPECTROGRAMS,
        layers=5,
        arithmetic=Arithmetic(1.11, 32 * 32),
    ),
    Network(
        "mlp",
        "mixup_study.networks.mlp:build_mlp",
        MLPFields,
        layers=lambda values: int(values["depth"]) + 1,
        weights=_mlp_weights,
    ),
    Network(
        "wide_resnet",
        "mixup_study.networks.wide_resnet:build_wide_resnet",
        WideResNetFields,
        takes=IMAGES | SPECTROGRAMS,
        layers=4,
        arithmetic=Arithmetic(10.49, 32 * 32),
    ),
    Network(
        "densenet_bc",
        "mixup_study.networks.densenet_bc:build_densenet_bc",
        DenseNetFields,
        takes=IMAGES | SPECTROGRAMS,
        layers=4,
        arithmetic=Arithmetic(18.60, 32 * 32),
    ),
    Network(
        "speech_lenet",
        "mixup_study.networks.speech_lenet:build_speech_lenet",
        SpeechLeNetFields,
        takes=SPECTROGRAMS,
        layers=3,
        arithmetic=Arithmetic(0.11, 161 * 101),
    ),
    Network(
        "vgg11",
        "mixup_study.networks.vgg:build_vgg11",
        VGGFields,
        takes=SPECTROGRAMS,
        layers=5,
        arithmetic=Arithmetic(4.65, 161 * 101),
    ),
    _resnet("resnet50", ResNetFields, 8.18),
    _resnet("resnet101", ResNetFields, 15.60),
    _resnet("resnext101_32x4d", ResNeXtFields, 15.94),
    _resnet("resnext101_64x4d", ResNeXtFields, 30.92),
)
