"""The LeNet of section 3.3: two convolutions and two linear layers, for spectrograms."""

from __future__ import annotations

from torch import nn

from mixup_study.catalogue.networks import SpeechLeNetFields
from mixup_study.networks.staged import StagedNetwork


class SpeechLeNet(StagedNetwork):
    """A convolution with pooling as stem; the second with channel dropout, a hidden layer and a linear one as stages.

    With 20 channels and 1,000 units it has 16,321,570 parameters for spectrograms of 161x101 and 30 classes. Height and
    width must be 16 at least.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, channels: int, units: int, dropout: float) -> None:
        """Build the network for spectrograms of ``shape`` (C, H, W); both convolutions have ``channels`` channels."""
        height, width = (((size - 4) // 2 - 4) // 2 for size in shape[1:])
        hidden = nn.Linear(channels * height * width, units)
        super().__init__(
            _convolution(shape[0], channels, nn.Identity()),
            [
                _convolution(channels, channels, nn.Dropout2d(dropout) if dropout else nn.Identity()),
                nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Dropout(dropout) if dropout else nn.Identity()),
                nn.Linear(units, classes),
            ],
        )


def _convolution(channels_in: int, channels_out: int, dropout: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 5), dropout, nn.MaxPool2d(2), nn.ReLU())


def build_speech_lenet(trial: SpeechLeNetFields, shape: tuple[int, ...], classes: int) -> SpeechLeNet:
    """Return the network of a trial for spectrograms of ``shape`` (C, H, W)."""
    return SpeechLeNet(shape, classes, trial.channels, trial.units, trial.dropout)
