"""Machines with addresses of their own, as Linux namespaces of this one, at a switch whose links can be cut."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import psutil

PROGRAMS = ("ip", "mount", "nsenter", "setpriv", "unshare")
NAMESPACES = ("--net", "--pid", "--mount", "--uts")
SUBNET = "10.77.0"
"""Of all networks, for none of them is connected to another."""


class NoMachines(Exception):
    """Why this machine cannot be split into several."""


@dataclass(frozen=True)
class Machine:
    """A namespace with a network interface and processes of its own; all of them end with its first process."""

    name: str
    """Its host's name."""
    address: str
    first: psutil.Process
    """Its first process, as this machine sees it."""
    switch: psutil.Process
    """The first process of the namespace that its link leads to."""

    @contextmanager
    def running(
        self, command: Sequence[str], environment: Mapping[str, str], output: TextIO | int = subprocess.PIPE
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a command on this machine, and kill it at the end of the block, with all that descend from it."""
        process = subprocess.Popen(
            [*enter(self.first, *NAMESPACES), *command],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def call(self, command: Sequence[str], environment: Mapping[str, str]) -> str:
        """Return what a command prints on this machine; fail with it where the command fails."""
        with self.running(command, environment) as process:
            printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0, printed
        return printed

    def cut(self) -> None:
        """Pull the cable at the switch: what is sent is lost, and nobody is told."""
        call(*enter(self.switch, "--net"), "ip", "link", "set", self.name, "down")

    def heal(self) -> None:
        """Put the cable back."""
        call(*enter(self.switch, "--net"), "ip", "link", "set", self.name, "up")

    def list_commands(self) -> list[str]:
        """Return the command lines of its processes, as ``ps`` shows them there."""
        namespace = os.readlink(f"/proc/{self.first.pid}/ns/pid")
        commands = []
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error, OSError):  # it has ended
                if os.readlink(f"/proc/{process.pid}/ns/pid") == namespace:
                    commands.append(" ".join(process.cmdline()))
        return commands


def enter(process: psutil.Process, *namespaces: str) -> list[str]:
    """Return what a command begins with that runs in the namespaces of a process."""
    return ["nsenter", f"--target={process.pid}", *namespaces, "--"]


def call(*command: str) -> None:
    """Run a command; raise NoMachines where it fails."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise NoMachines(f"{' '.join(command)}: {ended.stderr.strip()}")


@contextmanager
def running_machines(*names: str, private: Path | None = None) -> Iterator[list[Machine]]:
    """Split this machine into several that reach each other by their addresses, and nothing else.

    The folder ``private`` exists, and is another one on each. What this machine's processes share stays shared but
    for that: files, CPUs, memory. Nothing has a name outside, so that nothing collides, and all is gone once this
    process has ended, whatever ends it. Raises NoMachines where the system does not allow that.
    """
    check_possible()
    with ExitStack() as stack:
        switch = stack.enter_context(_running_namespace("switch", None))
        call(*enter(switch, "--net"), "ip", "link", "add", "bridge", "type", "bridge")
        call(*enter(switch, "--net"), "ip", "link", "set", "bridge", "up")
        machines = []
        for number, name in enumerate(names, 1):
            first = stack.enter_context(_running_namespace(name, private))
            link = ["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(first.pid)]
            call(*enter(switch, "--net"), *link)
            call(*enter(switch, "--net"), "ip", "link", "set", name, "master", "bridge", "up")
            address = f"{SUBNET}.{number}"
            call(*enter(first, "--net"), "ip", "address", "add", f"{address}/24", "dev", "eth0")
            call(*enter(first, "--net"), "ip", "link", "set", "eth0", "up")
            machines.append(Machine(name, address, first, switch))
        yield machines


def check_possible() -> None:
    """Raise NoMachines where namespaces cannot be had."""
    if sys.platform != "linux":
        raise NoMachines("namespaces are Linux's")
    if os.geteuid() != 0:
        raise NoMachines("namespaces with addresses need root")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise NoMachines(f"{program} is not installed; Debian: apt-get install iproute2 util-linux")
    call("unshare", *NAMESPACES, "--fork", "--mount-proc", "ip", "link", "add", "bridge", "type", "bridge")


@contextmanager
def _running_namespace(name: str, private: Path | None) -> Iterator[psutil.Process]:
    """Yield the first process of a new namespace, which ends with this one."""
    commands = [f"hostname {name}", "ip link set lo up", "echo ready", "read end"]
    if private is not None:
        commands.insert(0, f"mount -t tmpfs tmpfs '{private}'")
    # A shell, which waits for processes that have lost their parents, as the first process of a system does.
    command = ["setpriv", "--pdeathsig=KILL", "unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
    holder = subprocess.Popen(
        [*command, "sh", "-ec", "; ".join(commands)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert holder.stdout is not None
        said = holder.stdout.readline()
        if said != "ready\n":
            raise NoMachines(f"{name}: {said.strip()}")
        (first,) = psutil.Process(holder.pid).children()
        yield first
    finally:
        holder.kill()
        holder.wait()
