"""The fully connected networks of sections 3.6 and 3.7."""

from __future__ import annotations

import math

from torch import nn

from mixup_study.catalogue.networks import MLPFields
from mixup_study.networks.staged import StagedNetwork


class MLP(StagedNetwork):
    """Hidden layers of ReLU units, dropout after each, and a linear layer: a stage each."""

    def __init__(self, inputs: int, outputs: int, width: int, depth: int, dropout: float = 0.0) -> None:
        """Take inputs that flatten to ``inputs`` values; ``depth`` hidden layers have ``width`` units each."""

        def hidden(units: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(units, width), nn.ReLU(), nn.Dropout(dropout) if dropout else nn.Identity())

        layers = [hidden(inputs if number == 0 else width) for number in range(depth)]
        super().__init__(nn.Flatten(), [*layers, nn.Linear(width, outputs)])


def build_mlp(trial: MLPFields, shape: tuple[int, ...], classes: int) -> MLP:
    """Return the network of a trial for inputs of ``shape``."""
    return MLP(math.prod(shape), classes, trial.width, trial.depth, trial.dropout)
