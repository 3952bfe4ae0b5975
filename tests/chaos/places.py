"""Where the command trains: on a Ray of its own, on a cluster that it joins, or in its own process."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Protocol

import psutil
from ray.cluster_utils import Cluster

from tests.chaos.processes import TRAINERS, has_name, is_running, list_descendants

RECONNECT_SECONDS = "20"
"""A command gives a head up that does not answer 10 s before this, its nodes after it."""


class Place(Protocol):
    """Where the command trains."""

    name: str
    trains_groups: bool
    """Whether trials of several workers fit there."""

    def prepare(self, random: Random, workers: int) -> list[str]:
        """Start what must run before the command, and return the options that lead there; slots are drawn."""

    def list_processes(self, command: psutil.Process) -> list[psutil.Process]:
        """Return the processes of the command's Ray."""

    def list_trainers(self, command: psutil.Process) -> list[psutil.Process]:
        """Return the processes that train."""

    def close(self) -> None:
        """End what ``prepare`` started."""


class OwnRay:
    """A Ray that the command starts, of one CPU or two, and on them one slot, two or four."""

    name = "own Ray"
    trains_groups = True
    slots = ((1, 1.0), (2, 1.0), (2, 0.5))
    """CPUs of the Ray, and of a slot."""

    def prepare(self, random: Random, workers: int) -> list[str]:
        """Return the options of a Ray that has room for the workers of a trial."""
        cpus, slot = random.choice([(cpus, slot) for cpus, slot in self.slots if cpus >= workers * slot])
        return ["--cpus", str(cpus), "--gpus", "0", "--set", f"resources.cpus={slot}"]

    def list_processes(self, command: psutil.Process) -> list[psutil.Process]:
        """Return what the command has started, and what that has."""
        return list_descendants([command])

    def list_trainers(self, command: psutil.Process) -> list[psutil.Process]:
        """Return Tune's actors and Train's workers."""
        return [process for process in self.list_processes(command) if has_name(process, *TRAINERS)]

    def close(self) -> None:
        """Do nothing: the command ends its Ray."""


class JoinedCluster:
    """A cluster of two nodes on this machine: a head without CPUs, and a node with two."""

    name = "cluster"
    trains_groups = True

    def __init__(self) -> None:
        """Begin without: it starts when it is needed."""
        self.cluster: Cluster | None = None
        self.node: Any = None

    def prepare(self, random: Random, workers: int) -> list[str]:
        """Start the cluster where it does not run, or its head has died."""
        if self.cluster is not None and not is_running(self.head):
            self.close()
        if self.cluster is None:
            self._start()
        assert self.cluster is not None
        slot = random.choice([slot for slot in (0.5, 1.0, 2.0) if slot * workers <= 2])
        return ["--address", self.cluster.address, "--set", f"resources.cpus={slot}"]

    def _start(self) -> None:
        settings: Mapping[str, int] = {
            "health_check_initial_delay_ms": 0,
            "health_check_period_ms": 500,
            "health_check_failure_threshold": 4,
            "gcs_rpc_server_reconnect_timeout_s": int(RECONNECT_SECONDS),
        }
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, "_system_config": settings},
        )
        self.node = self.cluster.add_node(num_cpus=2, num_gpus=0)

    @property
    def head(self) -> psutil.Process:
        """Return the head's GCS."""
        assert self.cluster is not None
        return _process_of(self.cluster.head_node, "gcs_server")

    @property
    def raylet(self) -> psutil.Process:
        """Return the raylet of the node that trains."""
        return _process_of(self.node, "raylet")

    def replace_node(self) -> None:
        """Have another node in the place of the one whose raylet was killed."""
        assert self.cluster is not None
        self.cluster.remove_node(self.node, allow_graceful=False)
        self.node = self.cluster.add_node(num_cpus=2, num_gpus=0)

    def list_processes(self, command: psutil.Process) -> list[psutil.Process]:
        """Return what the cluster's nodes have started."""
        assert self.cluster is not None
        return list_descendants(_process_of(node, "raylet") for node in (self.cluster.head_node, self.node))

    def list_trainers(self, command: psutil.Process) -> list[psutil.Process]:
        """Return Tune's actors and Train's workers."""
        return [process for process in self.list_processes(command) if has_name(process, *TRAINERS)]

    def close(self) -> None:
        """End the cluster, whatever is left of it."""
        if self.cluster is not None:
            self.cluster.shutdown()
            self.cluster = None


class ThisProcess:
    """The command's own process, without Ray."""

    name = "--local"
    trains_groups = False

    def prepare(self, random: Random, workers: int) -> list[str]:
        """Return the option."""
        return ["--local"]

    def list_processes(self, command: psutil.Process) -> list[psutil.Process]:
        """Return nothing: there is no Ray."""
        return []

    def list_trainers(self, command: psutil.Process) -> list[psutil.Process]:
        """Return the command."""
        return [command]

    def close(self) -> None:
        """Do nothing."""


def _process_of(node: Any, kind: str) -> psutil.Process:
    """Return a process of a node: a zombie once it has died, for nobody has asked how it ended."""
    (info,) = node.all_processes[kind]
    return psutil.Process(info.process.pid)
