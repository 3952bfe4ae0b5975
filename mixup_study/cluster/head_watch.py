"""Whether the Ray that a run hangs on still lives: Ray itself ends the driver in a minute, without a word, or never."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import ray

from mixup_study.cluster.interrupt import print_now
from mixup_study.errors import CLUSTER_LOST, ClusterLost

CHECK_SECONDS = 1.0
"""The cluster is looked at this often."""
LEAVING_SECONDS = 5.0
"""What the driver has to end by itself, before it is ended."""
MARGIN = 10.0
"""Seconds before Ray would end the driver of a cluster that does not answer."""
_SIGNAL = signal.SIGUSR2


@contextmanager
def watching_head(address: str, is_own: bool) -> Iterator[None]:
    """Raise ClusterLost from within the block once the Ray at ``address`` is gone.

    Of one of the run's own, which nothing starts again, as soon as its head or its node has died; of another, once
    its head has not answered for nearly as long as Ray waits for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    find_loss = _find_dead_process if is_own else _Answers(address).find_loss
    watch = _HeadWatch(find_loss)
    before = signal.signal(_SIGNAL, watch.leave)
    watch.start()
    try:
        yield
    except BaseException as error:
        if watch.loss is None or isinstance(error, ClusterLost):
            raise
        raise ClusterLost(watch.loss) from None  # Ray raises another of its own while it waits
    finally:
        watch.ended.set()
        signal.signal(_SIGNAL, signal.SIG_IGN if watch.loss else before)


def end_own_ray() -> None:
    """End what is left of the Ray that this process started."""
    node: Any = ray._private.worker._global_node
    node.kill_all_processes(check_alive=False, allow_graceful=False)


class _HeadWatch(threading.Thread):
    """Looks for a loss, and interrupts the main thread where there is one."""

    def __init__(self, find_loss: Callable[[], str | None]) -> None:
        super().__init__(daemon=True, name="head watch")
        self._find_loss = find_loss
        self.loss: str | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(CHECK_SECONDS):
            self.loss = self._find_loss()
            if self.loss is not None:
                signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
                if not self.ended.wait(LEAVING_SECONDS):  # it waits within Ray, which does not look at signals
                    sys.stdout.flush()
                    print_now(f"error: {ClusterLost(self.loss)}")
                    os._exit(CLUSTER_LOST)
                return

    def leave(self, number: int, frame: FrameType | None) -> None:
        if self.loss is not None:
            raise ClusterLost(self.loss)


def _find_dead_process() -> str | None:
    """Return which process of the Ray that this one started has died."""
    node: Any = ray._private.worker._global_node
    names = {"gcs_server": "its head process, the GCS", "raylet": "its node process, the raylet"}
    for kind, name in names.items():
        for info in node.all_processes.get(kind, ()):
            if info.process.poll() is not None:
                return f"Ray on this machine has ended: {name}, died"
    return None


class _Answers:
    """Since when the head of a cluster has not answered."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._place = (host.strip("[]"), int(port))
        self._address = address
        self._answered = time.monotonic()
        patience = os.environ.get("RAY_gcs_rpc_server_reconnect_timeout_s", "60")  # noqa: SIM112  # so Ray spells it
        self._patience = max(float(patience) - MARGIN, MARGIN)

    def find_loss(self) -> str | None:
        try:
            socket.create_connection(self._place, timeout=5).close()
        except OSError as error:
            silent = time.monotonic() - self._answered
            if silent < self._patience:
                return None
            return f"the head of the Ray cluster at {self._address} has not answered for {silent:.0f} s ({error})"
        self._answered = time.monotonic()
        return None
