"""Networks, a file a family."""

from __future__ import annotations

from collections.abc import Callable

from mixup_study.catalogue.rules import ModelName
from mixup_study.networks.mlp import mlp
from mixup_study.networks.preact_resnet import preact_resnet18
from mixup_study.networks.staged import StagedNetwork
from mixup_study.study.trial import Trial

MODELS: dict[ModelName, Callable[[Trial, tuple[int, ...], int], StagedNetwork]] = {
    "preact_resnet18": preact_resnet18,
    "mlp": mlp,
}
"""Every network by the name that studies give it; called with the trial, the shape of an input and the classes."""

__all__ = ["MODELS", "StagedNetwork"]
