"""The LeNet of section 3.3: two convolutions and two linear layers, for spectrograms."""

from __future__ import annotations

from torch import nn

from mixup_study.catalogue.networks import SpeechLeNetFields
from mixup_study.networks.staged import StagedNetwork


class SpeechLeNet(StagedNetwork):
    """A convolution with pooling as stem; the second with channel dropout, a hidden layer and a linear one as stages.

    With width 20 and 1,000 units it has 16,321,570 parameters for spectrograms of 161x101 and 30 classes. Height and
    width must be 16 at least.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, width: int, units: int, dropout: float) -> None:
        """Build the network for spectrograms of ``shape`` (C, H, W); both convolutions have ``width`` channels."""
        channels, *sizes = shape
        height, width_left = (((size - 4) // 2 - 4) // 2 for size in sizes)
        hidden = nn.Linear(width * height * width_left, units)
        super().__init__(
            _convolution(channels, width, nn.Identity()),
            [
                _convolution(width, width, nn.Dropout2d(dropout)),
                nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Dropout(dropout)),
                nn.Linear(units, classes),
            ],
        )


def _convolution(channels_in: int, channels_out: int, dropout: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 5), dropout, nn.MaxPool2d(2), nn.ReLU())


def build_speech_lenet(trial: SpeechLeNetFields, shape: tuple[int, ...], classes: int) -> SpeechLeNet:
    """Return the network of a trial for spectrograms of ``shape`` (C, H, W)."""
    return SpeechLeNet(shape, classes, trial.width, trial.units, trial.dropout)
