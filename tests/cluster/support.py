"""What the tests of whole commands share."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pytest

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.plan import GridPlan, Job
from mixup_study.study.study import Study, StudyFile
from mixup_study.training.loop import train
from mixup_study.training.task import TrialResult
from tests.training.alone import CPU, train_alone

PACKS = """\
name: packs
checkpoint_seconds: 0
trial: {dataset: iris, model: mlp, width: 8, epochs: 3, batch_size: 16, optimizer: adam, lr: 1e-2, weight_decay: 0}
grid: {seed: [0, 1, 2, 3, 4]}
arms:
  ERM: {}
  mixup: {method: mixup, alpha: [0.2, 1]}
table:
  title: Small tables
  rows: [arm]
  columns: [{title: last, metric: test_error_last}]
  pick: {lowest: test_error_last}
"""


SEARCHING = """\
name: searching
checkpoint_seconds: 0
trial: {dataset: iris, model: mlp, width: 8, epochs: 3, batch_size: 16, optimizer: adam, lr: 1e-2, validation: 0.2}
grid: {seed: [0, 1]}
arms:
  ERM: {weight_decay: 0}
  mixup: {method: mixup}
search:
  proposals: 13
  window: 4
  space:
    mixup: {alpha: {log: [0.05, 32]}, weight_decay: {log: [1e-5, 1e-2]}}
  first: [{alpha: 0.2, weight_decay: 1e-4}]
  minimise: validation_error_last
  confirm: {seed: [100, 101]}
table:
  title: A small search
  rows: [arm]
  columns: [{title: last, metric: test_error_last}]
"""


ONE_PACK = ["--set", "arms.mixup=null", "--set", "resources.cpus=2"]
"""One pack on one slot, also where there are two CPUs."""
LONG = [*ONE_PACK, "--set", "trial.epochs=800", "--set", "checkpoint_seconds=0.3"]
"""A pack that takes several seconds, and saves meanwhile."""


@dataclass(frozen=True)
class Ended:
    """What a command that ran in this process printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


Run: TypeAlias = Callable[..., Ended]


def study_of(file: Path, *options: str) -> Study:
    """Return the study under the options of a command, each a --set and its assignment."""
    return StudyFile(file, options[1::2]).load("full")


def start_here(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start ``run --local`` in a process of its own."""
    command = [sys.executable, "-m", "mixup_study.run", "--local", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return the first line of a command that holds ``text``."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"the command ended without printing {text!r}")


def wait_for_log(process: subprocess.Popen[str], results: Path, trial_id: str = "*") -> None:
    """Return once a trial of a command, perhaps a certain one, has begun, which opens its log."""
    while not list((results / "logs").glob(f"{trial_id}.log")):
        assert process.poll() is None
        time.sleep(0.01)


def wait_for_checkpoint(process: subprocess.Popen[str], results: Path, trial_id: str = "*") -> None:
    """Return once a command has saved a checkpoint, perhaps of a certain trial."""
    while not list((results / "checkpoints").glob(f"{trial_id}.checkpoint")):
        assert process.poll() is None
        time.sleep(0.01)


def records(results: Path) -> pd.DataFrame:
    """Return what the results hold of trials, by trial_id."""
    return pd.read_parquet(results / "trials").set_index("trial_id").sort_index()


def epochs_of(results: Path, trial_id: str) -> pd.DataFrame:
    """Return the epochs of one trial."""
    epochs = pd.read_parquet(results / "epochs")
    return epochs[epochs["trial_id"] == trial_id].sort_values("epoch")


def measurements_alone(study: Study, folder: Path) -> dict[str, dict[str, Any]]:
    """Return what each trial of a study measures that nothing disturbs, by trial_id."""
    return {trial_id: dict(train_alone(trial, folder).measurements) for trial_id, trial in study.trials.items()}


def measurements_of(recorded: pd.DataFrame, trial_id: str) -> dict[str, float | None]:
    """Return what the record of a classification says that it measured; None where it says nothing."""
    row = recorded.loc[trial_id, list(CATALOGUE.tasks["classification"].metric_names)]
    return {metric: None if pd.isna(value) else value for metric, value in row.items()}


def job_of(file: Path, *options: str) -> Job:
    """Return the one job of a study that is one pack."""
    ready = GridPlan(study_of(file, *options), 1).next({}, ())
    assert isinstance(ready, tuple)
    (job,) = ready
    return job


def without_none(measured: TrialResult) -> dict[str, float]:
    return {metric: math.nan if value is None else value for metric, value in measured.measurements.items()}


def assert_equals_the_undisturbed_pack_to_the_bit(results: Path, file: Path, options: Sequence[str]) -> None:
    job = job_of(file, *options)
    recorded = records(results)
    assert sorted(recorded.index) == sorted(job.trial_ids)
    assert recorded["status"].tolist() == ["done"] * len(job.trials)
    together = train(job.trials, file, CPU, lambda trial, row, examples: None)
    for trial_id, expected in zip(job.trial_ids, together, strict=True):
        assert isinstance(expected, TrialResult)
        measured = recorded.loc[trial_id, list(expected.measurements)].to_dict()
        assert measured == pytest.approx(without_none(expected), rel=0, abs=0, nan_ok=True)
        rows = epochs_of(results, trial_id)
        assert rows["train_loss"].tolist() == [row["train_loss"] for row in expected.epochs]
    assert not list((results / "checkpoints").iterdir())
