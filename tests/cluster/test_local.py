"""The whole command, in the process of the test itself: what is done, recorded, retried, told and saved."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from mixup_study.catalogue import CATALOGUE
from mixup_study.cluster import execution
from mixup_study.networks.densenet_bc import DenseLayer
from mixup_study.study.trial import Trial
from mixup_study.training.task import Pause
from mixup_study.training.tasks.classification import Classification
from tests.cluster.support import (
    SEARCHING,
    Run,
    measurements_alone,
    measurements_of,
    read_until,
    records,
    start_here,
    study_of,
    wait_for_checkpoint,
    wait_for_log,
)
from tests.commands import call_command

SLOW = ["--set", "trial.epochs=200", "--set", "arms.mixup=null", "--set", "arms.short={epochs: 1}"]
"""A trial that takes long enough to be disturbed, and one that shows that training goes on."""


def test_a_study_runs_once_and_widening_its_grid_runs_only_the_new_cells(
    run_here: Run, tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tiny_study.parent / "results"
    first = run_here(tiny_study)
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[0] == "tiny, profile full: the study has no quick profile"
    assert "3 trials: 0 done already, 3 to run, on 1 slot" in first.stdout
    assert "[3/3]" in first.stdout
    assert "A tiny study. Profile full" in first.stdout
    assert "3 of 3 trials done" in first.stdout
    assert f"results: {results}" in first.stdout
    assert re.search(r"efficiency: [\d.]+ s of training in 1 slot x [\d.]+ s = \d+%", first.stdout)
    recorded = records(results)
    assert set(recorded["status"]) == {"done"}
    assert recorded["ray_version"].isna().all()
    assert len(pd.read_parquet(results / "epochs")) == 3 * 2
    assert not list((results / "logs").iterdir())

    opened = tiny_study.parent / "opened"
    (script := tiny_study.parent / "browser").write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    script.chmod(0o755)
    monkeypatch.setattr("webbrowser._tryorder", None)  # which BROWSER was when something first asked
    monkeypatch.setenv("BROWSER", f"{script} %s")
    again = run_here(tiny_study, "--open")
    assert again.returncode == 0, again.stderr
    assert "3 trials: 3 done already, 0 to run" in again.stdout
    assert again.stdout.splitlines()[-1] == f"report: {results}/reports/tiny.html"
    assert opened.read_text() == f"file://{results}/reports/tiny.html\n"
    assert "efficiency" not in again.stdout
    pd.testing.assert_frame_equal(records(results), recorded)

    claim = '{text: mixup does better, section: "3.4", compare: [{lower: mixup, than: ERM}]}'
    wider = run_here(tiny_study, "--set", "grid.seed=[0, 1]", "--set", f"claims=[{claim}]")
    assert wider.returncode == 0, wider.stderr
    assert "6 trials: 3 done already, 3 to run" in wider.stdout
    both = records(results)
    assert len(both) == 6
    pd.testing.assert_frame_equal(both.loc[recorded.index], recorded)
    assert " ± " in wider.stdout
    effect = r"[+−][\d.]+ \[[+−][\d.]+, [+−][\d.]+\]"
    assert re.search(rf"^[✓✗?] mixup does better \(3.4\): {effect} · 2 seeds · †$", wider.stdout, re.MULTILINE)


def test_a_trial_measures_the_same_alone_as_after_others(run_here: Run, tiny_study: Path) -> None:
    assert run_here(tiny_study).returncode == 0
    recorded = records(tiny_study.parent / "results")
    for trial_id, measured in measurements_alone(study_of(tiny_study), tiny_study.parent).items():
        assert measurements_of(recorded, trial_id) == measured


MEASURED = list(CATALOGUE.tasks["classification"].metric_names)

DENSE = """\
name: dense
trial: {dataset: digits, train_size: 100, model: densenet_bc, depth: 10, growth_rate: 2}
grid: {epochs: 2, batch_size: 50, lr: 0.1}
arms: {ERM: {}}
table: {title: Dense, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""


def test_a_study_can_ask_for_activations_to_be_recomputed(run_here: Run, tmp_path: Path) -> None:
    passes = {"false": 0, "true": 0}
    measured = []
    for recompute in passes:

        def count(module: nn.Module, inputs: object, key: str = recompute) -> None:
            passes[key] += isinstance(module, DenseLayer)

        (file := tmp_path / recompute / "dense.yaml").parent.mkdir()
        file.write_text(DENSE)
        hook = register_module_forward_pre_hook(count)
        ended = run_here(file, "--set", f"resources.recompute={recompute}")
        hook.remove()
        assert ended.returncode == 0, ended.stdout + ended.stderr
        measured.append(records(file.parent / "results")[MEASURED])
    pd.testing.assert_frame_equal(*measured, check_exact=True)
    assert passes["true"] == passes["false"] + 3 * 2 * 2  # three dense layers, two steps, two epochs


# Failures.


def test_failed_trials_are_listed_and_run_again_while_the_others_stay(run_here: Run, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    text = tiny_study.read_text()
    tiny_study.write_text(text.replace("ERM: {}", "ERM: {}\n  too large: {train_size: 5000}\n  diverging: {lr: 1e30}"))
    first = run_here(tiny_study)
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
    assert broken[MEASURED].isna().all(axis=None)

    again = run_here(tiny_study)
    assert again.returncode == 1
    assert "5 trials: 3 done already, 2 to run" in again.stdout
    assert len(records(results)) == 5


def test_a_data_set_that_is_not_there_is_one_line(run_here: Run, tiny_study: Path, tmp_path: Path) -> None:
    ended = run_here(tiny_study, "--data", tmp_path / "data", "--set", "trial.dataset=cifar10")
    assert ended.returncode == 2, ended.stdout + ended.stderr
    line = ended.stderr.strip()
    assert line.count("\n") == 0, ended.stderr
    assert line.startswith(f"error: cifar10: not in {tmp_path / 'data'}")
    assert "cifar-10-python.tar.gz" in line
    assert not list((tmp_path / "results" / "trials").glob("*.parquet"))


def test_several_workers_or_a_gpu_that_is_not_there_are_refused(run_here: Run, tiny_study: Path) -> None:
    ended = run_here(tiny_study, "--set", "trial.workers=2")
    assert ended.returncode == 2
    assert ended.stderr == "error: --local trains in one process; a trial of 2 workers needs Ray, without --local\n"
    ended = run_here(tiny_study, "--set", "resources.gpus=64")
    assert ended.returncode == 2
    assert "a trial needs 64 GPUs" in ended.stderr
    assert "--set resources.gpus=0 trains on CPUs" in ended.stderr


def test_a_trial_that_waits_for_a_failed_one_is_neither_run_nor_recorded(
    run_here: Run, tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverging = ["--set", "arms.ERM={lr: 1e30}"]
    (needed,) = [trial for trial in study_of(tiny_study, *diverging).trials.values() if trial.lr > 1]
    monkeypatch.setattr(Trial, "needs", property(lambda trial: (needed,) if trial.method == "mixup" else ()))
    ended = run_here(tiny_study, *diverging)
    assert ended.returncode == 1
    waiting = [line for line in ended.stdout.splitlines() if line.startswith("not run: ")]
    assert len(waiting) == 2
    assert all(line.endswith(f": waiting for {needed.trial_id}: failed") for line in waiting)
    assert "[1/3]" in ended.stdout
    assert "[2/3]" not in ended.stdout
    assert records(tiny_study.parent / "results").index.tolist() == [needed.trial_id]


# Retries.


def let_fail(patch: pytest.MonkeyPatch, times: int) -> None:
    """Let mixup trials raise so many times in all, in their second epoch."""
    train_epoch = Classification.train_epoch
    failures = iter(range(times))

    def flaky(self: Classification, epoch: int, pause: Pause) -> float:
        if self.trial.method == "mixup" and epoch == 1 and next(failures, None) is not None:
            raise RuntimeError("a cable came loose")
        return train_epoch(self, epoch, pause)

    patch.setattr(Classification, "train_epoch", flaky)


FLAKY = ["--set", "arms.mixup.alpha=1", "--set", "checkpoint_seconds=0"]


def test_a_trial_that_raises_starts_again_from_its_checkpoint(
    run_here: Run, tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tiny_study.parent / "results"
    expected = measurements_alone(study_of(tiny_study, *FLAKY), tiny_study.parent)
    let_fail(monkeypatch, 2)
    epochs: list[tuple[str, int]] = []
    train_epoch = Classification.train_epoch

    def noted(self: Classification, epoch: int, pause: Pause) -> float:
        epochs.append((self.trial.method, epoch))
        return train_epoch(self, epoch, pause)

    monkeypatch.setattr(Classification, "train_epoch", noted)
    ended = run_here(tiny_study, *FLAKY)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("starts again after RuntimeError: a cable came loose") == 2
    assert epochs == [("erm", 0), ("erm", 1), ("mixup", 0), ("mixup", 1), ("mixup", 1), ("mixup", 1)]
    recorded = records(results)
    assert set(recorded["status"]) == {"done"}
    assert len(pd.read_parquet(results / "epochs")) == 2 * 2
    assert {trial_id: measurements_of(recorded, trial_id) for trial_id in expected} == expected


def test_a_trial_that_goes_on_raising_is_recorded_with_its_error(
    run_here: Run, tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_fail(monkeypatch, 100)
    ended = run_here(tiny_study, *FLAKY, "--set", "retries=1")
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
    assert "flaky" in recorded.loc["failed", "traceback"]


# Checkpoints, and Ctrl-C.


def test_a_damaged_checkpoint_is_told_in_one_line_and_the_trial_starts_over(run_here: Run, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    (results / "checkpoints").mkdir(parents=True)
    trial_id = next(iter(study_of(tiny_study).trials))
    (results / "checkpoints" / f"{trial_id}.checkpoint").write_bytes(b"nothing")
    ended = run_here(tiny_study)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    line = next(line for line in ended.stdout.splitlines() if line.startswith(trial_id))
    warning = "checkpoint not used, training starts over: it is not a checkpoint of mixup_study"
    assert warning in line
    assert warning in (results / "logs" / f"{trial_id}.log").read_text()
    assert set(records(results)["status"]) == {"done"}
    assert not list((results / "checkpoints").iterdir())


def test_a_trial_that_cannot_save_says_so_and_goes_on(run_here: Run, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    results.mkdir()
    (results / "checkpoints").write_text("a file where a folder belongs")
    ended = run_here(tiny_study, "--set", "arms.mixup=null", "--set", "checkpoint_seconds=0")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("no checkpoint saved: --results") == 1
    assert records(results)["status"].tolist() == ["done"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_a_checkpoint_and_the_same_command_goes_on_from_it(
    number: signal.Signals, run_here: Run, tiny_study: Path
) -> None:
    results = tiny_study.parent / "results"
    order = ["--set", "arms.ERM=null", "--set", "arms.short={epochs: 1}", "--set", "arms.ERM={epochs: 100}"]
    options = ["--set", "arms.mixup=null", "--set", "checkpoint_seconds=0.1", *order]
    running = start_here(tiny_study, "--results", results, *options)
    read_until(running, "[1/2]")
    (longer,) = [trial_id for trial_id, trial in study_of(tiny_study, *options).trials.items() if trial.epochs == 100]
    wait_for_checkpoint(running, results, longer)
    running.send_signal(number)
    said = running.communicate(timeout=30)[0]
    assert running.returncode == 128 + number
    assert "interrupted: 1 of 2 trials finished" in said
    assert "the same command runs the rest" in said
    assert records(results)["status"].tolist() == ["done"]
    (checkpoint,) = (results / "checkpoints").iterdir()

    again = run_here(tiny_study, *options)
    assert again.returncode == 0, again.stderr
    assert "2 trials: 1 done already, 1 to run" in again.stdout
    assert not list((results / "checkpoints").iterdir())
    recorded = records(results)
    assert recorded.loc[checkpoint.name.split(".")[0], "resumed_seconds"] > 0
    for trial_id, measured in measurements_alone(study_of(tiny_study, *options), tiny_study.parent).items():
        assert measurements_of(recorded, trial_id) == measured


@pytest.mark.slow
def test_a_time_limit_ends_a_run_as_sigterm_does(tiny_study: Path) -> None:
    endless = ["--set", "arms={long: {epochs: 100000}}"]
    running = start_here(tiny_study, "--results", tiny_study.parent / "results", *endless, "--for", "2s")
    said = running.communicate(timeout=60)[0]
    assert running.returncode == 143
    assert "interrupted: 0 of 1 trials finished" in said


def test_a_trial_that_is_over_its_time_limit_saves_and_goes_on_in_the_next_run(
    run_here: Run, tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = ["--set", "arms={long: {epochs: 20}, short: {epochs: 1}}"]  # of two steps an epoch
    looks = itertools.count()
    with monkeypatch.context() as patch:  # a second passes between two looks at the clock, of which a step takes one
        patch.setattr(execution, "time", SimpleNamespace(monotonic=lambda: float(next(looks))))
        first = run_here(tiny_study, *two, "--trial-time-limit", "20s")
    assert first.returncode == 1
    results = tiny_study.parent / "results"
    assert records(results)["epochs"].tolist() == [1]  # the trial after it
    (checkpoint,) = (results / "checkpoints").iterdir()
    (line,) = [line for line in first.stdout.splitlines() if line.startswith("failed: ")]
    trial_id = checkpoint.name.split(".")[0]
    assert re.match(rf"failed: {trial_id} .*: its time was up after [\d.]+ s; the same command goes on with it", line)
    assert run_here(tiny_study, *two).returncode == 0
    recorded = records(results)
    assert recorded.loc[trial_id, "resumed_seconds"] > 0
    for measured_id, measured in measurements_alone(study_of(tiny_study, *two), tiny_study.parent).items():
        assert measurements_of(recorded, measured_id) == measured


def test_a_search_takes_no_time_limit_for_its_trials(run_here: Run, tmp_path: Path) -> None:
    file = tmp_path / "searching.yaml"
    file.write_text(SEARCHING)
    ended = run_here(file, "--trial-time-limit", "1h")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: --trial-time-limit: searching searches, and what it proposes may depend on")


def test_an_interrupted_run_says_which_trials_saved(
    run_here: Run, tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_epoch = Classification.train_epoch

    def interrupted(self: Classification, epoch: int, pause: Pause) -> float:
        if self.trial.method == "mixup" and epoch == 1:
            signal.raise_signal(signal.SIGINT)
        return train_epoch(self, epoch, pause)

    monkeypatch.setattr(Classification, "train_epoch", interrupted)
    ended = run_here(tiny_study)
    assert ended.returncode == 130
    results = tiny_study.parent / "results"
    assert ended.stdout.splitlines()[-1] == (
        f"interrupted: 1 of 3 trials finished and recorded in {results}; 1 trial saved at epoch 2; the same command"
        " runs the rest"
    )
    shown = call_command("plan", tiny_study, "--results", results).stdout
    assert shown.count("part of epoch 2 of 2 saved") == 1


def start_slow(study: Path, *options: str) -> subprocess.Popen[str]:
    """Start trials in a process of its own, and return it when one trains."""
    results = study.parent / "results"
    running = start_here(study, "--results", results, *SLOW, *options)
    wait_for_log(running, results)
    return running


def test_a_second_ctrl_c_leaves_at_once(tiny_study: Path) -> None:
    slower = ["--set", "trial.train_size=1437", "--set", "trial.width=32"]  # one epoch outlasts the test
    running = start_slow(tiny_study, *slower)
    running.send_signal(signal.SIGINT)
    read_until(running, "again to leave now")
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=15)[0]
    assert running.returncode == 130
    assert "interrupted: 0 of 2 trials finished" in said


@pytest.mark.slow
def test_an_epoch_that_outlasts_the_grace_is_left(tiny_study: Path) -> None:
    slower = ["--set", "trial.train_size=1437", "--set", "trial.width=64", "--grace", "1"]
    running = start_slow(tiny_study, *slower)
    running.send_signal(signal.SIGTERM)
    said = running.communicate(timeout=20)[0]
    assert running.returncode == 143
    assert "interrupted: 0 of 2 trials finished" in said


@pytest.mark.slow
def test_a_hangup_that_is_ignored_does_not_interrupt(tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    command = [sys.executable, "-m", "mixup_study.run", "--local", str(tiny_study), "--results", str(results)]
    running = subprocess.Popen(["nohup", *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    read_until(running, "[1/3]")
    running.send_signal(signal.SIGHUP)
    said = running.communicate(timeout=60)[0]
    assert running.returncode == 0
    assert "3 of 3 trials done" in said


@pytest.mark.slow
def test_two_commands_at_once_count_each_trial_once(tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    both = [start_here(tiny_study, "--results", results, "--set", "grid.seed=[0, 1, 2]") for _ in range(2)]
    for running in both:
        said = running.communicate(timeout=240)[0]
        assert running.returncode == 0, said
        assert "9 of 9 trials done" in said
    recorded = pd.read_parquet(results / "trials")
    assert len(recorded) == recorded["trial_id"].nunique() == 9
    assert set(recorded["status"]) == {"done"}
    assert not list((results / "checkpoints").glob("*"))


# Logs.


def test_what_a_trial_prints_is_seen_and_kept(run_here: Run, tiny_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_epoch = Classification.train_epoch

    def talking(self: Classification, epoch: int, pause: Pause) -> float:
        print(f"epoch {epoch} of {self.trial.method}")
        return train_epoch(self, epoch, pause)

    monkeypatch.setattr(Classification, "train_epoch", talking)
    ended = run_here(tiny_study, "--set", "arms.mixup=null")
    assert "epoch 0 of erm\nepoch 1 of erm\n" in ended.stdout
    (log,) = (tiny_study.parent / "results" / "logs").iterdir()
    assert re.fullmatch(r"== .*: tiny: label noise 50%, ERM\nepoch 0 of erm\nepoch 1 of erm\n", log.read_text())
