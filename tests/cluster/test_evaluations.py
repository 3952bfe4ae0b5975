"""Studies whose trials evaluate the models of others: who trains what, and when."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from mixup_study import plan as plan_command
from mixup_study.progress import RunProgress
from mixup_study.store.models import ModelFile, list_models, seal_model
from mixup_study.store.store import ResultStore
from mixup_study.study.plan import GridPlan, Job
from mixup_study.study.study import StudyFile
from tests.cluster.support import Run

TRAINING = """\
name: training
keep_models: true
trial: {dataset: digits, train_size: 200, model: mlp, width: 16, epochs: 2, batch_size: 50, lr: 0.1}
arms: {ERM: {}, mixup: {method: mixup, alpha: 1}}
table: {title: t, rows: [arm], columns: [{title: error, metric: test_error_last}]}
"""
EVALUATING = """\
name: evaluating
trial: {dataset: digits, train_size: 200, model: mlp, width: 16, epochs: 2, batch_size: 50, lr: 0.1}
models: {ERM: {}, mixup: {method: mixup, alpha: 1}}
arms:
  attacked: {task: attack, source: ERM, attacker: mixup, epsilon: [8, 16]}
  in between: {task: between, source: mixup, pairs: 20, lambdas: 3}
table:
  {title: t, rows: [arm], columns: [{title: error, metric: adversarial_error}], pick: {lowest: adversarial_error}}
"""


@pytest.fixture
def training(tmp_path: Path) -> Path:
    (file := tmp_path / "training.yaml").write_text(TRAINING)
    return file


@pytest.fixture
def evaluating(tmp_path: Path) -> Path:
    (file := tmp_path / "evaluating.yaml").write_text(EVALUATING)
    return file


def records(results: Path) -> pd.DataFrame:
    return pd.read_parquet(results / "trials").set_index("trial_id").sort_index()


def test_what_another_study_left_is_not_trained_again(
    run_here: Run, training: Path, evaluating: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(training).returncode == 0
    results = training.parent / "results"
    before = records(results)
    written = {model.name: model.stat().st_mtime_ns for model in (results / "models").iterdir()}
    assert plan_command.main([str(evaluating), "--results", str(results)]) == 0
    counted = "5 trials: 2 done already, 3 to run: 0 models to train, 3 evaluations"
    assert counted in capsys.readouterr().out
    assert counted in run_here(evaluating, "--dry-run").stdout

    ended = run_here(evaluating)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert counted in ended.stdout
    assert {model.name: model.stat().st_mtime_ns for model in (results / "models").iterdir()} == written
    after = records(results)
    pd.testing.assert_frame_equal(after.loc[before.index], before, check_dtype=False)
    evaluations = after.drop(before.index)
    assert set(evaluations["task"]) == {"attack", "between"}
    assert evaluations["epochs"].isna().all()
    for digests, attacker in zip(evaluations["model_digests"], evaluations["attacker"], strict=True):
        assert len(digests) == (1 if pd.isna(attacker) else 2)
    points = pd.read_parquet(results / "points")
    assert set(points["kind"]) == {"misses", "loss_gradient_norm", "logit_gradient_norm"}
    assert np.allclose(sorted(set(points["x"])), [0, 0.5, 1])


def test_models_that_were_not_kept_are_trained_again_and_measure_the_same(
    run_here: Run, training: Path, evaluating: Path
) -> None:
    training.write_text(TRAINING.replace("keep_models: true\n", ""))
    assert run_here(training).returncode == 0
    ended = run_here(evaluating)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (
        "5 to run: 2 models to train, 3 evaluations; 2 finished trials kept no models and train again" in ended.stdout
    )
    assert "otherwise than its record" not in ended.stdout


def test_a_model_that_measures_otherwise_is_told_once_and_the_record_stays(
    run_here: Run, training: Path, evaluating: Path
) -> None:
    training.write_text(TRAINING.replace("keep_models: true\n", ""))
    assert run_here(training).returncode == 0
    results = training.parent / "results"
    file = next(file for file in (results / "trials").glob("*.parquet"))
    table = pd.read_parquet(file)
    table["test_error_last"] = 0.875  # as another kind of machine may have measured
    table["device"] = "another machine"
    table["test_top5_error_last"] = None  # as an older version, which did not measure it
    table.to_parquet(file)
    ended = run_here(evaluating)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (told,) = [line for line in ended.stdout.splitlines() if "otherwise than its record" in line]
    assert told.startswith(file.stem)
    assert "made on another machine, which stays: test_error_last" in told
    assert "(recorded: 0.875)" in told
    assert "top5" not in told
    assert records(results).loc[file.stem, "test_error_last"] == 0.875


class Malicious:
    """What runs a command when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("damage", ["damaged", "foreign", "of another trial", "malicious"])
def test_a_model_that_cannot_be_used_is_told_in_one_line_and_trained_again(
    damage: str, run_here: Run, training: Path, evaluating: Path, tmp_path: Path
) -> None:
    assert run_here(training).returncode == 0
    results = str(training.parent / "results")
    first, second = (ModelFile(results, model.trial_id) for model in list_models(results))
    trial_id = list_models(results)[0].trial_id
    good = first.read() or b""
    touched = tmp_path / "touched"
    content = {
        "damaged": good[:-1],
        "foreign": b"a file of somebody else's",
        "of another trial": second.read() or b"",
        "malicious": seal_model(trial_id, pickle.dumps({"weight": Malicious(touched)})),
    }[damage]
    first.write(content)
    ended = run_here(evaluating)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (told,) = ended.stderr.splitlines()
    assert told.startswith(f"{first.shown}: the model cannot be used: it ")
    assert told.endswith("; its trial is trained again")
    assert "1 model to train, 3 evaluations; 1 finished trial kept no model and trains again" in ended.stdout
    assert not touched.exists()
    assert first.read() == good


def test_evaluations_of_a_failed_model_wait_and_run_once_it_is_mended(run_here: Run, evaluating: Path) -> None:
    ended = run_here(evaluating, "--set", "models.mixup.lr=1e30")
    assert ended.returncode == 1
    waiting = [line for line in ended.stdout.splitlines() if line.startswith("not run: ")]
    assert len(waiting) == 3
    (failed,) = [line for line in ended.stdout.splitlines() if line.startswith("failed: ")]
    assert all(line.endswith(f": waiting for {failed.split()[1]}: failed") for line in waiting)
    mended = run_here(evaluating)
    assert mended.returncode == 0, mended.stdout + mended.stderr


def test_buckets_hold_models_too(run_here: Run, evaluating: Path, bucket: str) -> None:
    ended = run_here(evaluating, "--results", bucket)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(list_models(bucket)) == 2
    store = ResultStore(bucket)
    assert len(store.done()) == 5
    assert "5 trials: 5 done already, 0 to run" in run_here(evaluating, "--results", bucket).stdout


def test_the_live_view_counts_the_evaluations_that_wait(evaluating: Path) -> None:
    plan = GridPlan(StudyFile(evaluating).load("full"), 1)
    console = Console(file=io.StringIO(), width=160)
    progress = RunProgress(console, plan, ())

    def shown() -> str:
        with console.capture() as capture:
            console.print(progress.view())
        return capture.get()

    models = [trial for trial in plan.trials.values() if not trial.needs]
    assert "3 evaluations waiting for 2 models" in shown()
    for number, trial in enumerate(models):
        progress.started(Job((trial,)), [trial.trial_id])
        progress.finished(trial.trial_id, 1.0, 0.5, None)
        assert ("waiting" in shown()) is (number == 0)
