"""Optimizers and their learning rate (sections 3.2 and 3.6)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mixup_study.catalogue.optimizers import OptimizerFields, SGDFields
from mixup_study.study.trial import Trial


def build_sgd(parameters: Iterable[Tensor], trial: SGDFields) -> Optimizer:
    """Return stochastic gradient descent with momentum, by default without Nesterov's."""
    return torch.optim.SGD(
        parameters,
        lr=trial.lr,
        momentum=trial.momentum,
        weight_decay=trial.weight_decay,
        nesterov=trial.nesterov,
        fused=trial.fused,
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


def group_parameters(model: nn.Module, trial: Trial) -> Iterable[Any]:
    """Return the parameters of a model; in two groups, of which BatchNorm's have no decay, without ``norm_decay``."""
    if trial.norm_decay:
        return model.parameters()
    norms = dict.fromkeys(
        parameter
        for module in model.modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        for parameter in module.parameters()
    )
    others = [parameter for parameter in model.parameters() if parameter not in norms]
    return [{"params": others}, {"params": list(norms), "weight_decay": 0.0}]


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Have an optimizer take over what ``state_dict`` returned.

    Raises ValueError where that is not of its parameters: unlike their number, PyTorch does not check their shapes.
    """
    optimizer.load_state_dict(state)
    for parameter, own in optimizer.state.items():
        for name, value in own.items():
            if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                raise ValueError(f"{name} of {tuple(value.shape)}; expected {tuple(parameter.shape)}")


def learning_rate(trial: Trial, epoch: int, share: float = 1.0) -> float | None:
    """Return the learning rate after ``share`` of an epoch counted from 0; None of a trial that takes none.

    In the first ``lr_warmup_epochs`` it rises linearly from ``lr_warmup_from``.
    """
    if trial.lr is None:
        return None
    if epoch < trial.lr_warmup_epochs:
        begin, end = float(trial.lr_warmup_from), float(trial.lr)
        return begin + (end - begin) * (epoch + share) / int(trial.lr_warmup_epochs)
    lr: float = trial.lr * trial.lr_factor ** bisect_right(trial.milestones, epoch)
    return lr


def set_learning_rate(optimizer: Optimizer, lr: float | None) -> None:
    """Let all later steps take ``lr``."""
    for group in optimizer.param_groups:
        group["lr"] = lr
