"""What the training loop wants from a task, and what it returns of a trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor

Row = Mapping[str, float]
"""What an epoch measured of a trial, by the names of the columns of EPOCHS."""
Points = Mapping[str, np.ndarray]
"""Points in the plane that a trial keeps, by the names of the columns of POINTS; arrays of one length."""


class TrainingDiverged(RuntimeError):
    """A training loss is no longer a finite number."""


@dataclass(frozen=True)
class Found:
    """What a trial measured at its end."""

    measurements: Mapping[str, float | None]
    points: Points = field(default_factory=dict)


class Task(Protocol):
    """Trials that learn together in this process, between two epochs; mostly one."""

    @property
    def examples(self) -> int:
        """Return the training examples that each trial sees in an epoch, on all its workers together."""

    def run_epoch(self, epoch: int) -> Sequence[Row]:
        """Train for an epoch, counted from 0, and return a row for each trial."""

    def find(self, rows: Sequence[Sequence[Row]]) -> Sequence[Found]:
        """Return what each trial measured, given its rows of all epochs."""

    def model_states(self) -> Sequence[Mapping[str, Tensor]]:
        """Return the model of each trial as trained so far: its weights and buffers by plain names."""

    def state(self) -> dict[str, Any]:
        """Return everything that later epochs depend on; all random numbers come from the seed and the epoch."""

    def load(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""


@dataclass(frozen=True)
class Measured:
    """What a trial measured: a mapping of measurements, one per epoch, and points in the plane if any."""

    measurements: Mapping[str, float | None]
    epochs: list[dict[str, Any]]
    seconds: float
    points: Points = field(default_factory=dict)
    resumed_seconds: float = 0.0
    """Of ``seconds``, those before the checkpoint that it went on from."""
