"""A half-trained trial as bytes: everything that its remaining epochs depend on."""

from __future__ import annotations

import hashlib
import io
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

FORMAT = b"mixup_study checkpoint 2\n"
"""First line of a checkpoint. Its number is raised when what follows changes."""
_DIGEST_SIZE = 64


class CheckpointUnusable(ValueError):
    """A checkpoint that no trial can go on from."""


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
        content = pack(state)
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
            state = unpack(content)
            for name, value in expected.items():
                if state.get(name) != value:
                    raise CheckpointUnusable(f"it is of {name} {state.get(name)}, not {value}")
        except CheckpointUnusable as error:
            self.warn(f"checkpoint not used, training starts over: {error}")
            return None
        return state


def pack(state: dict[str, Any]) -> bytes:
    """Return ``state`` (tensors, numbers, text, lists and mappings of them) as a checkpoint."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    return FORMAT + hashlib.sha256(content).hexdigest().encode() + content


def unpack(checkpoint: bytes) -> dict[str, Any]:
    """Return the state that ``pack`` took, on the CPU; raise CheckpointUnusable for anything else."""
    if not checkpoint.startswith(FORMAT):
        word = FORMAT.split()[0]
        raise CheckpointUnusable(
            "it has another format" if checkpoint.startswith(word) else "it is not a checkpoint of mixup_study"
        )
    rest = checkpoint[len(FORMAT) :]
    digest, content = rest[:_DIGEST_SIZE], rest[_DIGEST_SIZE:]
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise CheckpointUnusable("it is damaged")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointUnusable("it holds more than numbers") from error
    if not isinstance(state, dict):
        raise CheckpointUnusable("it is not a checkpoint of mixup_study")
    return state
