"""What a training process prints, kept with the results."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from mixup_study.store.logs import LogFile


class Output:
    """The output of this process, on its way to a log."""

    def __init__(self, log: LogFile, descriptor: int, header: str) -> None:
        """Begin after ``header``, which a log that holds nothing else does not keep."""
        self._log = log
        self._descriptor = descriptor
        self._was_empty = os.fstat(descriptor).st_size == 0
        os.write(descriptor, header.encode())
        self._begun = os.fstat(descriptor).st_size

    def save(self) -> None:
        """Bring a log in a bucket up to date; a local one is by itself."""
        _flush()
        size = os.fstat(self._descriptor).st_size
        if self._log.local is None and size > self._begun:
            self._log.write(os.pread(self._descriptor, size, 0))

    def end(self) -> None:
        """Bring the log up to date, and remove it where nothing was ever printed."""
        self.save()
        if self._log.local is not None and self._was_empty and os.fstat(self._descriptor).st_size == self._begun:
            self._log.local.unlink(missing_ok=True)


@contextmanager
def kept(results: str, name: str, title: str) -> Iterator[Output]:
    """Keep what this process prints during the block, Python's code or not, in the log ``name`` of the results.

    What it prints follows the log's earlier content, under a line that says when, where and of what (``title``). A
    process that is killed leaves what it printed by then; in a bucket, by its last checkpoint. A process that
    prints nothing leaves no log. Raises StorageError where the log cannot be written.
    """
    log = LogFile(results, name)
    with tempfile.NamedTemporaryFile(prefix="mixup_study-") as copy:
        if log.local is None:
            copy.write(log.read())
            copy.flush()
            descriptor = os.open(copy.name, os.O_RDWR | os.O_APPEND)
        else:
            descriptor = log.open()
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        output = Output(log, descriptor, f"== {moment}, process {os.getpid()} on {socket.gethostname()}: {title}\n")
        _flush()
        before = [(number, os.dup(number)) for number in (1, 2)]
        try:
            for number, _ in before:
                os.dup2(descriptor, number)
            yield output
        finally:
            _flush()
            for number, kept_number in before:
                os.dup2(kept_number, number)
                os.close(kept_number)
            try:
                output.end()
            finally:
                os.close(descriptor)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
