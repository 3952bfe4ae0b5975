"""What the processes of a run on Ray ask the one that schedules: what to train, and whether to stop."""

from __future__ import annotations

import time
import uuid
from functools import cache
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

POLL_SECONDS = 1.0
"""A training process asks whether to stop this often at most."""


@ray.remote(num_cpus=0)
class _Board:
    def __init__(self) -> None:
        self._assignments: dict[str, str] = {}
        self._stop_requested = False

    def post(self, name: str, assignment: str) -> None:
        self._assignments[name] = assignment

    def take_down(self, name: str) -> None:
        self._assignments.pop(name, None)

    def assignment(self, name: str) -> str:
        return self._assignments[name]

    def request_stop(self) -> None:
        self._stop_requested = True

    def stop_requested(self) -> bool:
        return self._stop_requested


class Board:
    """The board as the driver sees it: an actor beside it, which lives as long as the run."""

    def __init__(self) -> None:
        """Start the actor on the driver's own node, so that the loss of another takes nothing from the others."""
        self.name = f"mixup_study-{uuid.uuid4().hex}"
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._actor: Any = _Board.options(name=self.name, scheduling_strategy=here).remote()  # type: ignore[attr-defined]  # added by ray.remote

    def post(self, name: str, assignment: str) -> None:
        """Have the assignment of a job ready, as JSON, before a process asks for it."""
        ray.get(self._actor.post.remote(name, assignment))

    def take_down(self, name: str) -> None:
        """Forget the assignment of a job that is over."""
        self._actor.take_down.remote(name)

    def request_stop(self) -> None:
        """Ask all processes to stop."""
        self._actor.request_stop.remote()

    def remove(self) -> None:
        """End the actor."""
        ray.kill(self._actor)


class RemoteBoard:
    """The board as a training process sees it."""

    def __init__(self, name: str) -> None:
        """Find the board of that name; raise RuntimeError where it is gone, and the driver with it."""
        try:
            self._actor: Any = ray.get_actor(name)
        except ValueError as error:  # which would be recorded as the trial's own fault
            raise RuntimeError("the command that schedules this process is gone") from error
        self._asked = -POLL_SECONDS

    def fetch_assignment(self, job: str) -> str:
        """Return the assignment of a job, as JSON."""
        return str(ray.get(self._actor.assignment.remote(job)))

    def stop_requested(self) -> bool:
        """Return whether to stop, asking at most every POLL_SECONDS; nobody stops where nobody answers."""
        if time.monotonic() - self._asked < POLL_SECONDS:
            return False
        try:
            return bool(ray.get(self._actor.stop_requested.remote(), timeout=5))
        except ray.exceptions.RayError:
            return False
        finally:
            self._asked = time.monotonic()


@cache
def find_board(name: str) -> RemoteBoard:
    """Return the board of that name, which the jobs of a reused process share."""
    return RemoteBoard(name)
