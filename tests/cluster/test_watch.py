"""A run that trains nothing says what it waits for, once, and when it goes on."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from mixup_study.cluster import watch
from mixup_study.cluster.watch import Watch
from mixup_study.study.document import Resources
from tests.cluster.support import records

NO_SLOT = (
    "waiting: no node of the cluster holds a slot of 1 CPUs and 0 GPUs ({}); the run goes on when one joins; after"
    " Ctrl-C the same command goes on too"
)


class Time:
    """A clock that a test sets, and the nodes that a cluster has meanwhile."""

    def __init__(self) -> None:
        self.now = 100.0
        self.nodes: tuple[tuple[float, float], ...] = ((0.0, 0.0), (2.0, 0.0))
        self.lines: list[str] = []

    def watch(self) -> Watch:
        return Watch(Resources(), self.lines.append, lambda: self.now)

    def pass_by(self, seconds: float, watched: Watch, *, training: bool = False) -> list[str]:
        """Return what is told while so many seconds pass, in which Tune steps ten times a second."""
        self.lines.clear()
        for _ in range(round(10 * seconds)):
            self.now += 0.1
            watched.check(training)
        return list(self.lines)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(watch, "count_nodes", lambda: made.nodes)
    return made


def test_a_run_that_trains_says_nothing(time: Time) -> None:
    watched = time.watch()
    assert time.pass_by(9, watched) == []  # processes take a while to start
    assert time.pass_by(100, watched, training=True) == []


def test_a_cluster_without_a_slot_is_told_once_and_so_is_its_return(time: Time) -> None:
    watched = time.watch()
    time.pass_by(20, watched, training=True)
    time.nodes = ((0.0, 0.0),)
    assert time.pass_by(300, watched) == [NO_SLOT.format("0 CPUs and 0 GPUs")]
    time.nodes = ((0.0, 0.0), (2.0, 0.0))
    (line,) = time.pass_by(120, watched)
    assert line.startswith("waiting: no process has started for ")
    assert "perhaps others hold them, which 'ray status' shows" in line
    assert time.pass_by(1, watched, training=True) == ["training again after 420 s"]
    time.nodes = ()
    assert time.pass_by(30, watched) == [NO_SLOT.format("no node is left")]


def test_slots_that_nobody_gets_are_told_after_a_minute(time: Time) -> None:
    watched = time.watch()
    assert time.pass_by(59, watched) == []
    (line,) = time.pass_by(200, watched)
    assert "the cluster's nodes have 0 CPUs and 0 GPUs, 2 CPUs and 0 GPUs" in line


LOSING = """
import subprocess, sys
from pathlib import Path
from ray.cluster_utils import Cluster

study, results = sys.argv[1:]
soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
head = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, "_system_config": soon}
cluster = Cluster(initialize_head=True, head_node_args=head)
node = cluster.add_node(num_cpus=1, num_gpus=0)
command = [sys.executable, "-m", "mixup_study.run", study, "--results", results, "--address", cluster.address]
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
    try:
        for line in run.stdout:
            print(line, end="", flush=True)
            if line.startswith("[1/3]"):
                cluster.remove_node(node, allow_graceful=False)
            if line.startswith("waiting: "):
                cluster.add_node(num_cpus=1, num_gpus=0)
            if line.startswith("on 1 slot from now on"):
                cluster.add_node(num_cpus=1, num_gpus=0)
    finally:
        run.kill()
        cluster.shutdown()
sys.exit(run.returncode)
"""


@pytest.mark.slow
def test_a_run_waits_for_a_node_where_the_last_is_lost_and_trains_on_those_that_join(tiny_study: Path) -> None:
    text = tiny_study.read_text().replace("arms:\n  ERM: {}\n  mixup: {method: mixup, alpha: [1, 8]}\n", "")
    tiny_study.write_text(f"{text}arms: {{short: {{epochs: 1}}, long: {{epochs: 500}}, other: {{epochs: 2}}}}\n")
    tiny_study.write_text(tiny_study.read_text() + "checkpoint_seconds: 0.2\n")
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    command = [sys.executable, "-c", LOSING, str(tiny_study), str(tiny_study.parent / "results")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count(NO_SLOT.format("0 CPUs and 0 GPUs")) == 1
    assert len(re.findall(r"^training again after \d+ s$", ended.stdout, re.MULTILINE)) == 1
    assert "3 of 3 trials done" in ended.stdout
    sizes = re.findall(r"^on (\d) slots? from now on, (\d) before$", ended.stdout, re.MULTILINE)
    assert sizes == [("0", "1"), ("1", "0"), ("2", "1")]
    assert re.search(r"^efficiency: .* of training in 0 to 2 slots over .* = \d+%$", ended.stdout, re.MULTILINE)
    rows = records(tiny_study.parent / "results").set_index("epochs")
    long_end = rows.started_at[500] + pd.Timedelta(seconds=rows.train_seconds[500] - rows.resumed_seconds[500])
    assert rows.started_at[2] < long_end, "the node that joined trained nothing"
