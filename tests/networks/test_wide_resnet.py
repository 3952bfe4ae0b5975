from __future__ import annotations

import pytest
import torch
from torch import nn

from mixup_study.networks.preact_resnet import PreActBlock
from mixup_study.networks.wide_resnet import WideResNet


@pytest.mark.parametrize(("classes", "parameters"), [(10, 36_479_194), (100, 36_536_884)])
def test_the_papers_network_has_its_number_of_parameters(classes: int, parameters: int) -> None:
    with torch.device("meta"):
        network = WideResNet((3, 32, 32), classes, depth=28, widen_factor=10, dropout=0.0)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize(("channels", "size", "classes"), [(1, 8, 10), (3, 32, 100)])
def test_three_groups_halve_the_image_twice(channels: int, size: int, classes: int) -> None:
    network = WideResNet((channels, size, size), classes, depth=16, widen_factor=2, dropout=0.0)
    seen: list[tuple[int, ...]] = []
    for stage in network.stages:
        stage.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    assert network(torch.randn(2, channels, size, size)).shape == (2, classes)
    assert seen == [
        (2, 16, size, size),
        (2, 32, size, size),
        (2, 64, size // 2, size // 2),
        (2, 128, size // 4, size // 4),
    ]
    assert [sum(isinstance(part, PreActBlock) for part in stage.modules()) for stage in network.stages] == [2, 2, 2, 0]


def test_the_first_group_of_factor_one_projects_nothing() -> None:
    network = WideResNet((1, 8, 8), 10, depth=10, widen_factor=1, dropout=0.0)
    shortcuts = [block.shortcut is not None for block in network.modules() if isinstance(block, PreActBlock)]
    assert shortcuts == [False, True, True]


def test_initial_weights_are_normal_by_fan_in_and_biases_zero() -> None:
    torch.manual_seed(0)
    network = WideResNet((3, 32, 32), 100, depth=10, widen_factor=4, dropout=0.0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            drawn = module.weight.detach() * (module.weight[0].numel() / 2) ** 0.5
            assert drawn.std().item() == pytest.approx(1, rel=0.1)
            assert drawn.mean().item() == pytest.approx(0, abs=0.15)
            assert drawn.abs().max() > 2.3  # a uniform distribution of this deviation ends at 1.7
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight >= 0).all()
            assert (module.weight < 1).all()
            assert module.weight.mean().item() == pytest.approx(0.5, abs=0.25)
        if isinstance(module, nn.Linear | nn.BatchNorm2d):
            assert (module.bias == 0).all()
