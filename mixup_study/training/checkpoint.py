"""A half-trained trial as bytes: everything that its remaining epochs depend on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mixup_study.store.envelope import Envelope, FileUnusable
from mixup_study.study.trial import Trial
from mixup_study.training.state_bytes import load_state, save_state
from mixup_study.training.task import TaskGroup

ENVELOPE = Envelope("checkpoint", 2)

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
    """Save at the end of an epoch when the last save, or the start, is at least so long ago."""
    stop_requested: Callable[[], bool]
    """Asked at the end of every epoch, of a group in the first worker; where it is true, the trial saves and raises
    Stopped, in all of them."""
    warn: Callable[[str], None]
    """Told in one line about a checkpoint that cannot be used, or saved."""
    saved: Callable[[float, int], None] = lambda seconds, size: None
    """Told of each save: the seconds that it took, and its bytes."""
    _last: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        """Return whether the last save is old enough for the next."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, state: dict[str, Any]) -> None:
        """Save ``state``; where that fails, training goes on without."""
        begun = time.perf_counter()
        content = ENVELOPE.seal(save_state(state))
        try:
            self.file.write(content)
        except OSError as error:
            self.warn(f"no checkpoint saved: {' '.join(str(error).split())}")
        else:
            self.saved(time.perf_counter() - begun, len(content))
        self._last = time.monotonic()

    def load(self, expected: dict[str, Any]) -> dict[str, Any] | None:
        """Return the state saved last, on the CPU; None, with a warning, where it is not of what is ``expected``."""
        content = self.file.read()
        if content is None:
            return None
        try:
            state = load_state(ENVELOPE.open(content))
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


def restore(task: TaskGroup, state: dict[str, Any], trials: Sequence[Trial]) -> tuple[list[Rows], float]:
    """Have a task go on from a saved state; return each trial's rows of the epochs so far, and the seconds they took.

    Raises FileUnusable for a state that does not fit the trials. The task is of no use then: it may have taken over a
    part of it.
    """
    try:
        rows, seconds = state["rows"], float(state["seconds"])
        _check_rows(rows, trials)
        if not 0 <= seconds < math.inf:
            raise ValueError(f"its seconds are {seconds}")
        task.load(state)
    except Exception as error:  # whatever a state of the right digest, but of another content, leads to
        raise FileUnusable(f"it does not fit the trial ({type(error).__name__})") from error
    return rows, seconds


def _check_rows(rows: Any, trials: Sequence[Trial]) -> None:
    """Raise an exception unless there is a list of rows for each trial: an epoch after the other, with its curves."""
    headline = trials[0].components.task.headline
    needed = {"epoch", "lr", "seconds", *([headline] if headline else ())}
    if len(rows) != len(trials) or not 0 < max(map(len, rows)) < trials[0].trained_epochs:
        raise ValueError("it has other epochs")
    for own in rows:
        for epoch, row in enumerate(own, start=1):
            if not needed <= row.keys() or row["epoch"] != epoch:
                raise ValueError(f"its epoch {epoch} is another")
