"""VGG-11 with BatchNorm and two linear layers (Simonyan and Zisserman, 2015), as section 3.3 uses it."""

from __future__ import annotations

import itertools
import math

from torch import nn

from mixup_study.catalogue.networks import VGGFields
from mixup_study.networks.staged import StagedNetwork

BLOCKS = ((1,), (2,), (4, 4), (8, 8), (8, 8))
"""Channels of the convolutions of each block, in multiples of the first; a block ends with 2x2 max-pooling."""


class VGG11(StagedNetwork):
    """Five blocks of eight 3x3 convolutions, the first block as stem, and two linear layers as the last stage.

    Nothing lies between the linear layers, as in the code that the paper's experiment follows. With width 64 and 512
    units it has 13,172,894 parameters for spectrograms of 161x101 and 30 classes. Height and width
    must be 32 at least.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, width: int, units: int) -> None:
        """Build the network for spectrograms of ``shape`` (C, H, W), whose first convolution has ``width`` channels."""
        channels, *sizes = shape
        blocks = []
        for multiples in BLOCKS:
            widths = [channels, *(width * multiple for multiple in multiples)]
            layers = [layer for pair in itertools.pairwise(widths) for layer in _convolution(*pair)]
            blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
            channels = widths[-1]
        features = channels * math.prod(size // 2 ** len(BLOCKS) for size in sizes)
        head = nn.Sequential(nn.Flatten(), nn.Linear(features, units), nn.Linear(units, classes))
        super().__init__(blocks[0], [*blocks[1:], head])


def _convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU()]


def build_vgg11(trial: VGGFields, shape: tuple[int, ...], classes: int) -> VGG11:
    """Return the network of a trial for spectrograms of ``shape`` (C, H, W)."""
    return VGG11(shape, classes, trial.width, trial.units)
