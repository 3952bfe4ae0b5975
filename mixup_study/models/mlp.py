"""The fully connected network of section 3.6."""

from __future__ import annotations

import math

from torch import nn

from mixup_study.models.staged import StagedNetwork


class MLP(StagedNetwork):
    """Two hidden layers of ReLU units, dropout after each, and a linear layer: three stages."""

    def __init__(self, shape: tuple[int, ...], classes: int, width: int, dropout: float) -> None:
        """Build the network for inputs of ``shape``, flattened; ``width`` units a hidden layer."""

        def hidden(inputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout) if dropout else nn.Identity())

        super().__init__(nn.Flatten(), [hidden(math.prod(shape)), hidden(width), nn.Linear(width, classes)])
