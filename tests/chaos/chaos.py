"""Kill what runs a study, at seeded random moments, run it again until it is done, and compare every number.

Usage: python -m tests.chaos [--kills N] [--seed S] [--workers W]

A study of a few short trials, of evaluations of their models, and of a search runs on a cluster of two nodes on this
machine, on one slot, two or four.
Victims are the processes that train (Tune actors, Train workers), the raylet of a whole node, and the command itself;
Ctrl-C, SIGTERM and SIGHUP disturb, but are no kills. When a study is done while kills are left, it begins anew in
another folder. Exit status 0: no trial was lost, none doubled, every measurement of every epoch and every proposal
equals an undisturbed run's, and nothing was trained again that was recorded.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from ray.cluster_utils import Cluster

from mixup_study.catalogue import CATALOGUE
from mixup_study.store.store import ResultStore
from mixup_study.study.study import StudyFile
from mixup_study.training.task import TrialResult
from tests.training.alone import train_alone
from tests.training.pair import running_pair

STUDY = """\
name: chaos
checkpoint_seconds: 0.2
trial:
  {dataset: digits, train_size: 300, augment: false, model: preact_resnet18, width: 4, epochs: 20, batch_size: 50,
   lr: 0.1}
grid: {label_noise: [0.5], seed: [0, 1]}
models:
  ERM: {}
  mixup: {method: mixup, alpha: 1}
arms:
  ERM: {}
  mixup: {method: mixup, alpha: 1}
  neighbours: {method: mixup, alpha: 1, neighbours: 5}
  attacked: {task: attack, source: mixup, attacker: ERM, epsilon: 16, steps: 10}
  in between: {task: between, source: mixup, pairs: 200, lambdas: 11}
  searched: {method: mixup, validation: 0.2, epochs: 6}
search:
  proposals: 6
  window: 3
  space: {searched: {alpha: {log: [0.1, 10]}, weight_decay: {log: [1e-5, 1e-2]}}}
  minimise: validation_error_last
  confirm: {seed: [7]}
table: {title: Chaos, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""
STUDY_OF_GROUPS = """\
name: chaos
checkpoint_seconds: 0.2
trial:
  {dataset: digits, train_size: 300, augment: false, model: preact_resnet18, width: 4, epochs: 60, batch_size: 50,
   lr: 0.1, workers: WORKERS}
arms:
  mixup: {method: mixup, alpha: 1}
table: {title: Chaos, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""
"""Such a trial takes some twenty seconds to start, so that it is disturbed once it has saved."""
SIGNALS = {"Ctrl-C": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP}
"""What asks the command to save and end."""
KINDS = {"Tune actor": 5, "node": 1, "command": 2, **dict.fromkeys(SIGNALS, 1)}
"""What is disturbed, and how often in relation to each other; first the processes that train."""
KINDS_OF_GROUPS = {"Train worker": 1}
PATIENCE = 120.0
"""Seconds within which something must happen after everything, or the program gives up."""
RUNS = 40
"""Commands within which a study must end."""


@dataclass
class Outcome:
    """What was done, and what came of it."""

    disturbances: Counter[str] = field(default_factory=Counter)
    studies: int = 0
    trials: int = 0
    runs: int = 0
    lost: int = 0
    doubled: int = 0
    mismatches: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(count for kind, count in self.disturbances.items() if kind not in SIGNALS)

    @property
    def signals(self) -> int:
        return self.disturbances.total() - self.kills

    @property
    def good(self) -> bool:
        return self.studies > 0 and not (self.lost or self.doubled or self.mismatches)

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.disturbances.items()))
        lines = [
            f"{self.kills} kills and {self.signals} signals ({kinds}) in {self.runs} runs",
            f"{self.trials} trials of {self.studies} studies: {self.lost} lost, {self.doubled} doubled,"
            f" {len(self.mismatches)} mismatches",
        ]
        return "\n".join([*lines, *self.mismatches])


EPOCH_COLUMNS = ["epoch", "lr", "train_loss", "test_error"]
Proposals = set[tuple[str, int, str]]
"""Search, number and values of each proposal."""
Numbers = dict[str, tuple[dict[str, float | None], list[tuple[Any, ...]]]]
"""By trial_id, what a trial measured, and its epochs without their seconds."""


def recorded(results: Path) -> tuple[Numbers, int]:
    """Return what the results hold, and how many rows they hold more than there are trials."""
    store = ResultStore(str(results))
    epochs = store.epochs().to_pandas()
    found: Numbers = {}
    for row in store.trials().to_pylist():
        mine = epochs[epochs["trial_id"] == row["trial_id"]].sort_values("epoch")
        rows = list(mine[EPOCH_COLUMNS].itertuples(index=False, name=None))
        if row["status"] == "done":
            found[row["trial_id"]] = (
                {metric: row[metric] for metric in CATALOGUE.tasks[row["task"]].metric_names},
                rows,
            )
    plain = pd.read_parquet(results / "trials")
    return found, len(plain) - plain["trial_id"].nunique()


def _numbers(result: TrialResult) -> tuple[dict[str, float | None], list[tuple[Any, ...]]]:
    """Return the same of a trial that this process has the result of."""
    return dict(result.measurements), [tuple(row[name] for name in EPOCH_COLUMNS) for row in result.epochs]


@dataclass(frozen=True)
class Expected:
    """What an undisturbed study leaves."""

    numbers: Numbers
    proposals: Proposals


def proposed(results: Path) -> Proposals:
    """Return the proposals that the results hold."""
    rows = ResultStore(str(results)).proposals().to_pylist()
    return {(row["search_id"], row["number"], row["values"]) for row in rows}


class Chaos:
    """A cluster, a study on it, and what disturbs them."""

    def __init__(self, folder: Path, seed: int, workers: int) -> None:
        """Prepare a study whose trials have ``workers`` data-parallel workers."""
        self.random = random.Random(seed)
        self.folder = folder
        self.file = folder / "chaos.yaml"
        self.file.write_text(STUDY if workers == 1 else STUDY_OF_GROUPS.replace("WORKERS", str(workers)))
        self.workers = workers
        self.kinds = KINDS if workers == 1 else KINDS_OF_GROUPS
        self.outcome = Outcome()
        self.begun = time.monotonic()
        self.command: subprocess.Popen[bytes] | None = None
        self.results = folder
        self.disturbed = 0.0
        self.cluster: Cluster | None = None
        self.node: Any = None

    @contextlib.contextmanager
    def running_cluster(self) -> Iterator[None]:
        """Start a head without CPUs and a node with two."""
        settings = {
            "health_check_initial_delay_ms": 0,
            "health_check_period_ms": 500,
            "health_check_failure_threshold": 4,
        }
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, "_system_config": settings},
        )
        try:
            self.node = self.cluster.add_node(num_cpus=2, num_gpus=0)
            yield
        finally:
            self.stop_command()
            self.cluster.shutdown()

    def run(self, kills: int) -> Outcome:
        """Disturb studies until ``kills`` are done, and let the last one end."""
        with self.running_cluster():
            expected = self.undisturbed()
            while self.outcome.kills < kills or not self.outcome.studies:
                self.study(self.folder / f"results-{self.outcome.studies}", expected, kills)
        return self.outcome

    def undisturbed(self) -> Expected:
        """Return what the trials measure undisturbed and without Ray: trained by one process, or by two workers."""
        if self.workers > 1:
            with running_pair() as pair:
                trials = StudyFile(self.file).load("full").trials
                measured = {trial_id: pair.call(train_alone, trial)[0] for trial_id, trial in trials.items()}
            return Expected({trial_id: _numbers(result) for trial_id, result in measured.items()}, set())
        reference = self.folder / "reference"
        command = [sys.executable, "-m", "mixup_study.run", str(self.file), "--results", str(reference), "--local"]
        subprocess.run([*command, "--data", str(self.folder / "data")], check=True, stdout=subprocess.DEVNULL)
        return Expected(recorded(reference)[0], proposed(reference))

    def study(self, results: Path, expected: Expected, kills: int) -> None:
        """Run one study to its end, disturbing it while kills are left, and compare its numbers."""
        written: dict[Path, int] = {}
        for _ in range(RUNS):
            self.start_command(results)
            while self.outcome.kills < kills and self.trains():
                self.wait(self.random.uniform(0.1, 2.5))
                self.disturb()
            ended = self.end_of_command()
            self.compare_files(results, written)
            if ended == 0:
                break
        found, doubled = recorded(results)
        self.outcome.studies += 1
        numbers = expected.numbers
        self.outcome.trials += len(numbers)
        self.outcome.lost += len(numbers.keys() - found.keys())
        self.outcome.doubled += doubled
        for trial_id in numbers.keys() & found.keys():
            if found[trial_id] != numbers[trial_id]:
                self.outcome.mismatches.append(f"{trial_id}: {found[trial_id]} instead of {numbers[trial_id]}")
        if proposed(results) != expected.proposals:
            self.outcome.mismatches.append(f"proposals: {proposed(results)} instead of {expected.proposals}")
        if left := list((results / "checkpoints").glob("*")):
            self.outcome.mismatches.append(f"checkpoints left: {left}")

    def compare_files(self, results: Path, before: dict[Path, int]) -> None:
        """Note when records and models of recorded trials were written; it must not be later than ``before``."""
        done = ResultStore(str(results)).done() if (results / "trials").exists() else set()
        records = [file for file in (results / "trials").glob("*.parquet") if file.stem in done]
        for file in (*records, *(file for file in (results / "models").glob("*") if file.name in done)):
            written = file.stat().st_mtime_ns
            if before.setdefault(file, written) != written:
                self.outcome.mismatches.append(f"{file.relative_to(results)}: trained again, though it was recorded")

    def start_command(self, results: Path) -> None:
        """Start the command that anyone would type again."""
        assert self.cluster is not None
        self.results = results
        command = [sys.executable, "-m", "mixup_study.run", str(self.file), "--results", str(results)]
        command += ["--data", str(self.folder / "data"), "--address", self.cluster.address]
        if self.workers == 1:
            command += ["--set", f"resources.cpus={self.random.choice((0.5, 1, 2))}"]
        with (self.folder / "output").open("ab") as output:
            self.command = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        self.outcome.runs += 1

    def trains(self) -> bool:
        """Wait until a process trains, and a group has saved since it was disturbed.

        Return False where the command ends before.
        """
        assert self.command is not None
        for _ in patiently():
            if self.command.poll() is not None:
                return False
            victims = self.victims(next(iter(self.kinds)))
            if victims and (self.workers == 1 or self.saved_after(self.disturbed)):
                return True
        return False

    def saved_after(self, moment: float) -> bool:
        """Return whether a trial was saved after the Unix time ``moment``."""
        try:
            return any(file.stat().st_mtime > moment for file in (self.results / "checkpoints").glob("*.checkpoint"))
        except FileNotFoundError:  # removed in between
            return False

    def wait(self, seconds: float) -> None:
        """Let the command go on for so long, or until it ends."""
        assert self.command is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.command.wait(seconds)

    def end_of_command(self) -> int:
        """Return the command's exit status."""
        assert self.command is not None
        try:
            return self.command.wait(PATIENCE * 2)
        except subprocess.TimeoutExpired:
            self.stop_command()
            return -1

    def stop_command(self) -> None:
        if self.command is not None and self.command.poll() is None:
            self.command.kill()
            self.command.wait()

    def disturb(self) -> None:
        """Kill one process of a kind drawn at random, where there is one."""
        assert self.command is not None
        kind = self.random.choices(list(self.kinds), list(self.kinds.values()))[0]
        victims = self.victims(kind)
        if not victims or self.command.poll() is not None:
            return
        victim = self.random.choice(victims)
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.send_signal(SIGNALS.get(kind, signal.SIGKILL))
            self.outcome.disturbances[kind] += 1
            self.disturbed = time.time()
            print(f"{time.monotonic() - self.begun:.0f} s: {kind} {victim.pid}", flush=True)
        if kind == "node":
            assert self.cluster is not None
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.node = self.cluster.add_node(num_cpus=2, num_gpus=0)
        if kind == "command" or kind in SIGNALS:
            self.end_of_command()

    def victims(self, kind: str) -> list[psutil.Process]:
        """Return the processes of a kind."""
        assert self.command is not None
        if kind == "command" or kind in SIGNALS:
            return [psutil.Process(self.command.pid)]
        if kind == "node":
            return [_raylet(self.node)]
        assert self.cluster is not None
        name = {"Tune actor": "ImplicitFunc", "Train worker": "RayTrainWorker"}[kind]
        raylets = [_raylet(node) for node in (self.cluster.head_node, self.node)]
        return [process for raylet in raylets for process in _children(raylet) if name in _title(process)]


def _raylet(node: Any) -> psutil.Process:
    (raylet,) = node.all_processes["raylet"]
    return psutil.Process(raylet.process.pid)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def _title(process: psutil.Process) -> str:
    """Return what Ray calls a process; nothing of one that is dead."""
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else " ".join(process.cmdline())
    except psutil.Error:
        return ""


def patiently() -> Iterator[None]:
    """Yield until PATIENCE is over, a little apart."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        yield
        time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=1, choices=(1, 2), help="data-parallel workers of each trial")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder), options.seed, options.workers)
        try:
            print(chaos.run(options.kills), flush=True)
        finally:
            output = Path(folder, "output")
            if output.exists() and not chaos.outcome.good:
                print(output.read_text()[-10_000:])
    return 0 if chaos.outcome.good and chaos.outcome.kills >= options.kills else 1
