"""Networks, a file a family."""

from __future__ import annotations

from collections.abc import Callable

from mixup_study.models.mlp import MLP
from mixup_study.models.preact_resnet import PreActResNet18
from mixup_study.models.staged import StagedNetwork
from mixup_study.spec.trial import ModelName

MODELS: dict[ModelName, Callable[[tuple[int, ...], int, int, float], StagedNetwork]] = {
    "preact_resnet18": PreActResNet18,
    "mlp": MLP,
}
"""Every network by the name that studies give it; called with the shape of an input, classes, width and dropout."""

__all__ = ["MODELS", "StagedNetwork"]
