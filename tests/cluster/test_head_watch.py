"""A run whose Ray is gone ends in one line, and the same command goes on; its Ray listens on this machine alone."""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mixup_study.cluster import head_watch
from mixup_study.cluster.head_watch import watching_head
from mixup_study.errors import ClusterLost
from tests.cluster.support import Run, records, wait_for_checkpoint


def list_listeners(processes: list[psutil.Process]) -> set[str]:
    """Return the addresses on which any of the processes listens."""
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.slow
def test_a_run_whose_head_dies_is_one_line_and_the_same_command_goes_on(tiny_study: Path, run_here: Run) -> None:
    results = tiny_study.parent / "results"
    options = ["--set", "arms.mixup=null", "--set", "trial.epochs=300", "--set", "checkpoint_seconds=0.2"]
    command = [sys.executable, "-m", "mixup_study.run", str(tiny_study), "--results", str(results), "--cpus", "1"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as run:
        try:
            wait_for_checkpoint(run, results)
            processes = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
            listeners = list_listeners(processes)
            rays = {process.name(): process for process in processes if process.name() in ("gcs_server", "raylet")}
            assert len(rays) == 2
            for process in rays.values():
                process.send_signal(signal.SIGHUP)  # as a terminal that goes away does
            assert not psutil.wait_procs(rays.values(), timeout=1)[0]
            rays["gcs_server"].kill()
            killed = time.monotonic()
            _, said = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode == 3, said
    assert time.monotonic() - killed < 30
    (line,) = said.splitlines()
    assert line == (
        "error: Ray on this machine has ended: its head process, the GCS, died; what is recorded and saved stays, and"
        " the same command goes on from there"
    )
    assert listeners
    assert all(ipaddress.ip_address(ip.removeprefix("::ffff:")).is_loopback for ip in listeners), listeners
    ended = run_here(tiny_study, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert records(results)["resumed_seconds"].gt(0).all()


def test_a_head_that_does_not_answer_is_given_up_before_ray_ends_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_watch, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(head_watch, "MARGIN", 0.1)
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "0.3")
    with pytest.raises(ClusterLost) as caught, watching_head("127.0.0.1:9", is_own=False):
        time.sleep(30)
    assert str(caught.value).startswith("the head of the Ray cluster at 127.0.0.1:9 has not answered for 0 s (")
    assert str(caught.value).endswith("; what is recorded and saved stays, and the same command goes on from there")
