"""PreActResNet-18 (He et al., 2016, Identity mappings in deep residual networks), as section 3.2 uses it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixup_study.catalogue.networks import WidthFields
from mixup_study.networks.staged import StagedNetwork


class PreActBlock(nn.Module):
    """BatchNorm-ReLU-convolution twice, added to the shortcut; dropout between the convolutions (section 3.4)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, dropout: float) -> None:
        """Project the shortcut where the shape changes; ``dropout`` in [0, 1) is the probability of a zero."""
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        changes_shape = stride != 1 or channels_in != channels_out
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False) if changes_shape else None

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the block's output; a projection takes the pre-activated input, the identity the raw one."""
        active_NCHW = F.relu(self.norm1(x_NCHW))
        shortcut_NCHW = x_NCHW if self.shortcut is None else self.shortcut(active_NCHW)
        hidden_NCHW = self.conv1(active_NCHW)
        hidden_NCHW = self.dropout(F.relu(self.norm2(hidden_NCHW)))
        output: Tensor = self.conv2(hidden_NCHW) + shortcut_NCHW
        return output


class Head(nn.Module):
    """Average pooling and the linear layer."""

    def __init__(self, channels: int, classes: int) -> None:
        """Map ``channels`` to logits of ``classes``."""
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return logits (N, classes)."""
        logits_NK: Tensor = self.linear(torch.mean(x_NCHW, dim=(2, 3)))
        return logits_NK


class PreActResNet18(StagedNetwork):
    """Stem, four residual stages of two blocks, and average pooling with a linear layer as the fifth stage.

    This variant has no BatchNorm after the stem and none before the pooling: 11,171,146 parameters for
    3 channels, 10 classes and width 64. It takes images of any height and width that three halvings leave
    non-empty.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, width: int, dropout: float) -> None:
        """Build the network for images of ``shape`` (C, H, W); residual stage i has ``width * 2**i`` channels."""
        stem = nn.Conv2d(shape[0], width, 3, padding=1, bias=False)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        residual = [
            nn.Sequential(
                PreActBlock(widths[stage], widths[stage + 1], 1 if stage == 0 else 2, dropout),
                PreActBlock(widths[stage + 1], widths[stage + 1], 1, dropout),
            )
            for stage in range(4)
        ]
        super().__init__(stem, [*residual, Head(widths[-1], classes)])


def build_preact_resnet18(trial: WidthFields, shape: tuple[int, ...], classes: int) -> PreActResNet18:
    """Return the network of a trial for images of ``shape`` (C, H, W)."""
    return PreActResNet18(shape, classes, trial.width, trial.dropout)
