"""The whole command, on a real Ray cluster."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from mixup_study.catalogue.metrics import OF_TASK
from mixup_study.study.study import StudyFile
from mixup_study.study.trial import Trial
from tests.conftest import run_command
from tests.training.alone import train_alone

MEASURED = OF_TASK["classification"]


def records(results: Path) -> pd.DataFrame:
    return pd.read_parquet(results / "trials").set_index("trial_id").sort_index()


def test_a_study_runs_once_and_widening_its_grid_runs_only_the_new_cells(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    first = ray_cluster.run(tiny_study, "--results", results)
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[0] == "tiny, profile full: the study has no quick profile"
    assert "3 trials: 0 done already, 3 to run, on 2 slots" in first.stdout
    assert "[3/3]" in first.stdout
    assert "A tiny study. Profile full" in first.stdout
    assert "3 of 3 trials done" in first.stdout
    assert f"results: {results}" in first.stdout
    assert re.search(r"efficiency: [\d.]+ s of training in 2 slots x [\d.]+ s = \d+%", first.stdout)
    recorded = records(results)
    assert set(recorded["status"]) == {"done"}
    assert len(pd.read_parquet(results / "epochs")) == 3 * 2

    opened = tiny_study.parent / "opened"
    (script := tiny_study.parent / "browser").write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    script.chmod(0o755)
    environment = {**ray_cluster.environment, "BROWSER": f"{script} %s"}
    again = run_command(ray_cluster.command(tiny_study, "--results", results, "--open"), environment)
    assert again.returncode == 0, again.stderr
    assert "3 trials: 3 done already, 0 to run" in again.stdout
    assert again.stdout.splitlines()[-1] == f"report: {results}/reports/tiny.html"
    assert opened.read_text() == f"file://{results}/reports/tiny.html\n"
    assert "efficiency" not in again.stdout
    pd.testing.assert_frame_equal(records(results), recorded)

    claim = '{text: mixup does better, section: "3.4", compare: [{lower: mixup, than: ERM}]}'
    widened = ["--set", "grid.seed=[0, 1]", "--set", f"claims=[{claim}]"]
    wider = ray_cluster.run(tiny_study, "--results", results, *widened)
    assert wider.returncode == 0, wider.stderr
    assert "6 trials: 3 done already, 3 to run" in wider.stdout
    both = records(results)
    assert len(both) == 6
    pd.testing.assert_frame_equal(both.loc[recorded.index], recorded)
    assert " ± " in wider.stdout
    effect = r"[+−][\d.]+ \[[+−][\d.]+, [+−][\d.]+\]"
    assert re.search(rf"^[✓✗?] mixup does better \(3.4\): {effect} · 2 seeds · †$", wider.stdout, re.MULTILINE)


def test_a_trial_measures_the_same_alone_as_beside_others(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    done = ray_cluster.run(tiny_study, "--results", results)
    assert done.returncode == 0, done.stderr
    recorded = records(results)
    for trial_id, trial in StudyFile(tiny_study).load("full").trials.items():
        alone = train_alone(trial, tiny_study.parent)
        assert {metric: recorded.loc[trial_id, metric] for metric in MEASURED} == alone.measurements


def test_failed_trials_are_listed_and_run_again_while_the_others_stay(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    text = tiny_study.read_text()
    tiny_study.write_text(text.replace("ERM: {}", "ERM: {}\n  too large: {train_size: 5000}\n  diverging: {lr: 1e30}"))
    first = ray_cluster.run(tiny_study, "--results", results)
    assert first.returncode == 1, first.stdout + first.stderr
    failed = [line for line in first.stdout.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 2
    assert "too large" in failed[0] + failed[1]
    assert "the data set has 1437 training examples" in failed[0] + failed[1]
    assert "TrainingDiverged: the training loss of epoch" in failed[0] + failed[1]
    recorded = records(results)
    assert recorded["status"].value_counts().to_dict() == {"done": 3, "failed": 2}
    broken = recorded[recorded["status"] == "failed"]
    assert broken["traceback"].str.contains("Traceback|TrainingDiverged: the training loss of epoch").all()
    assert broken[list(MEASURED)].isna().all(axis=None)

    again = ray_cluster.run(tiny_study, "--results", results)
    assert again.returncode == 1
    assert "5 trials: 3 done already, 2 to run" in again.stdout
    assert len(records(results)) == 5


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
def test_two_train_workers_train_one_trial(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    ended = ray_cluster.run(tiny_study, "--results", results, "--set", "trial.workers=2", "--set", "arms.mixup=null")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    recorded = records(results)
    assert recorded["workers"].tolist() == [2]
    assert recorded["status"].tolist() == ["done"]
    assert len(pd.read_parquet(results / "epochs")) == 2


@pytest.mark.slow
def test_a_group_that_fails_says_why(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    options = ["--set", "trial.workers=2", "--set", "arms.mixup=null", "--set", "trial.train_size=51"]
    ended = ray_cluster.run(tiny_study, "--results", results, *options)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "ValueError: a minibatch of 1 of 51 examples cannot be shared by 2 workers" in ended.stdout
    assert records(results)["status"].tolist() == ["failed"]
    (log,) = re.findall(r"\(log: (.*)\)$", ended.stdout, re.MULTILINE)
    for rank, path in enumerate((Path(log), Path(log).with_suffix(".rank1.log"))):
        assert re.search(rf", worker {rank} of 2\n(.*\n)*ValueError: a minibatch of 1", path.read_text())


def test_a_group_that_cannot_save_says_so_and_goes_on(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    results.mkdir()
    (results / "checkpoints").write_text("a file where a folder belongs")
    options = ["--set", "trial.workers=2", "--set", "arms.mixup=null", "--set", "checkpoint_seconds=0"]
    ended = ray_cluster.run(tiny_study, "--results", results, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("no checkpoint saved: --results") == 1
    assert records(results)["status"].tolist() == ["done"]


def start(ray_cluster: Any, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ray_cluster.command(*arguments), env=ray_cluster.environment, stdout=subprocess.PIPE, text=True
    )


def read_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"the command ended without printing {text!r}")


SLOW = ["--set", "trial.epochs=200", "--set", "arms.mixup=null", "--set", "arms.short={epochs: 1}"]
"""A trial that takes long enough to be disturbed, and one that shows that training goes on."""


def undisturbed(trial: Trial, folder: Path) -> dict[str, Any]:
    return dict(train_alone(trial, folder).measurements)


def test_ctrl_c_saves_checkpoints_and_the_same_command_goes_on_from_them(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    running = start(ray_cluster, tiny_study, "--results", results, *SLOW)
    read_until(running, "[1/2]")
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=15)[0]
    assert running.returncode == 130
    assert "interrupted: 1 of 2 trials finished" in said
    assert "the same command runs the rest" in said
    assert records(results)["status"].tolist() == ["done"]
    (checkpoint,) = (results / "checkpoints").iterdir()

    again = ray_cluster.run(tiny_study, "--results", results, *SLOW)
    assert again.returncode == 0, again.stderr
    assert "2 trials: 1 done already, 1 to run" in again.stdout
    assert not list((results / "checkpoints").iterdir())
    recorded = records(results)
    study = StudyFile(tiny_study, tuple(SLOW[1::2])).load("full")
    trial = study.trials[checkpoint.name.split(".")[0]]
    assert recorded.loc[trial.trial_id, list(MEASURED)].to_dict() == undisturbed(trial, tiny_study.parent)


def test_a_second_ctrl_c_leaves_at_once(ray_cluster: Any, tiny_study: Path) -> None:
    slower = ["--set", "trial.train_size=1437", "--set", "trial.width=32"]  # one epoch outlasts the test
    running = start(ray_cluster, tiny_study, "--results", tiny_study.parent / "results", *SLOW, *slower)
    read_until(running, "to run")
    while not ray_cluster.training():
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=15)[0]
    assert running.returncode == 130
    assert "interrupted: 0 of 2 trials finished" in said


def kill_trainers(ray_cluster: Any) -> int:
    trainers = ray_cluster.training()
    for process in trainers:
        process.kill()
    return len(trainers)


def test_a_killed_process_is_replaced_and_its_trial_measures_the_same(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    running = start(ray_cluster, tiny_study, "--results", results, *SLOW, "--set", "checkpoint_seconds=0")
    read_until(running, "[1/2]")
    assert kill_trainers(ray_cluster)
    said = running.communicate(timeout=120)[0]
    assert running.returncode == 0, said
    assert "starts again after its process died" in said
    recorded = records(results)
    for trial_id, trial in StudyFile(tiny_study, tuple(SLOW[1::2])).load("full").trials.items():
        assert recorded.loc[trial_id, list(MEASURED)].to_dict() == undisturbed(trial, tiny_study.parent)


def test_a_trial_that_keeps_losing_its_process_fails_and_the_study_goes_on(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    running = start(ray_cluster, tiny_study, "--results", results, *SLOW, "--set", "retries=0")
    read_until(running, "[1/2]")
    assert kill_trainers(ray_cluster)
    said = running.communicate(timeout=120)[0]
    assert running.returncode == 1, said
    assert re.search(r"failed: \w+ .*: its process died", said)
    recorded = records(results)
    assert sorted(recorded["status"]) == ["done", "failed"]
    assert recorded.loc[recorded["status"] == "failed", "error"].tolist() == ["its process died"]


def test_a_damaged_checkpoint_is_told_in_one_line_and_the_trial_starts_over(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    (results / "checkpoints").mkdir(parents=True)
    trial_id = next(iter(StudyFile(tiny_study).load("full").trials))
    (results / "checkpoints" / f"{trial_id}.checkpoint").write_bytes(b"nothing")
    ended = ray_cluster.run(tiny_study, "--results", results)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    line = next(line for line in ended.stdout.splitlines() if line.startswith(trial_id))
    assert "checkpoint not used, training starts over: it is not a checkpoint of mixup_study" in line
    assert set(records(results)["status"]) == {"done"}
    assert not list((results / "checkpoints").iterdir())


def test_two_commands_at_once_count_each_trial_once(ray_cluster: Any, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    both = [start(ray_cluster, tiny_study, "--results", results, "--set", "grid.seed=[0, 1, 2]") for _ in range(2)]
    for running in both:
        said = running.communicate(timeout=240)[0]
        assert running.returncode == 0, said
        assert "9 of 9 trials done" in said
    recorded = pd.read_parquet(results / "trials")
    assert len(recorded) == recorded["trial_id"].nunique() == 9
    assert set(recorded["status"]) == {"done"}
    assert not list((results / "checkpoints").glob("*"))


def test_a_slot_that_fits_no_node_is_bad_input(ray_cluster: Any, tiny_study: Path) -> None:
    ended = ray_cluster.run(tiny_study, "--set", "resources.gpus=0.5")
    assert ended.returncode == 2
    assert "the Ray cluster's nodes have 2 CPUs and 0 GPUs; --set resources.gpus=0 trains on CPUs" in ended.stderr
    ended = ray_cluster.run(tiny_study, "--set", "trial.workers=3")
    assert ended.returncode == 2
    assert "a trial needs 3 slots of 1 CPUs and 0 GPUs" in ended.stderr
    ended = ray_cluster.run(tiny_study, "--set", "resources.gpus=0.5", "--set", "trial.workers=2")
    assert ended.returncode == 2
    assert "2 data-parallel workers cannot share a GPU" in ended.stderr


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


def test_without_an_address_a_cluster_is_started(tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    command = [sys.executable, "-m", "mixup_study.run", str(tiny_study), "--results", str(results)]
    ended = subprocess.run(
        [*command, "--cpus", "1", "--dry-run"], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "3 trials: 0 done already, 3 to run, on 1 slot of 1 CPU" in ended.stdout
    assert not list((results / "trials").glob("*.parquet"))
