"""Optimizers and their learning rate (sections 3.2 and 3.6)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mixup_study.catalogue.optimizers import OptimizerFields, SGDFields
from mixup_study.study.trial import Trial


def build_sgd(parameters: Iterable[Tensor], trial: SGDFields) -> Optimizer:
    """Return stochastic gradient descent with momentum, without Nesterov's."""
    return torch.optim.SGD(
        parameters, lr=trial.lr, momentum=trial.momentum, weight_decay=trial.weight_decay, fused=trial.fused
    )


def build_adam(parameters: Iterable[Tensor], trial: OptimizerFields) -> Optimizer:
    """Return Adam with PyTorch's default betas and epsilon."""
    return torch.optim.Adam(parameters, lr=trial.lr, weight_decay=trial.weight_decay, fused=trial.fused)


def build_optimizer(parameters: Iterable[Tensor], trial: Trial) -> Optimizer:
    """Return the optimizer that a trial chooses."""
    entry = trial.components.optimizer
    assert entry is not None
    optimizer: Optimizer = entry.load()(parameters, trial)
    return optimizer


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Have an optimizer take over what ``state_dict`` returned.

    Raises ValueError where that is not of its parameters: unlike their number, PyTorch does not check their shapes.
    """
    optimizer.load_state_dict(state)
    for parameter, own in optimizer.state.items():
        for name, value in own.items():
            if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                raise ValueError(f"{name} of {tuple(value.shape)}; expected {tuple(parameter.shape)}")


def learning_rate(trial: Trial, epoch: int) -> float | None:
    """Return the learning rate of an epoch counted from 0; None of a trial that takes none."""
    if trial.lr is None:
        return None
    lr: float = trial.lr * trial.lr_factor ** bisect_right(trial.milestones, epoch)
    return lr


def set_learning_rate(optimizer: Optimizer, lr: float | None) -> None:
    """Let all later steps take ``lr``."""
    for group in optimizer.param_groups:
        group["lr"] = lr
