"""WideResNet (Zagoruyko and Komodakis, 2016, Wide residual networks), as section 3.2 uses it."""

from __future__ import annotations

import itertools

from torch import nn

from mixup_study.catalogue.networks import WideResNetFields
from mixup_study.networks.parts import ActivatedHead
from mixup_study.networks.preact_resnet import PreActBlock
from mixup_study.networks.staged import StagedNetwork


class WideResNet(StagedNetwork):
    """Stem of 16 channels, three groups of pre-activation blocks, and BatchNorm-ReLU-pooling-linear as fourth stage.

    With depth 28, widening factor 10 and 3 channels it has 36,479,194 parameters for 10 classes, 36,536,884 for 100.
    It takes images of any height and width that two halvings leave non-empty.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, depth: int, widen_factor: int, dropout: float) -> None:
        """Build the network for images of ``shape`` (C, H, W); each group has (``depth`` - 4) / 6 blocks."""
        widths = [16, *(16 * widen_factor * 2**group for group in range(3))]
        blocks = (depth - 4) // 6

        def group(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
            first = PreActBlock(channels_in, channels_out, stride, dropout)
            return nn.Sequential(
                first, *(PreActBlock(channels_out, channels_out, 1, dropout) for _ in range(blocks - 1))
            )

        stem = nn.Conv2d(shape[0], widths[0], 3, padding=1, bias=False)
        pairs = itertools.pairwise(widths)
        groups = [group(*pair, stride) for pair, stride in zip(pairs, (1, 2, 2), strict=True)]
        super().__init__(stem, [*groups, ActivatedHead(widths[-1], classes)])
        self._draw_weights()

    def _draw_weights(self) -> None:
        """Draw the initial weights as the authors' PyTorch code does.

        Convolutions and the linear layer: normal with variance 2 / fan in; scales of BatchNorm: uniform in [0, 1);
        biases: zero.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight)
            if isinstance(module, nn.Linear | nn.BatchNorm2d):
                nn.init.zeros_(module.bias)


def build_wide_resnet(trial: WideResNetFields, shape: tuple[int, ...], classes: int) -> WideResNet:
    """Return the network of a trial for images of ``shape`` (C, H, W)."""
    return WideResNet(shape, classes, trial.depth, trial.widen_factor, trial.dropout)
