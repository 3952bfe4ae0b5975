"""Ctrl-C, SIGTERM and SIGHUP: at first a request to save and end, then an end at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from mixup_study.cluster.executor import Listener
from mixup_study.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Of the user, of schedulers such as Slurm and Kubernetes, and of a terminal that goes away."""


class Interrupt:
    """Whether a signal asked the run to end."""

    def __init__(self, grace: float, listeners: Sequence[Listener]) -> None:
        """Begin without; the trials under way have ``grace`` seconds to save from the first signal on.

        ``listeners`` are told of that signal.
        """
        self.grace = grace
        self._listeners = listeners
        self._number: int | None = None

    @property
    def requested(self) -> bool:
        """Return whether one did."""
        return self._number is not None

    def check(self) -> None:
        """Raise Interrupted where one did."""
        if self._number is not None:
            raise Interrupted(self._number)

    @contextmanager
    def listening(self, patience: float) -> Iterator[None]:
        """Note the first signal; let another one, or so many seconds after the first, raise Interrupted.

        A signal that the process ignores, as under nohup, it goes on to ignore.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        heard = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]
        alarm, timer = signal.getsignal(signal.SIGALRM), (0.0, 0.0)

        def leave(number: int, frame: FrameType | None) -> None:
            raise Interrupted(self._number or number)

        def note(number: int, frame: FrameType | None) -> None:
            nonlocal timer
            self._number = number
            for other in heard:
                signal.signal(other, leave)
            signal.signal(signal.SIGALRM, leave)
            timer = signal.setitimer(signal.ITIMER_REAL, patience)
            for listener in self._listeners:
                listener.interrupted(f"interrupted: trials have {self.grace:g} s to save; again to leave now")

        for number in heard:
            signal.signal(number, note)
        try:
            yield
        except KeyboardInterrupt:  # Ray raises one of its own for what a handler raises while it waits
            if self._number is None:
                raise
            raise Interrupted(self._number) from None
        finally:
            if self.requested:
                signal.setitimer(signal.ITIMER_REAL, *timer)
                signal.signal(signal.SIGALRM, alarm)
            for number in heard:
                signal.signal(number, before[number])


def print_now(line: str) -> None:
    """Print to standard error from a signal handler, which may have come in the middle of another print."""
    with suppress(OSError, ValueError, AttributeError):  # closed, or its terminal is gone
        os.write(sys.stderr.fileno(), f"{line}\n".encode())
