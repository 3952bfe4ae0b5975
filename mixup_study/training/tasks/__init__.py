"""What trials learn, a file a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mixup_study.catalogue.rules import TaskName
from mixup_study.study.trial import Trial
from mixup_study.training.packs.pack import Pack
from mixup_study.training.parallel import Worker
from mixup_study.training.task import Task
from mixup_study.training.tasks.classification import Classification
from mixup_study.training.tasks.gan import GAN


def _classification(trials: Sequence[Trial], folder: Path, worker: Worker, device: torch.device) -> Task:
    if len(trials) == 1:
        return Classification(trials[0], folder, worker, device)
    return Pack(trials, folder, worker, device)


def _gan(trials: Sequence[Trial], folder: Path, worker: Worker, device: torch.device) -> Task:
    (trial,) = trials
    return GAN(trial, device)


TASKS: dict[TaskName, Callable[[Sequence[Trial], Path, Worker, torch.device], Task]] = {
    "classification": _classification,
    "gan": _gan,
}
"""Every task by the name that studies give it; called with the trials that train together."""
