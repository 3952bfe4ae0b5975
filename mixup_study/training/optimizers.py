"""Optimizers and their learning rate (sections 3.2 and 3.6)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from mixup_study.catalogue.rules import OptimizerName
from mixup_study.study.trial import Trial

OPTIMIZERS: dict[OptimizerName, Callable[[Iterable[Tensor], Trial], Optimizer]] = {
    "sgd": lambda parameters, trial: torch.optim.SGD(
        parameters, lr=trial.lr, momentum=trial.momentum, weight_decay=trial.weight_decay, fused=trial.fused
    ),
    "adam": lambda parameters, trial: torch.optim.Adam(
        parameters, lr=trial.lr, weight_decay=trial.weight_decay, fused=trial.fused
    ),
}
"""Every optimizer by the name that studies give it."""


def learning_rate(trial: Trial, epoch: int) -> float:
    """Return the learning rate of an epoch counted from 0."""
    return trial.lr * trial.lr_factor ** bisect_right(trial.milestones, epoch)


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Let all later steps take ``lr``."""
    for group in optimizer.param_groups:
        group["lr"] = lr
