"""What the training loop wants from a task, and what it returns of a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mixup_study.study.packs import pack_key
from mixup_study.study.trial import Trial
from mixup_study.training.parallel import Worker

Row = Mapping[str, float]
"""What an epoch measured of a trial, by the names of the columns of EPOCHS."""
LoadModel = Callable[[Trial], Mapping[str, Tensor]]
Pause = Callable[[], None]
"""Called between two steps of a long epoch, on all workers after the same: it may save the state, and raise Stopped."""
Points = Mapping[str, np.ndarray]
"""Points in the plane that a trial keeps, by the names of the columns of POINTS; arrays of one length."""


def go_on() -> None:
    """Be a Pause in which nothing happens."""


def _load_nothing(trial: Trial) -> Mapping[str, Tensor]:
    raise ValueError(f"no model of trial {trial.trial_id} is at hand")


@dataclass(frozen=True)
class Environment:
    """Where a trial is trained."""

    folder: Path
    """Of the data sets."""
    worker: Worker
    device: torch.device
    load_model: LoadModel = _load_nothing
    """Returns the model of a trial that this one needs, on the CPU."""
    recompute: bool = False
    """Whether networks that can compute activations again in the backward pass, and keep none; numbers are the same."""
    loaders: int = 0
    """Processes that read the inputs of a streamed data set for this one; the inputs are the same."""


class TrainingDiverged(RuntimeError):
    """A training loss is no longer a finite number."""


@dataclass(frozen=True)
class StoppedTrial:
    """What a trial measured that was stopped after some of its epochs; its checkpoint is saved."""

    epochs: Sequence[Row]
    seconds: float
    """Wall time inside the training function so far, of a pack its share of it."""
    resumed_seconds: float
    """Those of them before the checkpoint that it went on from."""


@dataclass(frozen=True)
class Measurements:
    """What a trial measured at its end."""

    measurements: Mapping[str, float | None]
    points: Points = field(default_factory=dict)
    data_digest: str | None = None
    """Names the content of the data set, where that may differ from machine to machine."""


class Task(Protocol):
    """A trial that learns, between two epochs or in a pause of one."""

    @property
    def examples(self) -> int:
        """Return the training examples that the trial sees in an epoch, on all its workers together."""

    def run_epoch(self, epoch: int, pause: Pause = go_on) -> Row:
        """Train for an epoch, counted from 0, or for what is left of it; return what it measured.

        Epochs that may be long have pauses.
        """

    def measure(self, rows: Sequence[Row]) -> Measurements:
        """Return what the trial measured, given its rows of all epochs."""

    def model_state(self) -> Mapping[str, Tensor]:
        """Return the model as trained so far: its weights and buffers by plain names."""

    def state(self) -> dict[str, Any]:
        """Return everything that training depends on from here; all random numbers come from the seed and the epoch.

        Every worker calls this, and worker 0's is everything.
        """

    def load(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""


class TaskGroup(Protocol):
    """Trials that learn together in this process; what a Task is of one, in their order."""

    @property
    def examples(self) -> int:
        """Return the training examples that each trial sees in an epoch."""

    def run_epoch(self, epoch: int, pause: Pause = go_on) -> Sequence[Row]:
        """Train for an epoch, counted from 0, or for what is left of it; return a row for each trial."""

    def measure(self, rows: Sequence[Sequence[Row]]) -> Sequence[Measurements]:
        """Return what each trial measured, given its rows of all epochs."""

    def model_states(self) -> Sequence[Mapping[str, Tensor]]:
        """Return the model of each trial as trained so far."""

    def states(self) -> Sequence[dict[str, Any]]:
        """Return of each trial everything that its training depends on from here."""

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Take over what ``states`` of groups of any trials returned, as far as each other."""


class Alone:
    """A group of one trial."""

    def __init__(self, task: Task) -> None:
        """Take the trial's task."""
        self._task = task

    @property
    def examples(self) -> int:
        """Return the training examples that the trial sees in an epoch."""
        return self._task.examples

    def run_epoch(self, epoch: int, pause: Pause = go_on) -> Sequence[Row]:
        """Train for an epoch and return the trial's row."""
        return [self._task.run_epoch(epoch, pause)]

    def measure(self, rows: Sequence[Sequence[Row]]) -> Sequence[Measurements]:
        """Return what the trial measured."""
        return [self._task.measure(rows[0])]

    def model_states(self) -> Sequence[Mapping[str, Tensor]]:
        """Return the trial's model as trained so far."""
        return [self._task.model_state()]

    def states(self) -> Sequence[dict[str, Any]]:
        """Return everything that training depends on from here, of the one trial."""
        return [self._task.state()]

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Take over what ``states`` returned."""
        (state,) = states
        self._task.load(state)


def build_group(trials: Sequence[Trial], environment: Environment) -> TaskGroup:
    """Return what trains ``trials`` together: those that share a ``pack_key``, be it one, as one batched model.

    Raises ValueError for a trial that does not fit its data set, InputError where the data set is not to be had.
    """
    entry = trials[0].components.task
    if pack_key(trials[0]) is None:
        return Alone(entry.load()(trials[0], environment))
    group: TaskGroup = entry.load_pack()(trials, environment)
    return group


@dataclass(frozen=True)
class TrialResult:
    """What a trial measured: a mapping of measurements, one per epoch, and points in the plane if any."""

    measurements: Mapping[str, float | None]
    epochs: list[dict[str, Any]]
    seconds: float
    resumed_seconds: float = 0.0
    """Of ``seconds``, those before the checkpoint that it went on from."""
    points: Points = field(default_factory=dict)
    data_digest: str | None = None
    """As in ``Measurements``."""
