"""PreActResNet-18 (He et al., 2016, Identity mappings in deep residual networks), as section 3.2 uses it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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


class PreActResNet18(nn.Module):
    """Stem, four stages of two blocks, average pooling, linear layer.

    This variant has no BatchNorm after the stem and none before the pooling: 11,171,146 parameters for
    3 channels, 10 classes and width 64.
    """

    def __init__(self, channels: int, classes: int, width: int, dropout: float) -> None:
        """Build the network for images of ``channels``; stage i has ``width * 2**i`` channels."""
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        self.stages = nn.ModuleList(
            nn.Sequential(
                PreActBlock(widths[stage], widths[stage + 1], 1 if stage == 0 else 2, dropout),
                PreActBlock(widths[stage + 1], widths[stage + 1], 1, dropout),
            )
            for stage in range(4)
        )
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, classes) of images of any height and width that three halvings leave non-empty."""
        x_NCHW = self.stem(images_NCHW)
        for stage in self.stages:
            x_NCHW = stage(x_NCHW)
        logits_NK: Tensor = self.head(torch.mean(x_NCHW, dim=(2, 3)))
        return logits_NK
