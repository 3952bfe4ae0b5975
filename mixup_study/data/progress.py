"""Lines that tell, now and then, how far something is that takes long."""

from __future__ import annotations

import sys
import time

PROGRESS_SECONDS = 5.0
"""Between two lines."""


class ProgressLines:
    """Prints how far something is to standard error, at most every PROGRESS_SECONDS."""

    def __init__(self) -> None:
        """Begin to count the time."""
        self._shown = time.monotonic()

    def show(self, line: str) -> None:
        """Print a line, unless another one was printed just before."""
        if time.monotonic() - self._shown > PROGRESS_SECONDS:
            self._shown = time.monotonic()
            print(line, file=sys.stderr, flush=True)
