"""A half-trained trial as bytes: everything that its remaining epochs depend on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from mixup_study.store.checkpoints import CheckpointEntry, open_checkpoint, seal_checkpoint
from mixup_study.store.envelope import FileUnusable
from mixup_study.study.trial import Trial
from mixup_study.training.parallel import Worker
from mixup_study.training.state_bytes import load_state, save_state
from mixup_study.training.task import TaskGroup

ASK_SECONDS = 1.0
"""Data-parallel workers agree about this often, in an epoch, on whether to save."""

Rows = list[dict[str, Any]]
"""What each epoch of a trial measured."""


class Stopped(Exception):
    """Training stopped on request; what it had is saved."""


class CheckpointFile(Protocol):
    """The place of one trial's checkpoint."""

    def read(self) -> bytes | None:
        """Return what was written last, None where nothing was."""

    def write(self, content: bytes) -> None:
        """Replace the checkpoint, whole or not at all; raise OSError where that is not possible."""


@dataclass
class Checkpointing:
    """When and where trials save their checkpoints, each its own."""

    file: Callable[[Trial], CheckpointFile]
    seconds: float
    """Save when the last save, or the start, is at least so long ago."""
    stop_requested: Callable[[], bool]
    """Asked at the end of every epoch and in its pauses, of a group in the first worker; where it is true, the trial
    saves and raises Stopped, in all of them."""
    warn: Callable[[str], None]
    """Told in one line about a checkpoint that cannot be used, or saved."""
    saved: Callable[[float, int], None] = lambda seconds, size: None
    """Told of each save of all trials: the seconds that it took, and its bytes."""
    _last: float = field(default_factory=time.monotonic)
    _reasons: set[str] = field(default_factory=set)

    def due(self) -> bool:
        """Return whether the last save is old enough for the next."""
        return time.monotonic() - self._last >= self.seconds

    def save(
        self, trials: Sequence[Trial], states: Sequence[dict[str, Any]], epochs: int, is_within_epoch: bool
    ) -> None:
        """Save the state of each trial, all of which have ended so many epochs, or are within the one after them.

        Where that fails, training goes on without, which is told once for each reason.
        """
        begun = time.perf_counter()
        size = 0
        try:
            for trial, state in zip(trials, states, strict=True):
                entry = CheckpointEntry(trial.trial_id, epochs, is_within_epoch)
                content = seal_checkpoint(entry, save_state(state))
                self.file(trial).write(content)
                size += len(content)
        except OSError as error:
            reason = " ".join(str(error).split())
            if reason not in self._reasons:
                self._reasons.add(reason)
                self.warn(f"no checkpoint saved: {reason}")
        else:
            self.saved(time.perf_counter() - begun, size)
        self._last = time.monotonic()

    def load(self, trial: Trial, expected: dict[str, Any]) -> dict[str, Any] | None:
        """Return the state of a trial saved last, on the CPU; None where it has none.

        None as well, with a warning, where it is not of what is ``expected``.
        """
        content = self.file(trial).read()
        if content is None:
            return None
        try:
            state = load_state(open_checkpoint(content))
            for name, value in expected.items():
                if state.get(name) != value:
                    raise FileUnusable(f"it is of {name} {state.get(name)}, not {value}")
        except FileUnusable as error:
            self.warn_unused(error)
            return None
        return state

    def warn_unused(self, error: FileUnusable) -> None:
        """Tell that the checkpoint is not used, and why."""
        self.warn(f"checkpoint not used, training starts over: {error}")


class History:
    """What each trial of a group measured so far, and the wall time that took."""

    def __init__(self, rows: list[Rows], seconds: float = 0.0, epoch_seconds: float = 0.0) -> None:
        """Go on from the ``rows`` of each trial after so many seconds, the last of them in an epoch under way."""
        self.rows = rows
        self.seconds_before = seconds
        self._epoch_seconds_before = epoch_seconds
        self._started = self._epoch_begun = time.perf_counter()

    @property
    def epochs(self) -> int:
        """Return how many epochs have ended, of the trials that have not diverged."""
        return max(map(len, self.rows))

    @property
    def seconds(self) -> float:
        """Return the seconds inside the training function so far."""
        return self.seconds_before + time.perf_counter() - self._started

    @property
    def epoch_seconds(self) -> float:
        """Return those of the epoch under way."""
        return self._epoch_seconds_before + time.perf_counter() - self._epoch_begun

    def begin_epoch(self) -> None:
        """Take note that an epoch begins, or goes on."""
        self._epoch_begun = time.perf_counter()

    def end_epoch(self) -> float:
        """Take note that the epoch is over; return its seconds."""
        seconds = self.epoch_seconds
        self._epoch_seconds_before, self._epoch_begun = 0.0, time.perf_counter()
        return seconds


class Saver:
    """Saves trials when that is due, and stops them when that is asked for, on all their workers after one step."""

    def __init__(
        self,
        checkpointing: Checkpointing,
        task: TaskGroup,
        kind: Mapping[str, Any],
        trials: Sequence[Trial],
        history: History,
        worker: Worker,
        device: torch.device,
    ) -> None:
        """Save ``task``, which trains ``trials``, with its ``history``, and with ``kind``: what a checkpoint is of."""
        self._checkpointing = checkpointing
        self._task = task
        self._kind = kind
        self._trials = trials
        self._history = history
        self._worker = worker
        self._device = device
        self._pauses = 0
        """Since worker 0 was last asked."""
        self._asked_every = 1
        self._asked_at = time.monotonic()

    def pause(self) -> None:
        """Ask worker 0 now and then whether to save or to stop; alone that takes no time, so always."""
        self._pauses += 1
        if self._pauses >= self._asked_every:
            self.ask()

    def ask(self) -> None:
        """Save where worker 0 finds that due; where it was asked to stop, raise Stopped."""
        numbers = [0, 0, 1]
        if self._worker.rank == 0:
            asked_to_stop = self._checkpointing.stop_requested()
            numbers = [asked_to_stop, asked_to_stop or self._checkpointing.due(), self._choose_pauses()]
        stop, save, self._asked_every = self._worker.agree(numbers, self._device)
        self._pauses, self._asked_at = 0, time.monotonic()
        if save:
            self.save()
        if stop:
            raise Stopped

    def _choose_pauses(self) -> int:
        """Return after how many pauses to ask again, by how long the last took."""
        if self._worker.count == 1 or not self._pauses:
            return self._asked_every
        seconds = max(time.monotonic() - self._asked_at, 1e-6)
        return max(1, int(self._pauses * ASK_SECONDS / seconds))

    def save(self) -> None:
        """Save, in the first worker, what all of them depend on."""
        states = self._task.states()
        if self._worker.rank != 0:
            return
        count = len(self._trials)
        times = {"seconds": self._history.seconds / count, "epoch_seconds": self._history.epoch_seconds / count}
        sealed = [
            {**self._kind, "trial_id": trial.trial_id, **state, "rows": rows, "epochs": self._history.epochs, **times}
            for trial, state, rows in zip(self._trials, states, self._history.rows, strict=True)
        ]
        self._checkpointing.save(self._trials, sealed, self._history.epochs, "epoch" in states[0])


def restore(task: TaskGroup, states: Sequence[dict[str, Any]], trials: Sequence[Trial]) -> History:
    """Have a task go on from the saved states of its trials; return what they measured so far.

    Raises FileUnusable for states that do not fit the trials. The task is of no use then: it may have taken over a
    part of them.
    """
    try:
        for state, trial in zip(states, trials, strict=True):
            _check_state(state, trial)
        seconds, epoch_seconds = (sum(state[name] for state in states) for name in ("seconds", "epoch_seconds"))
        history = History([state["rows"] for state in states], seconds, epoch_seconds)
        task.load(states)
    except Exception as error:  # whatever a state of the right digest, but of another content, leads to
        raise FileUnusable(f"it does not fit the trial ({type(error).__name__})") from error
    return history


def describe_divergence(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return which loss of a trial's last row is no finite number, if any is."""
    for name, value in rows[-1].items() if rows else ():
        if name.endswith("loss") and not math.isfinite(value):
            called = name.replace("train_", "training ").replace("_", " ")
            return f"the {called} of epoch {rows[-1]['epoch']} is {value}"
    return None


def count_epochs(state: Mapping[str, Any] | None) -> int:
    """Return how many epochs of a trial had ended when its state was saved; 0 where there is none, or it is unknown."""
    epochs = None if state is None else state.get("epochs")
    return epochs if isinstance(epochs, int) else 0


def _check_state(state: Mapping[str, Any], trial: Trial) -> None:
    """Raise an exception unless a state holds rows of one epoch after the other, with their curves, and its seconds.

    The epoch under way, counted from 0, comes next; between two epochs, one at least has ended. A trial that diverged
    within its pack has fewer rows than the others.
    """
    headline = trial.components.task.headline
    needed = {"epoch", "lr", "seconds", *([headline] if headline else ())}
    rows, ended, under_way = state["rows"], state["epochs"], state.get("epoch")
    expected = ended > 0 if under_way is None else ended == under_way
    if not expected or len(rows) > ended or ended >= trial.trained_epochs:
        raise ValueError("it has other epochs")
    if len(rows) < ended and describe_divergence(rows) is None:
        raise ValueError("epochs are missing")
    for epoch, row in enumerate(rows, start=1):
        if not needed <= row.keys() or row["epoch"] != epoch:
            raise ValueError(f"its epoch {epoch} is another")
    for name in ("seconds", "epoch_seconds"):
        if not 0 <= float(state[name]) < math.inf:
            raise ValueError("its seconds are none")
