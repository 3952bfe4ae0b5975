"""DenseNet-BC (Huang et al., 2017, Densely connected convolutional networks), as section 3.2 uses it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixup_study.catalogue.networks import DenseNetFields
from mixup_study.networks.parts import ActivatedHead
from mixup_study.networks.recompute import Recomputable
from mixup_study.networks.staged import StagedNetwork


def _build_dropout(dropout: float) -> nn.Module:
    return nn.Dropout(dropout) if dropout else nn.Identity()


class DenseLayer(Recomputable):
    """A bottleneck of four times the growth rate, then a 3x3 convolution; BatchNorm-ReLU before, dropout after each."""

    def __init__(self, channels: int, growth_rate: int, dropout: float) -> None:
        """Map ``channels``, those of all earlier layers together, to ``growth_rate`` new ones."""
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 4 * growth_rate, 1, bias=False)
        self.dropout1 = _build_dropout(dropout)
        self.norm2 = nn.BatchNorm2d(4 * growth_rate)
        self.conv2 = nn.Conv2d(4 * growth_rate, growth_rate, 3, padding=1, bias=False)
        self.dropout2 = _build_dropout(dropout)

    def forward(self, *earlier_NCHW: Tensor) -> Tensor:
        """Return the new channels, given the block's input and the new channels of each earlier layer."""
        x_NCHW = torch.cat(earlier_NCHW, dim=1)
        bottleneck_NCHW = self.dropout1(self.conv1(F.relu(self.norm1(x_NCHW))))
        new_NCHW: Tensor = self.dropout2(self.conv2(F.relu(self.norm2(bottleneck_NCHW))))
        return new_NCHW


class DenseBlock(nn.Module):
    """Dense layers, each of which sees what all before it returned.

    They are handed on apart and joined within each layer: one that recomputes its activations keeps no join.
    """

    def __init__(self, channels: int, layers: int, growth_rate: int, dropout: float) -> None:
        """Map ``channels`` to ``channels + layers * growth_rate``."""
        super().__init__()
        self.layers = nn.ModuleList(
            DenseLayer(channels + number * growth_rate, growth_rate, dropout) for number in range(layers)
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the input and all new channels."""
        parts_NCHW = [x_NCHW]
        for layer in self.layers:
            assert isinstance(layer, DenseLayer)
            parts_NCHW.append(layer.call(*parts_NCHW))
        return torch.cat(parts_NCHW, dim=1)


class Transition(nn.Module):
    """BatchNorm-ReLU, a 1x1 convolution to fewer channels, and average pooling of 2x2."""

    def __init__(self, channels_in: int, channels_out: int, dropout: float) -> None:
        """Map ``channels_in`` to ``channels_out`` at half the height and width, rounded down."""
        super().__init__()
        self.norm = nn.BatchNorm2d(channels_in)
        self.conv = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.dropout = _build_dropout(dropout)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the smaller images of fewer channels."""
        return F.avg_pool2d(self.dropout(self.conv(F.relu(self.norm(x_NCHW)))), 2)


class DenseNetBC(StagedNetwork):
    """Stem, three dense blocks, the first two with the transition after them, and BatchNorm-ReLU-pooling-linear.

    A transition halves the channels (compression 0.5), rounded down. With depth 190, growth rate 40 and 3 channels it
    has 25,624,430 parameters for 10 classes, 25,821,620 for 100. It takes images of any height and width that two
    halvings leave non-empty.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, depth: int, growth_rate: int, dropout: float) -> None:
        """Build the network for images of ``shape`` (C, H, W); each block has (``depth`` - 4) / 6 dense layers."""
        layers = (depth - 4) // 6
        channels = 2 * growth_rate
        stem = nn.Conv2d(shape[0], channels, 3, padding=1, bias=False)
        stages: list[nn.Module] = []
        for number in range(3):
            block = DenseBlock(channels, layers, growth_rate, dropout)
            channels += layers * growth_rate
            if number < 2:
                stages.append(nn.Sequential(block, Transition(channels, channels // 2, dropout)))
                channels //= 2
            else:
                stages.append(block)
        super().__init__(stem, [*stages, ActivatedHead(channels, classes)])
        self._draw_weights()

    def _draw_weights(self) -> None:
        """Draw the initial weights as the authors' code does.

        Convolutions: normal with variance 2 / fan out; scales of BatchNorm: one; biases: zero; weights of the linear
        layer: uniform within 1 / sqrt(fan in), as PyTorch has them.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)


def build_densenet_bc(trial: DenseNetFields, shape: tuple[int, ...], classes: int) -> DenseNetBC:
    """Return the network of a trial for images of ``shape`` (C, H, W)."""
    return DenseNetBC(shape, classes, trial.depth, trial.growth_rate, trial.dropout)
