"""Machines in namespaces reach each other as long as no link is cut, and go with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.machines import Machine, NoMachines, check_possible, running_machines

CONNECT = """\
import socket, sys
try:
    socket.create_connection((sys.argv[1], 80), timeout=float(sys.argv[2])).close()
    print("answers")
except OSError:
    print("silent")
"""
SERVE = """\
import socket, sys
server = socket.create_server((sys.argv[1], 80))
print("listens", flush=True)
while True:
    server.accept()[0].close()
"""
WAITING = """\
from tests.machines import running_machines
with running_machines("alone") as (machine,):
    print(machine.first.pid, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def _is_possible() -> None:
    try:
        check_possible()
    except NoMachines as error:
        pytest.skip(f"this machine cannot be split into several: {error}")


def ask(machine: Machine, address: str, seconds: int) -> str:
    return machine.call([sys.executable, "-c", CONNECT, address, str(seconds)], os.environ).strip()


def test_a_machine_answers_unless_its_link_is_cut() -> None:
    with running_machines("here", "there") as (here, there):
        with there.running([sys.executable, "-c", SERVE, there.address], os.environ) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == "listens\n"
            assert ask(here, there.address, 10) == "answers"
            there.cut()
            assert ask(here, there.address, 1) == "silent"
            there.heal()
            assert ask(here, there.address, 10) == "answers"
        assert ask(here, there.address, 10) == "silent"


def test_machines_go_with_a_process_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        first = psutil.Process(int(starter.stdout.readline()))
        starter.send_signal(signal.SIGKILL)
        first.wait(timeout=10)
