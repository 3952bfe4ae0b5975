from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mixup_study.study.trial import Trial
from mixup_study.training.task import Environment
from mixup_study.training.tasks.classification import Classification
from tests.training.alone import ALONE

DIGITS: dict[str, Any] = {
    "dataset": "digits",
    "model": "preact_resnet18",
    "width": 8,
    "epochs": 3,
    "batch_size": 64,
    "lr": 0.1,
    "augment": False,
}
SOURCES = {
    "ERM": Trial(**DIGITS),
    "other": Trial(**DIGITS | {"seed": 1}),
    "mixup": Trial(**DIGITS | {"method": "mixup", "alpha": 1}),
}


@pytest.fixture(scope="session")
def sources() -> dict[str, Trial]:
    """Trials whose models ``trained`` has."""
    return SOURCES


@pytest.fixture(scope="session")
def trained() -> Environment:
    """An environment that has the models of SOURCES, each trained for three epochs."""
    models: dict[str, Mapping[str, Tensor]] = {}
    for trial in SOURCES.values():
        run = Classification(trial, ALONE)
        for epoch in range(trial.epochs):
            run.run_epoch(epoch)
        models[trial.trial_id] = {name: tensor.clone() for name, tensor in run.model_state().items()}
    return replace(ALONE, load_model=lambda trial: models[trial.trial_id])


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
