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
    """When and where a trial saves its checkpoints."""

    file: CheckpointFile
    seconds: float
    """Save when the last save, or the start, is at least so long ago."""
    stop_requested: Callable[[], bool]
    """Asked at the end of every epoch and in its pauses, of a group in the first worker; where it is true, the trial
    saves and raises Stopped, in all of them."""
    warn: Callable[[str], None]
    """Told in one line about a checkpoint that cannot be used, or saved."""
    saved: Callable[[float, int], None] = lambda seconds, size: None
    """Told of each save: the seconds that it took, and its bytes."""
    _last: float = field(default_factory=time.monotonic)
    _reasons: set[str] = field(default_factory=set)

    def due(self) -> bool:
        """Return whether the last save is old enough for the next."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, state: dict[str, Any], entry: CheckpointEntry) -> None:
        """Save ``state``, of which ``entry`` says how far it is.

        Where that fails, training goes on without, which is told once for each reason.
        """
        begun = time.perf_counter()
        content = seal_checkpoint(entry, save_state(state))
        try:
            self.file.write(content)
        except OSError as error:
            reason = " ".join(str(error).split())
            if reason not in self._reasons:
                self._reasons.add(reason)
                self.warn(f"no checkpoint saved: {reason}")
        else:
            self.saved(time.perf_counter() - begun, len(content))
        self._last = time.monotonic()

    def load(self, expected: dict[str, Any]) -> dict[str, Any] | None:
        """Return the state saved last, on the CPU; None, with a warning, where it is not of what is ``expected``."""
        content = self.file.read()
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
        """Return how many epochs have ended."""
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
        self._trial_ids = tuple(trial.trial_id for trial in trials)
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
        state = self._task.state()
        if self._worker.rank == 0:
            times = {"seconds": self._history.seconds, "epoch_seconds": self._history.epoch_seconds}
            entry = CheckpointEntry(self._trial_ids, self._history.epochs, "epoch" in state)
            self._checkpointing.save({**self._kind, **state, "rows": self._history.rows, **times}, entry)


def restore(task: TaskGroup, state: dict[str, Any], trials: Sequence[Trial]) -> History:
    """Have a task go on from a saved state; return what its trials measured so far.

    Raises FileUnusable for a state that does not fit the trials. The task is of no use then: it may have taken over a
    part of it.
    """
    try:
        _check_rows(state["rows"], trials, state.get("epoch"))
        history = History(state["rows"], float(state["seconds"]), float(state["epoch_seconds"]))
        if not 0 <= history.seconds_before < math.inf or not 0 <= history.epoch_seconds < math.inf:
            raise ValueError("its seconds are none")
        task.load(state)
    except Exception as error:  # whatever a state of the right digest, but of another content, leads to
        raise FileUnusable(f"it does not fit the trial ({type(error).__name__})") from error
    return history


def _check_rows(rows: Any, trials: Sequence[Trial], under_way: int | None) -> None:
    """Raise an exception unless there is a list of rows for each trial: an epoch after the other, with its curves.

    The epoch ``under_way``, counted from 0, comes next; None between two epochs, of which there was one at least.
    """
    headline = trials[0].components.task.headline
    needed = {"epoch", "lr", "seconds", *([headline] if headline else ())}
    ended = max(map(len, rows))
    expected = ended > 0 if under_way is None else ended == under_way
    if len(rows) != len(trials) or not expected or ended >= trials[0].trained_epochs:
        raise ValueError("it has other epochs")
    for own in rows:
        for epoch, row in enumerate(own, start=1):
            if not needed <= row.keys() or row["epoch"] != epoch:
                raise ValueError(f"its epoch {epoch} is another")
