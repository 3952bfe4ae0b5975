"""What the processes of a run on Ray ask the one that schedules: what to train, and whether to stop."""

from __future__ import annotations

import os
import time
import uuid
from functools import cache
from typing import Any

import ray
from ray.experimental.internal_kv import internal_kv_get_gcs_client

POLL_SECONDS = 1.0
"""A training process asks whether to stop this often at most."""
ANSWER_SECONDS = 5.0
"""It waits this long for an answer."""
_NAMESPACE = b"mixup_study"
_OPEN, _STOP = "open", "stop"


class Board:
    """The board as the driver sees it: entries in the key-value store of Ray's head, which outlive any process.

    An actor would do, but Ray ends actors on a node that runs out of memory. What a killed driver leaves goes with the
    cluster: the assignments of the jobs under way.
    """

    def __init__(self) -> None:
        """Open the board."""
        self.name = f"mixup_study-{uuid.uuid4().hex}"
        self._client: Any = internal_kv_get_gcs_client()
        self._put(_OPEN, "")

    def post(self, name: str, assignment: str) -> None:
        """Have the assignment of a job ready, as JSON, before a process asks for it."""
        self._put(f"job {name}", assignment)

    def hold_back(self, name: str) -> None:
        """Have a job that starts again wait for memory on its node first."""
        self._put(f"wait {name}", "")

    def take_down(self, name: str) -> None:
        """Forget the assignment of a job that is over."""
        for entry in (f"job {name}", f"wait {name}"):
            self._client.internal_kv_del(_key(self.name, entry), False, _NAMESPACE)

    def request_stop(self, name: str | None = None) -> None:
        """Ask the process of a job to stop, or all processes."""
        self._put(_STOP if name is None else f"{_STOP} {name}", "")

    def remove(self) -> None:
        """Forget everything."""
        self._client.internal_kv_del(_key(self.name, ""), True, _NAMESPACE, ANSWER_SECONDS)

    def _put(self, entry: str, content: str) -> None:
        self._client.internal_kv_put(_key(self.name, entry), content.encode(), True, _NAMESPACE)


class RemoteBoard:
    """The board as a training process sees it."""

    def __init__(self, name: str) -> None:
        """Find the board of that name; raise RuntimeError where it is gone, and the driver with it."""
        self._name = name
        self._client: Any = internal_kv_get_gcs_client()
        if not self._has(_OPEN):  # which would be recorded as the trial's own fault
            raise RuntimeError("the command that schedules this process is gone")
        self._asked = -POLL_SECONDS
        self._parent = os.getppid()
        self._stopping: set[str] = set()
        """Names of jobs that were asked to stop, which is never taken back."""

    def fetch_assignment(self, job: str) -> str:
        """Return the assignment of a job, as JSON."""
        content: bytes = self._client.internal_kv_get(_key(self._name, f"job {job}"), _NAMESPACE)
        return content.decode()

    def is_held_back(self, job: str) -> bool:
        """Return whether a job shall wait for memory on its node."""
        return self._has(f"wait {job}")

    def stop_requested(self, job: str) -> bool:
        """Return whether a job is to stop, asking at most every POLL_SECONDS.

        Nobody stops where nobody answers, but whose node's Ray has died: what it saves now is all that counts.
        """
        if job in self._stopping or self.has_lost_node():
            return True
        if time.monotonic() - self._asked < POLL_SECONDS:
            return False
        try:
            if self._has(_STOP) or self._has(f"{_STOP} {job}"):
                self._stopping.add(job)
        except ray.exceptions.RayError:
            return False
        finally:
            self._asked = time.monotonic()
        return job in self._stopping

    def has_lost_node(self) -> bool:
        """Return whether the Ray of this process's node has died, which started this process."""
        return os.getppid() != self._parent

    def _has(self, entry: str) -> bool:
        return bool(self._client.internal_kv_exists(_key(self._name, entry), _NAMESPACE, ANSWER_SECONDS))


def _key(board: str, entry: str) -> bytes:
    return f"{board}/{entry}".encode()


@cache
def find_board(name: str) -> RemoteBoard:
    """Return the board of that name, which the jobs of a reused process share."""
    return RemoteBoard(name)
