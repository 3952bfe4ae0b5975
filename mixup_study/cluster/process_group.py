"""Torch's process group of a trial's workers, over the network by which the nodes of the cluster know each other."""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress
from typing import Any

import ray
from ray.train.torch import TorchConfig

SIOCGIFADDR = 0x8915
"""Linux' request for an interface's IPv4 address."""


def find_interface(address: str) -> str | None:
    """Return the network interface that has an IPv4 address; None where none has, or the system does not say."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # it has no such address
                answer = fcntl.ioctl(question, SIOCGIFADDR, name.encode().ljust(256, b"\0"))
                if socket.inet_ntoa(answer[20:24]) == address:
                    return name
    return None


def choose_interface() -> None:
    """Have gloo use the interface of this node's address in the cluster, unless the user has named one.

    By itself, it takes the address of the host's name: 127.0.1.1 on Debian, or 127.0.0.1 where no name server knows
    the name, and no other node reaches it.
    """
    name = find_interface(ray.util.get_node_ip_address())
    if name is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)


class _NodeBackend(TorchConfig().backend_cls):  # type: ignore[misc]  # Ray names the class by a property alone
    """Ray's way to start a process group, on the interface of each node."""

    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        worker_group.execute(choose_interface)
        super().on_start(worker_group, backend_config)


class NodeTorchConfig(TorchConfig):
    """Ray's configuration of a process group, on the interface of each node."""

    @property
    def backend_cls(self) -> type[_NodeBackend]:
        """Return what starts the group."""
        return _NodeBackend
