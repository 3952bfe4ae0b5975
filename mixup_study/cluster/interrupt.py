"""Ctrl-C: first a request that every process notices at the end of its epoch, then an end at once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import ray

POLL_SECONDS = 1.0
"""A training process asks for the flag this often at most."""
GRACE_SECONDS = 8.0
"""How long the driver waits for training processes to reach the end of an epoch and save."""


@ray.remote(num_cpus=0)
class StopFlag:
    """Tells every process of a run that it shall stop."""

    def __init__(self) -> None:
        """Begin unset."""
        self._set = False

    def set(self) -> None:
        """Ask all processes to stop."""
        self._set = True

    def is_set(self) -> bool:
        """Return whether processes shall stop."""
        return self._set


class StopRequests:
    """The flag as a training process sees it."""

    def __init__(self, name: str) -> None:
        """Take the name of a StopFlag; none where ``name`` is empty."""
        self._name = name
        self._asked = -POLL_SECONDS
        self._flag: Any = None

    def __call__(self) -> bool:
        """Return whether to stop, asking at most every POLL_SECONDS; a flag that cannot be asked is not set."""
        if not self._name or time.monotonic() - self._asked < POLL_SECONDS:
            return False
        try:
            self._flag = self._flag or ray.get_actor(self._name)
            return bool(ray.get(self._flag.is_set.remote(), timeout=5))
        except (ray.exceptions.RayError, ValueError):
            return False
        finally:
            self._asked = time.monotonic()


class Interrupt:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        """Begin without."""
        self.requested = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note the first Ctrl-C; let the next one raise KeyboardInterrupt, as without."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def note(number: int, frame: FrameType | None) -> None:
            self.requested = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
