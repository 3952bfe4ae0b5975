"""The networks of Figure 4: a LeNet for spectrograms, and VGG-11."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mixup_study.networks.speech_lenet import SpeechLeNet
from mixup_study.networks.vgg import VGG11
from mixup_study.study.trial import Trial
from tests.networks.small import smallest

SPECTROGRAM = (1, 161, 101)


def build(model: str, **fields: Any) -> nn.Module:
    trial = Trial(dataset="speech_commands", model=model, epochs=1, batch_size=1, lr=0.1, **fields)
    network: nn.Module = trial.components.network.load()(trial, SPECTROGRAM, 30)
    return network


@pytest.mark.parametrize(("model", "parameters"), [("speech_lenet", 16_321_570), ("vgg11", 13_172_894)])
def test_the_papers_networks_are_the_defaults(model: str, parameters: int) -> None:
    with torch.device("meta"):
        network = build(model)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_lenet_has_two_convolutions_with_pooling_and_two_linear_layers() -> None:
    network = SpeechLeNet(SPECTROGRAM, 30, channels=3, units=7, dropout=0.5).eval()
    seen: list[tuple[int, ...]] = []
    for stage in network.stages:
        stage.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    assert network(torch.randn(2, *SPECTROGRAM)).shape == (2, 30)
    assert seen == [(2, 3, 78, 48), (2, 3, 37, 22), (2, 7)]


def test_lenet_drops_whole_channels_of_the_second_convolution_and_units_of_the_hidden_layer() -> None:
    torch.manual_seed(0)
    network = SpeechLeNet(SPECTROGRAM, 30, channels=200, units=400, dropout=0.5)
    second, hidden, _ = network.stages
    channels_NC = second(torch.randn(4, 200, 78, 48) + 3).flatten(2)
    dropped = (channels_NC == channels_NC[:, :, :1]).all(2)  # the bias alone is left of them
    assert dropped.double().mean().item() == pytest.approx(0.5, abs=0.1)
    dropout = next(part for part in hidden if isinstance(part, nn.Dropout))
    assert dropout.p == 0.5


def test_vgg_has_eight_convolutions_in_five_blocks_and_nothing_between_its_linear_layers() -> None:
    network = VGG11((1, 80, 50), 30, width=4, units=6).eval()
    seen: list[tuple[int, ...]] = []
    for stage in network.stages:
        stage.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    assert network(torch.randn(2, 1, 80, 50)).shape == (2, 30)
    assert seen == [(2, 4, 40, 25), (2, 8, 20, 12), (2, 16, 10, 6), (2, 32, 5, 3), (2, 32, 2, 1)]
    assert sum(isinstance(part, nn.Conv2d) for part in network.modules()) == 8
    assert [type(part) for part in network.stages[-1]] == [nn.Flatten, nn.Linear, nn.Linear]


@pytest.mark.parametrize("model", ["speech_lenet", "vgg11", "preact_resnet18", "wide_resnet", "densenet_bc"])
def test_convolutional_networks_take_spectrograms(model: str) -> None:
    assert build(model, **smallest(model))(torch.randn(2, *SPECTROGRAM)).shape == (2, 30)
