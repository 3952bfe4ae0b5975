"""Time limits of a run: it ends by itself as if SIGTERM had come."""

from __future__ import annotations

import argparse
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
MOST = 366 * 86400.0
"""Seconds that a limit may lie ahead: threads wait for no longer than some such time."""


def duration(text: str) -> float:
    """Be an argument type: a duration such as ``90m``, ``2h`` or ``1h30m``, in seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text)
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not 0 < seconds <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a duration such as 90m, 2h or 1h30m, of a year at most")
    return seconds


def time_of_day(text: str) -> float:
    """Be an argument type: a time such as ``18:00``, the next there is, or ``2026-01-31T18:00``; the seconds to it."""
    now = datetime.now()
    try:
        if re.fullmatch(r"\d?\d:\d\d", text):
            hour, minute = map(int, text.split(":"))
            moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            moment += timedelta(days=moment <= now)
        else:
            moment = datetime.fromisoformat(text)
        seconds = moment.timestamp() - now.timestamp()
    except (ValueError, OverflowError):
        seconds = 0.0
    if not 0 < seconds <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a time to come, as 18:00 or 2026-01-31T18:00")
    return seconds


def end_as_by_signal() -> None:
    """Send this process SIGTERM."""
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def ending_after(seconds: float | None) -> Iterator[None]:
    """Send this process SIGTERM once the block has lasted so long; None for never."""
    timer = None if seconds is None else threading.Timer(seconds, end_as_by_signal)
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
