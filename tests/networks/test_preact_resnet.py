from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mixup_study.networks.preact_resnet import PreActBlock, PreActResNet18


def test_the_papers_network_has_its_number_of_parameters() -> None:
    network = PreActResNet18((3, 32, 32), classes=10, width=64, dropout=0.5)
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_171_146


@pytest.mark.parametrize(("channels", "size", "width", "classes"), [(1, 8, 8, 10), (3, 32, 4, 100), (1, 28, 4, 10)])
def test_networks_of_any_width_take_any_image(channels: int, size: int, width: int, classes: int) -> None:
    network = PreActResNet18((channels, size, size), classes, width, dropout=0.0)
    assert network(torch.randn(2, channels, size, size)).shape == (2, classes)


def test_a_projection_takes_the_activated_input_and_the_identity_the_raw_one() -> None:
    x = torch.randn(2, 4, 6, 6)
    projected = PreActBlock(4, 8, stride=2, dropout=0.0).eval()
    same = PreActBlock(4, 4, stride=1, dropout=0.0).eval()
    for block in (projected, same):
        nn.init.zeros_(block.conv2.weight)  # only the shortcut is left
    assert projected.shortcut is not None
    torch.testing.assert_close(projected(x), projected.shortcut(F.relu(projected.norm1(x))))
    assert torch.equal(same(x), x)


def test_dropout_stands_between_the_two_convolutions() -> None:
    block = PreActBlock(3, 3, stride=1, dropout=0.6).train()
    seen: list[torch.Tensor] = []
    block.conv2.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        block.norm2.bias.fill_(10.0)  # after the ReLU nothing is zero but what dropout zeroes
        block(torch.randn(50, 3, 16, 16))
    assert (seen[0] == 0).double().mean().item() == pytest.approx(0.6, abs=0.02)
    seen.clear()
    block.eval()(torch.randn(5, 3, 16, 16))
    assert (seen[0] > 0).all()
