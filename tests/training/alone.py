"""One trial, trained in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mixup_study.study.trial import Trial
from mixup_study.training.checkpoint import Checkpointing
from mixup_study.training.loop import SaveModel, train
from mixup_study.training.parallel import Worker
from mixup_study.training.task import Environment, TrialResult

CPU = torch.device("cpu")
ALONE = Environment(Path("/dev/null"), Worker(), CPU)
"""A single process without a folder of data sets."""


def train_alone(
    trial: Trial,
    folder: Path = Path("/dev/null"),
    report: Callable[[Mapping[str, Any]], None] = lambda row: None,
    checkpointing: Checkpointing | None = None,
    save_model: SaveModel | None = None,
    recompute: bool = False,
) -> TrialResult:
    """Return what the trial measured, or raise what ended it."""
    (ended,) = train(
        [trial],
        folder,
        CPU,
        lambda trial, row, examples: report(row),
        checkpointing,
        save_model=save_model,
        recompute=recompute,
    )
    if isinstance(ended, Exception):
        raise ended
    assert isinstance(ended, TrialResult)
    return ended
