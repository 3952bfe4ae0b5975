"""The whole command, on a real Ray cluster: what Ray adds to what test_local.py shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from mixup_study.cluster.session import Cluster
from mixup_study.errors import InputError
from mixup_study.store.record import epochs_schema
from mixup_study.study.document import Resources
from tests.cluster.support import (
    Run,
    measurements_alone,
    measurements_of,
    read_until,
    records,
    study_of,
    wait_for_checkpoint,
    wait_for_log,
)
from tests.commands import list_heavy_modules
from tests.conftest import run_command
from tests.training.alone import train_alone
from tests.training.pair import running_pair

VARYING = ["train_seconds", "resumed_seconds", "started_at", "ray_version", "device", "torch_version"]
"""Columns of a record that do not depend on the trial alone."""

EVERYTHING = """\
name: everything
trial:
  {dataset: digits, train_size: 100, augment: false, model: preact_resnet18, width: 2, epochs: 2, batch_size: 50,
   lr: 0.1}
grid: {seed: [0, 1]}
arms:
  ERM: {}
  mixup: {method: mixup, alpha: 1}
  too large: {train_size: 5000}
  diverging: {lr: 1e30}
  pack: {dataset: iris, model: mlp, width: 8, batch_size: 16, train_size: null, augment: true}
checkpoint_seconds: 0
table: {title: Everything, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""
"""Trials that train alone, a pack, some that fail because of what they are, and some that diverge."""


def lines_of(said: str) -> list[str]:
    """Return what a command told of trials, without what depends on time and place."""
    lines = [
        re.sub(r", [\d.]+ s$|^\[\d+/\d+\] \d+ s(?:, [\w ]+ left)?  | \(log: .*\)$", "", line)
        for line in said.splitlines()
        if re.match(r"\[|\w{16}  |failed: | ", line)
    ]
    return sorted(lines)


def test_a_study_ends_on_ray_as_it_does_in_one_process(ray_cluster: Any, run_here: Run, tmp_path: Path) -> None:
    for place in ("here", "ray"):
        (tmp_path / place).mkdir()
        study = tmp_path / place / "everything.yaml"
        study.write_text(EVERYTHING)
        damaged = tmp_path / place / "results" / "checkpoints" / f"{next(iter(study_of(study).trials))}.checkpoint"
        damaged.parent.mkdir(parents=True)
        damaged.write_bytes(b"nothing")
    one_slot = ["--set", "resources.cpus=2"]  # as in one process, on which the packs depend
    here = run_here(tmp_path / "here" / "everything.yaml", *one_slot)
    results = tmp_path / "ray" / "results"
    on_ray = ray_cluster.run(study, "--results", results, *one_slot)
    assert (here.returncode, on_ray.returncode) == (1, 1), here.stdout + on_ray.stdout + on_ray.stderr
    assert "10 trials: 0 done already, 10 to run, on 1 slot of 2 CPU" in on_ray.stdout
    assert lines_of(on_ray.stdout) == lines_of(here.stdout)
    assert on_ray.stdout.count("checkpoint not used, training starts over") == 1

    there, recorded = records(results), records(tmp_path / "here" / "results")
    pd.testing.assert_frame_equal(
        there.drop(columns=[*VARYING, "traceback"]), recorded.drop(columns=[*VARYING, "traceback"])
    )
    assert there["status"].value_counts().to_dict() == {"done": 6, "failed": 4}
    failed = there["status"] == "failed"
    assert there.loc[failed, "traceback"].str.contains("Traceback|TrainingDiverged: the training loss of epoch").all()
    assert sorted(there["pack_size"]) == [1] * 8 + [2] * 2
    assert there["ray_version"].notna().all()
    assert there["device"].equals(recorded["device"])
    epochs = [
        pd.read_parquet(folder / "epochs").sort_values(["trial_id", "epoch"], ignore_index=True)[
            [name for name in epochs_schema().names if name != "seconds"]
        ]
        for folder in (results, tmp_path / "here" / "results")
    ]
    pd.testing.assert_frame_equal(*epochs)
    logs = [{file.name for file in (folder / "logs").iterdir()} for folder in (results, tmp_path / "here" / "results")]
    assert logs[0] == logs[1]
    assert not list((results / "checkpoints").iterdir())


def test_slots_train_side_by_side_and_the_process_that_schedules_does_without_pytorch(
    ray_cluster: Any, tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tiny_study.parent / "results"
    command = ["run", tiny_study, "--results", results, "--address", ray_cluster.address]
    assert list_heavy_modules(command, environment=ray_cluster.environment) == ["ray"]
    printed = capsys.readouterr().out
    assert "3 trials: 0 done already, 3 to run, on 2 slots" in printed
    assert re.search(r"efficiency: .+ s of training in 2 slots x .+ s = \d+%", printed)
    recorded = records(results)
    for trial_id, measured in measurements_alone(study_of(tiny_study), tiny_study.parent).items():
        assert measurements_of(recorded, trial_id) == measured


def test_a_data_set_that_is_not_there_is_one_line(ray_cluster: Any, tiny_study: Path, tmp_path: Path) -> None:
    results, data = tmp_path / "results", tmp_path / "data"
    ended = ray_cluster.run(tiny_study, "--results", results, "--data", data, "--set", "trial.dataset=cifar10")
    assert ended.returncode == 2, ended.stdout + ended.stderr
    line = ended.stderr.strip()
    assert line.count("\n") == 0, ended.stderr
    assert line.startswith(f"error: cifar10: not in {data}")
    assert "cifar-10-python.tar.gz" in line
    assert not list((results / "trials").glob("*.parquet"))


@pytest.mark.slow
def test_a_data_set_that_is_not_there_is_told_before_ray_starts(tiny_study: Path, tmp_path: Path) -> None:
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "mixup_study.run", str(tiny_study), "--data", str(tmp_path / "data")]
    command += ["--results", str(tmp_path / "results"), "--set", "trial.dataset=cifar10", "--set", "trial.width=4"]
    ended = run_command(command, {**os.environ, **nowhere})
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert f"not in {tmp_path / 'data'} yet: cifar10\n" in ended.stdout
    assert "Ray" not in ended.stdout
    line = ended.stderr.strip()
    assert line.count("\n") == 0, ended.stderr
    assert line.startswith(f"error: cifar10: not in {tmp_path / 'data'}")


@pytest.mark.slow
def test_groups_of_workers_train_beside_single_processes_and_outlive_a_worker(
    ray_cluster: Any, tiny_study: Path
) -> None:
    results = tiny_study.parent / "results"
    arms = "arms={pair: {workers: 2, epochs: 60}, odd: {workers: 2, train_size: 51}, alone: {}}"
    options = ["--set", arms, "--set", "checkpoint_seconds=0"]
    pair, odd, alone = study_of(tiny_study, *options).trials
    running = start(ray_cluster, tiny_study, "--results", results, *options)
    wait_for_checkpoint(running, results, pair)
    ray_cluster.training("RayTrainWorker")[0].kill()
    said = running.communicate(timeout=300)[0]
    assert running.returncode == 1, said
    assert said.count("starts again after its process died") == 1
    recorded = records(results)
    assert recorded["workers"].to_dict() == {pair: 2, odd: 2, alone: 1}
    assert recorded["status"].to_dict() == {pair: "done", odd: "failed", alone: "done"}
    assert len(pd.read_parquet(results / "epochs")) == 60 + 2
    assert len(re.findall(r"^\[\d/3\] ", said, re.MULTILINE)) == 3
    assert 0 < recorded.loc[pair, "resumed_seconds"] < recorded.loc[pair, "train_seconds"]
    with running_pair() as processes:
        undisturbed = processes.call(train_alone, study_of(tiny_study, *options).trials[pair])[0]
    assert measurements_of(recorded, pair) == dict(undisturbed.measurements)

    (failed,) = [line for line in said.splitlines() if line.startswith("failed: ")]
    assert "ValueError: a minibatch of 1 of 51 examples cannot be shared by 2 workers" in failed
    (log,) = re.findall(r"\(log: (.*)\)$", failed)
    logs = [path.read_text() for path in (Path(log), Path(log).with_suffix(".rank1.log")) if path.exists()]
    raised = "\nValueError: a minibatch of 1"
    assert any(raised in text and " of 2\n" in text for text in logs)  # the first to raise ends the group


def start(ray_cluster: Any, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ray_cluster.command(*arguments),
        env=ray_cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


SLOW = ["--set", "resources.cpus=2", "--set", "arms={short: {epochs: 1}, long: {epochs: 120}}"]
"""On one slot, a trial that shows that training goes on, and one that takes long enough to be disturbed."""


def test_sigterm_saves_a_checkpoint(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    running = start(ray_cluster, tiny_study, "--results", results, *SLOW)
    long = list(study_of(tiny_study, *SLOW).trials)[1]
    wait_for_log(running, results, long)
    running.send_signal(signal.SIGTERM)
    said = running.communicate(timeout=15)[0]
    assert running.returncode == 143
    assert "interrupted: 1 of 2 trials finished" in said
    assert "the same command runs the rest" in said
    assert records(results)["status"].tolist() == ["done"]
    assert [file.name for file in (results / "checkpoints").iterdir()] == [f"{long}.checkpoint"]


def test_a_second_ctrl_c_leaves_at_once(ray_cluster: Any, tiny_study: Path) -> None:
    slower = ["--set", "trial.train_size=1437", "--set", "trial.width=32"]  # one epoch outlasts the test
    results = tiny_study.parent / "results"
    running = start(ray_cluster, tiny_study, "--results", results, *SLOW, *slower)
    wait_for_log(running, results)
    running.send_signal(signal.SIGINT)
    read_until(running, "again to leave now")
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=15)[0]
    assert running.returncode == 130
    assert "interrupted: 0 of 2 trials finished" in said


def test_a_trial_that_keeps_losing_its_process_fails_and_the_study_goes_on(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    running = start(ray_cluster, tiny_study, "--results", results, *SLOW, "--set", "retries=0")
    wait_for_log(running, results, list(study_of(tiny_study, *SLOW).trials)[1])
    (process,) = ray_cluster.training()
    process.kill()
    said = running.communicate(timeout=120)[0]
    assert running.returncode == 1, said
    assert re.search(r"failed: \w+ .*: its process died", said)
    recorded = records(results)
    assert sorted(recorded["status"]) == ["done", "failed"]
    (error,) = recorded.loc[recorded["status"] == "failed", "error"]
    assert error.startswith("its process died without a word, perhaps killed by the system for want of memory")


FLAKY = """\
from mixup_study.training.tasks.classification import Classification

ENTRIES = []
train_epoch = Classification.train_epoch


def flaky(run, epoch, pause):
    if run.trial.method == "mixup" and epoch == 1:
        raise RuntimeError("a cable came loose")
    return train_epoch(run, epoch, pause)


Classification.train_epoch = flaky
"""
"""A plugin that lets mixup trials raise in their second epoch."""


@pytest.mark.slow
def test_a_trial_that_goes_on_raising_is_recorded_with_its_error(ray_cluster: Any, tiny_study: Path) -> None:
    (tiny_study.parent / "flaky.py").write_text(FLAKY)
    options = ["--results", tiny_study.parent / "results", "--plugin", "flaky", "--set", "resources.cpus=2"]
    options += ["--set", "arms.mixup.alpha=1", "--set", "checkpoint_seconds=0", "--set", "retries=1"]
    command = ray_cluster.command(tiny_study, *options)
    ended = run_command(command, ray_cluster.environment, tiny_study.parent)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stdout.count("starts again after RuntimeError: a cable came loose") == 1
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("failed: ")]
    assert "mixup, α=1: RuntimeError: a cable came loose" in line
    (log,) = re.findall(r"\(log: (.*)\)$", line)
    attempts = Path(log).read_text().split("== ")[1:]
    assert len(attempts) == 2
    assert all("in train_epoch" in attempt or "in flaky" in attempt for attempt in attempts)
    recorded = pd.read_parquet(tiny_study.parent / "results" / "trials").set_index("status")
    assert sorted(recorded.index) == ["done", "failed"]
    assert recorded.loc["failed", "error"] == "RuntimeError: a cable came loose"
    assert "train_epoch" in recorded.loc["failed", "traceback"]
    assert "\x1b" not in recorded.loc["failed", "traceback"]


def test_a_slot_that_fits_no_node_is_bad_input(ray_cluster: Any, tiny_study: Path) -> None:
    ended = ray_cluster.run(tiny_study, "--set", "resources.gpus=0.5")
    assert ended.returncode == 2
    assert "the Ray cluster's nodes have 2 CPUs and 0 GPUs; --set resources.gpus=0 trains on CPUs" in ended.stderr
    cluster = Cluster(((2.0, 0.0),), None)
    with pytest.raises(InputError, match="a trial needs 3 slots of 1 CPUs and 0 GPUs"):
        cluster.check(Resources(), 3)
    with pytest.raises(InputError, match="2 data-parallel workers cannot share a GPU"):
        cluster.check(Resources(gpus=0.5), 2)
    cluster.check(Resources(), 2)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", "nothing answers there"),
        ("nowhere", "expected HOST:PORT"),
        ("ray://127.0.0.1:10001", "expected HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster_is_bad_input(address: str, expected: str, tiny_study: Path) -> None:
    command = [sys.executable, "-m", "mixup_study.run", str(tiny_study), "--address", address]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: --address {address}: ")
    assert expected in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.long  # it starts a Ray of its own, for one line
def test_gpus_that_pytorch_cannot_use_are_bad_input(tiny_study: Path) -> None:
    if torch.cuda.is_available():
        pytest.xfail("PyTorch can use a GPU here")
    command = [sys.executable, "-m", "mixup_study.run", str(tiny_study), "--gpus", "1", "--set", "resources.gpus=1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tiny_study.parent)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert ended.stderr.startswith("error: Ray counts GPUs here that PyTorch cannot use; --set resources.gpus=0")
    assert ended.stderr.count("\n") == 1


def test_a_cluster_that_asks_for_its_token_says_so(ray_cluster: Any, tiny_study: Path) -> None:
    without = {name: value for name, value in ray_cluster.environment.items() if not name.startswith("RAY_AUTH")}
    ended = subprocess.run(
        ray_cluster.command(tiny_study), env=without, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 2
    assert "RAY_AUTH_MODE=token" in ended.stderr


def test_a_dry_run_starts_no_cluster(tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    command = [sys.executable, "-m", "mixup_study.run", str(tiny_study), "--results", str(results)]
    ended = subprocess.run(
        [*command, "--cpus", "1", "--dry-run"], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "3 trials: 0 done already, 3 to run, on 1 slot of 1 CPU" in ended.stdout
    labels = [line.split("  ") for line in ended.stdout.splitlines()[2:]]
    assert [label for _, label in labels] == [f"label noise 50%, {arm}" for arm in ("ERM", "mixup, α=1", "mixup, α=8")]
    assert [trial_id for trial_id, _ in labels] == list(study_of(tiny_study).trials)
    assert "starting" not in ended.stdout
    assert "dashboard" not in ended.stdout
    assert not results.exists()
