"""Two processes that are the data-parallel workers of a trial, over gloo, without Ray."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from torch import distributed


class Pair:
    """Two processes that are the workers of one trial after the other."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        spawn = multiprocessing.get_context("spawn")
        self.processes = [ProcessPoolExecutor(1, spawn, _join, (port, rank)) for rank in range(2)]

    def call(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call a function in both at once; return what it returns in each."""
        calls = [process.submit(function, *arguments) for process in self.processes]
        return [call.result(timeout=120) for call in calls]


def _join(port: int, rank: int) -> None:
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)


@contextmanager
def running_pair() -> Iterator[Pair]:
    """Start two workers, and end them."""
    started = Pair()
    try:
        yield started
        started.call(distributed.destroy_process_group)
    finally:
        for process in started.processes:
            process.shutdown()
