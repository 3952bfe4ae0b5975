"""torchvision's residual networks in stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.resnet import Bottleneck, ResNet

from mixup_study.catalogue import CATALOGUE
from mixup_study.networks import resnet
from mixup_study.networks.staged import StagedNetwork
from mixup_study.study.trial import Trial

PARAMETERS = {
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnext101_32x4d": 44_177_704,
    "resnext101_64x4d": 83_455_272,
}


def build(name: str, classes: int = 1000, **fields: Any) -> StagedNetwork:
    trial = Trial(dataset="imagenet", model=name, epochs=1, batch_size=1, lr=0.1, **fields)
    network: StagedNetwork = CATALOGUE.networks[name].load()(trial, (3, 224, 224), classes)
    return network


@pytest.mark.parametrize("name", PARAMETERS)
def test_it_has_the_parameters_of_the_paper_it_comes_from(name: str) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build(name).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize(("name", "theirs"), [("resnet50", models.resnet50), ("resnext101_64x4d", None)])
def test_it_says_what_torchvisions_does(name: str, theirs: Callable[..., ResNet] | None) -> None:
    torch.manual_seed(0)
    ours = build(name, 7)
    other = (
        ResNet(Bottleneck, [3, 4, 23, 3], num_classes=7, groups=64, width_per_group=4)
        if theirs is None
        else theirs(num_classes=7)
    )
    other.load_state_dict(dict(zip(other.state_dict(), ours.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(images), other.eval()(images))


def test_residual_blocks_begin_as_the_identity() -> None:
    network = build("resnet50", 5, width_per_group=4)
    blocks = [module for module in network.modules() if isinstance(module, Bottleneck)]
    assert len(blocks) == 16
    assert all(not block.bn3.weight.any() for block in blocks)
    assert all(bool((block.bn1.weight == 1).all()) for block in blocks)


def test_images_of_other_channels_are_taken() -> None:
    trial = Trial(dataset="digits", model="resnet50", width_per_group=2, epochs=1, batch_size=1, lr=0.1)
    network = resnet.build_resnet50(trial, (1, 8, 8), 10)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert isinstance(network.stem[0], nn.Conv2d)
