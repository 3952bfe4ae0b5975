"""Networks, a file a family."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from mixup_study.models.preact_resnet import PreActResNet18
from mixup_study.spec.trial import ModelName

MODELS: dict[ModelName, Callable[[int, int, int, float], nn.Module]] = {
    "preact_resnet18": PreActResNet18,
}
"""Every network by the name that studies give it; called with channels, classes, width and dropout."""
