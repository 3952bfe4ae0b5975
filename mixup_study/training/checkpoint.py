"""A half-trained trial as bytes: everything that its remaining epochs depend on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from mixup_study.store.envelope import Envelope, FileUnusable
from mixup_study.training.state_bytes import load_state, save_state

ENVELOPE = Envelope("checkpoint", 2)


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
            self.warn(f"checkpoint not used, training starts over: {error}")
            return None
        return state
