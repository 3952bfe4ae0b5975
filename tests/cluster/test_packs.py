"""Trials that are trained as packs, on a real Ray cluster."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mixup_study.catalogue.metrics import OF_TASK
from mixup_study.cluster.job import Job, jobs_of
from mixup_study.study.packs import LARGEST
from mixup_study.study.study import Study, StudyFile
from mixup_study.training.loop import train
from mixup_study.training.task import Measured
from tests.training.alone import CPU, train_alone

STUDY = """\
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
ONE_PACK = ["--set", "arms.mixup=null", "--set", "resources.cpus=2"]
DYING = """\
import os, sys
from pathlib import Path
if any(argument.endswith("default_worker.py") for argument in sys.orig_argv):
    from mixup_study.store.store import ResultStore

    write = ResultStore.write

    def dying(store, record):
        write(store, record)
        before = Path({before!r})
        if record.status == "done" and not before.exists():
            before.touch()
            os._exit(1)

    ResultStore.write = dying
"""
"""Code that ends a process once, when it has recorded a finished trial."""
LONG = [*ONE_PACK, "--set", "trial.epochs=1500", "--set", "checkpoint_seconds=0.3"]
"""A pack that takes several times as long as a process needs to notice that it shall stop."""


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    """A study file of two packs of small networks: five trials of ERM, and ten of mixup."""
    file = tmp_path / "packs.yaml"
    file.write_text(STUDY)
    return file


def study_of(file: Path, *options: str) -> Study:
    return StudyFile(file, options[1::2]).load("full")


def jobs(file: Path, *options: str, slots: int = 1, done: Sequence[int] = ()) -> list[Job]:
    """Return the jobs of a study whose trials at places ``done`` are done."""
    study = study_of(file, *options)
    left = {trial_id for place, trial_id in enumerate(study.trials) if place not in done}
    return jobs_of(study, left, slots, "results", Path("data"), "0")


def sizes(jobs: Sequence[Job]) -> list[int]:
    return [len(job.trials) for job in jobs]


def test_trials_that_may_are_packed_in_the_order_of_the_study(packs: Path) -> None:
    erm, mixup = jobs(packs)
    assert [trial.seed for trial in erm.trials] == [0, 1, 2, 3, 4]
    assert {trial.method for trial in erm.trials} == {"erm"}
    assert {trial.method for trial in mixup.trials} == {"mixup"}
    trials = [trial for trial in study_of(packs).trials.values() if trial.method == "mixup"]
    assert list(mixup.trials) == trials


@pytest.mark.parametrize(
    ("slots", "expected"),
    [(1, [5, 10]), (2, [5, 5, 5]), (3, [5, 5, 5]), (4, [2, 3, 3, 3, 4]), (5, [2, 3, 2, 3, 2, 3]), (99, [1] * 15)],
)
def test_no_slot_is_left_idle_while_another_trains_a_large_pack(packs: Path, slots: int, expected: list[int]) -> None:
    made = jobs(packs, slots=slots)
    assert sorted(sizes(made)) == sorted(expected)
    assert max(sizes(made)) <= -(-15 // slots)
    trials = [trial.trial_id for job in made for trial in job.trials]
    assert sorted(trials) == sorted(study_of(packs).trials)


def test_large_studies_have_several_packs_of_a_size(packs: Path) -> None:
    seeds = f"grid.seed={list(range(2 * LARGEST + 2))}"
    made = sizes(jobs(packs, "--set", seeds, "--set", "arms.mixup=null"))
    assert sum(made) == 2 * LARGEST + 2
    assert len(made) == 3
    assert max(made) - min(made) <= 1


def test_what_cannot_be_packed_is_trained_alone_and_takes_no_share_of_a_pack(packs: Path) -> None:
    made = jobs(packs, "--set", "arms.drop={dropout: 0.5}", slots=3)
    assert sizes([job for job in made if job.trials[0].dropout]) == [1] * 5
    assert sizes([job for job in made if not job.trials[0].dropout]) == [5, 5, 5]


def test_other_shapes_are_packs_of_their_own(packs: Path) -> None:
    made = jobs(packs, "--set", "grid.dataset=[iris, wine]", "--set", "arms.mixup=null")
    assert [{trial.dataset for trial in job.trials} for job in made] == [{"iris"}, {"wine"}]


def test_what_is_left_of_a_pack_is_that_pack_again(packs: Path) -> None:
    whole = jobs(packs, slots=4)
    order = list(study_of(packs).trials)
    done = {whole[0].trials[0].trial_id, *(trial.trial_id for trial in whole[1].trials)}
    rest = jobs(packs, slots=4, done=[order.index(trial_id) for trial_id in done])
    assert [job.name for job in rest[1:]] == [job.name for job in whole[2:]]
    assert rest[0].trials == whole[0].trials[1:]
    assert jobs(packs, done=range(15)) == []


def trials_of(results: Path) -> pd.DataFrame:
    return pd.read_parquet(results / "trials").set_index("trial_id").sort_index()


def epochs_of(results: Path, trial_id: str) -> pd.DataFrame:
    epochs = pd.read_parquet(results / "epochs")
    return epochs[epochs["trial_id"] == trial_id].sort_values("epoch")


def without_none(measured: Measured) -> dict[str, float]:
    return {metric: math.nan if value is None else value for metric, value in measured.measurements.items()}


def assert_measures_what_it_does_alone(results: Path, study: Study) -> None:
    recorded = trials_of(results)
    assert sorted(recorded.index) == sorted(study.trials)
    assert set(recorded["status"]) == {"done"}
    for trial_id, trial in study.trials.items():
        alone = train_alone(trial)
        rows = epochs_of(results, trial_id)
        assert rows["epoch"].tolist() == [row["epoch"] for row in alone.epochs]
        assert rows["train_loss"].iloc[0] == pytest.approx(alone.epochs[0]["train_loss"], rel=1e-5)
        assert rows["test_error"].tolist() == pytest.approx([row["test_error"] for row in alone.epochs], abs=0.034)
        found = recorded.loc[trial_id, list(OF_TASK["classification"])]
        assert found.to_dict() == pytest.approx(without_none(alone), abs=0.034, nan_ok=True)


def test_a_record_for_each_trial_of_a_pack_and_again_only_for_what_is_gone(ray_cluster: Any, packs: Path) -> None:
    results = packs.parent / "results"
    first = ray_cluster.run(packs, "--results", results)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "15 trials: 0 done already, 15 to run, on 2 slots" in first.stdout
    assert "[15/15]" in first.stdout
    assert_measures_what_it_does_alone(results, study_of(packs))
    recorded = trials_of(results)
    assert recorded["pack_size"].tolist() == [5] * 15
    assert not list((results / "checkpoints").glob("*"))

    again = ray_cluster.run(packs, "--results", results)
    assert again.returncode == 0, again.stderr
    assert "15 trials: 15 done already, 0 to run" in again.stdout
    pd.testing.assert_frame_equal(trials_of(results), recorded)

    gone = recorded.index[7]
    for folder in ("trials", "epochs"):
        (file,) = (results / folder).rglob(f"*{gone}*.parquet")
        file.unlink()
    last = ray_cluster.run(packs, "--results", results)
    assert last.returncode == 0, last.stderr
    assert "15 trials: 14 done already, 1 to run" in last.stdout
    assert_measures_what_it_does_alone(results, study_of(packs))
    after = trials_of(results)
    pd.testing.assert_frame_equal(after.drop(index=gone), recorded.drop(index=gone))
    assert after.loc[gone, "pack_size"] == 1


def test_points_in_the_plane_are_recorded_for_each_trial_of_a_pack(ray_cluster: Any, packs: Path) -> None:
    results = packs.parent / "results"
    options = ["--set", "trial.dataset=two_moons", *ONE_PACK, "--set", "grid.seed=[0, 1, 2]"]
    ended = ray_cluster.run(packs, "--results", results, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert set(trials_of(results)["pack_size"]) == {3}
    points = pd.read_parquet(results / "points").set_index("trial_id").sort_values("point")
    study = study_of(packs, *options)
    assert set(points.index) == set(study.trials)
    for trial_id, trial in study.trials.items():
        own, alone = points.loc[trial_id], train_alone(trial).points
        assert own["kind"].tolist() == alone["kind"].tolist()
        assert own["x"].to_numpy() == pytest.approx(alone["x"])
        assert own["value"].to_numpy() == pytest.approx(alone["value"], abs=1e-3)


def test_a_trial_that_diverges_fails_alone_in_its_pack(ray_cluster: Any, packs: Path) -> None:
    results = packs.parent / "results"
    wild = ["--set", "arms.wild={weight_decay: 1e20}", "--set", "trial.optimizer=sgd", "--set", "grid.seed=[0, 1]"]
    ended = ray_cluster.run(packs, "--results", results, *ONE_PACK, *wild)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    recorded = trials_of(results)
    assert recorded["pack_size"].tolist() == [4] * 4
    failed = recorded["weight_decay"] == 1e20
    assert set(recorded.loc[failed, "status"]) == {"failed"}
    assert set(recorded.loc[failed, "error"]) == {"TrainingDiverged: the training loss of epoch 1 is nan"}
    assert set(recorded.loc[~failed, "status"]) == {"done"}
    listed = [line.split()[1] for line in ended.stdout.splitlines() if line.startswith("failed: ")]
    assert sorted(listed) == sorted(recorded.index[failed])

    again = ray_cluster.run(packs, "--results", results, *ONE_PACK, *wild)
    assert again.returncode == 1
    assert "4 trials: 2 done already, 2 to run" in again.stdout


def start_and_train(ray_cluster: Any, results: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start a command, and return it once a process of it trains and has saved."""
    command = ray_cluster.command(*arguments, "--results", results)
    running = subprocess.Popen(command, env=ray_cluster.environment, stdout=subprocess.PIPE, text=True)
    while not list((results / "checkpoints").glob("*.checkpoint")):
        assert running.poll() is None
        time.sleep(0.01)
    return running


def assert_equals_the_undisturbed_pack_to_the_bit(results: Path, file: Path) -> None:
    (job,) = jobs(file, *LONG)
    recorded = trials_of(results)
    assert sorted(recorded.index) == sorted(trial.trial_id for trial in job.trials)
    assert recorded["status"].tolist() == ["done"] * 5
    together = train(job.trials, file, CPU, lambda trial, row, examples: None)
    for trial, expected in zip(job.trials, together, strict=True):
        assert isinstance(expected, Measured)
        found = recorded.loc[trial.trial_id, list(expected.measurements)].to_dict()
        assert found == pytest.approx(without_none(expected), rel=0, abs=0, nan_ok=True)
        rows = epochs_of(results, trial.trial_id)
        assert rows["train_loss"].tolist() == [row["train_loss"] for row in expected.epochs]
    assert not list((results / "checkpoints").iterdir())


def test_a_pack_whose_process_is_killed_goes_on_and_measures_the_same(ray_cluster: Any, packs: Path) -> None:
    results = packs.parent / "results"
    running = start_and_train(ray_cluster, results, packs, *LONG)
    (process,) = ray_cluster.training()
    process.kill()
    said = running.communicate(timeout=240)[0]
    assert running.returncode == 0, said
    assert said.count("starts again after its process died") == 1
    assert said.count("[5/5]") == 1
    assert_equals_the_undisturbed_pack_to_the_bit(results, packs)


def test_ctrl_c_saves_a_pack_and_the_same_command_goes_on_from_there(ray_cluster: Any, packs: Path) -> None:
    results = packs.parent / "results"
    running = start_and_train(ray_cluster, results, packs, *LONG)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=30)[0]
    assert running.returncode == 130, said
    assert "interrupted: 0 of 5 trials finished" in said
    (checkpoint,) = (results / "checkpoints").iterdir()
    (job,) = jobs(packs, *LONG)
    assert checkpoint.name.split(".")[0] == job.name
    again = ray_cluster.run(packs, "--results", results, *LONG)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "checkpoint not used" not in again.stdout
    assert_equals_the_undisturbed_pack_to_the_bit(results, packs)


def test_a_pack_that_keeps_losing_its_process_fails_whole(ray_cluster: Any, packs: Path) -> None:
    results = packs.parent / "results"
    running = start_and_train(ray_cluster, results, packs, *LONG, "--set", "retries=0")
    (process,) = ray_cluster.training()
    process.kill()
    said = running.communicate(timeout=240)[0]
    assert running.returncode == 1, said
    assert said.count("[5/5]") == 1
    recorded = trials_of(results)
    assert recorded["error"].tolist() == ["its process died"] * 5


@pytest.mark.slow
def test_a_process_that_dies_between_two_records_leaves_nothing_twice_and_nothing_behind(packs: Path) -> None:
    results, code = packs.parent / "results", packs.parent / "code"
    code.mkdir()
    (code / "sitecustomize.py").write_text(DYING.format(before=str(packs.parent / "before")))
    command = [sys.executable, "-m", "mixup_study.run", str(packs), "--results", str(results), "--cpus", "1"]
    wild = [
        "--set",
        "trial.optimizer=sgd",
        "--set",
        "grid.seed=[0, 1]",
        "--set",
        "arms.ERM={weight_decay: 1e20}",
        "--set",
        "arms.mixup={}",
    ]
    ended = subprocess.run(
        [*command, *wild],
        env={**os.environ, "PYTHONPATH": str(code)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stdout.count("starts again after its process died") == 1
    told = re.findall(r"^\[\d/4\] \d+ s  (\w+)", ended.stdout, re.MULTILINE)
    assert len(told) == len(set(told)) == 4
    assert ended.stdout.count("recorded already") == 1
    recorded = pd.read_parquet(results / "trials")
    assert sorted(recorded["status"]) == ["done", "done", "failed", "failed"]
    assert recorded["trial_id"].is_unique
    assert not list((results / "checkpoints").iterdir())
