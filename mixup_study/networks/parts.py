"""Parts that several networks have in common."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mixup_study.networks.preact_resnet import Head


class ActivatedHead(nn.Module):
    """BatchNorm-ReLU, average pooling over the whole image, and the linear layer."""

    def __init__(self, channels: int, classes: int) -> None:
        """Map ``channels`` to logits of ``classes``."""
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.head = Head(channels, classes)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return logits (N, classes)."""
        logits_NK: Tensor = self.head(F.relu(self.norm(x_NCHW)))
        return logits_NK
