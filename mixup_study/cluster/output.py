"""What a process prints while it trains, kept with the results."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from typing import Any, TextIO, cast

from mixup_study.files import LossyStream, is_disk_full
from mixup_study.store.logs import LogFile


class Output:
    """The output of this process, on its way to a log."""

    def __init__(self, log: LogFile, descriptor: int, header: str) -> None:
        """Begin after ``header``, which a log that holds nothing else does not keep."""
        self._log = log
        self.descriptor = descriptor
        """Where what is printed goes."""
        self._was_empty = os.fstat(descriptor).st_size == 0
        write_as_far_as_possible(descriptor, header)
        self._begun = os.fstat(descriptor).st_size

    def save(self) -> None:
        """Bring a log in a bucket up to date; a local one is by itself."""
        _flush()
        size = os.fstat(self.descriptor).st_size
        if self._log.local is None and size > self._begun:
            self._log.write(os.pread(self.descriptor, size, 0))

    def end(self) -> None:
        """Bring the log up to date, and remove it where nothing was ever printed."""
        self.save()
        if self._log.local is not None and self._was_empty and os.fstat(self.descriptor).st_size == self._begun:
            self._log.local.unlink(missing_ok=True)


@contextmanager
def redirect_output(results: str, name: str, title: str) -> Iterator[Output]:
    """Send what this process prints during the block, Python's code or not, to the log ``name`` of the results.

    What it prints follows the log's earlier content, under a line that says when, where and of what (``title``). A
    process that is killed leaves what it printed by then; in a bucket, by its last checkpoint. A process that
    prints nothing leaves no log. Raises StorageError where the log cannot be written.
    """
    with _opened(results, name, title) as output:
        before = [(number, os.dup(number)) for number in (1, 2)]
        try:
            for number, _ in before:
                os.dup2(output.descriptor, number)
            out, err = (cast("TextIO", LossyStream(stream)) for stream in (sys.stdout, sys.stderr))
            with redirect_stdout(out), redirect_stderr(err):
                yield output
        finally:
            _flush()
            for number, original in before:
                os.dup2(original, number)
                os.close(original)


@contextmanager
def copy_output(results: str, name: str, title: str) -> Iterator[Output]:
    """Copy what Python's code prints during the block to the log ``name`` of the results, as ``redirect_output`` does.

    It is still printed where it was, so that a debugger can be used.
    """
    with _opened(results, name, title) as output:
        copies = [cast("TextIO", _Copy(stream, output.descriptor)) for stream in (sys.stdout, sys.stderr)]
        with redirect_stdout(copies[0]), redirect_stderr(copies[1]):
            yield output


class _Copy:
    """A text stream that writes to a file descriptor as well."""

    def __init__(self, stream: TextIO, descriptor: int) -> None:
        self._stream = stream
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        write_as_far_as_possible(self._descriptor, text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _opened(results: str, name: str, title: str) -> Iterator[Output]:
    log = LogFile(results, name)
    descriptor = _open_copy(log) if log.local is None else log.open()
    try:
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        output = Output(log, descriptor, f"== {moment}, process {os.getpid()} on {socket.gethostname()}: {title}\n")
        _flush()
        try:
            yield output
        finally:
            output.end()
    finally:
        os.close(descriptor)


def _open_copy(log: LogFile) -> int:
    """Return a file descriptor that appends to a copy of a log in a bucket; no killed process leaves its file."""
    with tempfile.TemporaryFile() as copy:
        copy.write(log.read())
        copy.flush()
        return os.dup(copy.fileno())


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            LossyStream(stream).flush()


def write_as_far_as_possible(descriptor: int, text: str) -> None:
    """Write into a log; what a full disk does not take is left out."""
    try:
        os.write(descriptor, text.encode(errors="backslashreplace"))
    except OSError as error:
        if not is_disk_full(error):
            raise
