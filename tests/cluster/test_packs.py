"""Trials that are trained as packs, in the process of the test itself."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mixup_study.catalogue import CATALOGUE
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.study.study import Study
from mixup_study.training.packs.pack import Pack
from mixup_study.training.task import Pause
from tests.cluster.support import (
    LONG,
    ONE_PACK,
    Run,
    assert_equals_the_undisturbed_pack_to_the_bit,
    epochs_of,
    job_of,
    records,
    start_here,
    study_of,
    wait_for_checkpoint,
    without_none,
)
from tests.training.alone import train_alone


def assert_measures_what_it_does_alone(results: Path, study: Study) -> None:
    recorded = records(results)
    assert sorted(recorded.index) == sorted(study.trials)
    assert set(recorded["status"]) == {"done"}
    for trial_id, trial in study.trials.items():
        alone = train_alone(trial)
        rows = epochs_of(results, trial_id)
        assert rows["epoch"].tolist() == [row["epoch"] for row in alone.epochs]
        assert rows["train_loss"].iloc[0] == pytest.approx(alone.epochs[0]["train_loss"], rel=1e-5)
        assert rows["test_error"].tolist() == pytest.approx([row["test_error"] for row in alone.epochs], abs=0.034)
        found = recorded.loc[trial_id, list(CATALOGUE.tasks["classification"].metric_names)]
        assert found.to_dict() == pytest.approx(without_none(alone), abs=0.034, nan_ok=True)


def test_a_record_for_each_trial_of_a_pack_and_again_only_for_what_is_gone(run_here: Run, packs: Path) -> None:
    results = packs.parent / "results"
    first = run_here(packs)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "15 trials: 0 done already, 15 to run, on 1 slot" in first.stdout
    assert "[15/15]" in first.stdout
    assert_measures_what_it_does_alone(results, study_of(packs))
    recorded = records(results)
    assert sorted(recorded["pack_size"]) == [5] * 5 + [10] * 10
    assert not list((results / "checkpoints").glob("*"))

    again = run_here(packs)
    assert again.returncode == 0, again.stderr
    assert "15 trials: 15 done already, 0 to run" in again.stdout
    pd.testing.assert_frame_equal(records(results), recorded)

    gone = recorded.index[7]
    for folder in ("trials", "epochs"):
        (file,) = (results / folder).rglob(f"*{gone}*.parquet")
        file.unlink()
    last = run_here(packs)
    assert last.returncode == 0, last.stderr
    assert "15 trials: 14 done already, 1 to run" in last.stdout
    assert_measures_what_it_does_alone(results, study_of(packs))
    after = records(results)
    pd.testing.assert_frame_equal(after.drop(index=gone), recorded.drop(index=gone))
    assert after.loc[gone, "pack_size"] == 1


def test_points_in_the_plane_are_recorded_for_each_trial_of_a_pack(run_here: Run, packs: Path) -> None:
    results = packs.parent / "results"
    options = ["--set", "trial.dataset=two_moons", *ONE_PACK, "--set", "grid.seed=[0, 1, 2]"]
    ended = run_here(packs, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert set(records(results)["pack_size"]) == {3}
    points = pd.read_parquet(results / "points").set_index("trial_id").sort_values("point")
    study = study_of(packs, *options)
    assert set(points.index) == set(study.trials)
    for trial_id, trial in study.trials.items():
        own, alone = points.loc[trial_id], train_alone(trial).points
        assert own["kind"].tolist() == alone["kind"].tolist()
        assert own["x"].to_numpy() == pytest.approx(alone["x"])
        assert own["value"].to_numpy() == pytest.approx(alone["value"], abs=1e-3)


WILD = ["--set", "arms.wild={weight_decay: 1e20}", "--set", "trial.optimizer=sgd", "--set", "grid.seed=[0, 1]"]
"""A pack of which two trials diverge."""


def test_a_trial_that_diverges_fails_alone_in_its_pack(run_here: Run, packs: Path) -> None:
    results = packs.parent / "results"
    ended = run_here(packs, *ONE_PACK, *WILD)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    recorded = records(results)
    assert recorded["pack_size"].tolist() == [4] * 4
    failed = recorded["weight_decay"] == 1e20
    assert set(recorded.loc[failed, "status"]) == {"failed"}
    assert set(recorded.loc[failed, "error"]) == {"TrainingDiverged: the training loss of epoch 1 is nan"}
    assert set(recorded.loc[~failed, "status"]) == {"done"}
    listed = [line.split()[1] for line in ended.stdout.splitlines() if line.startswith("failed: ")]
    assert sorted(listed) == sorted(recorded.index[failed])

    again = run_here(packs, *ONE_PACK, *WILD)
    assert again.returncode == 1
    assert "4 trials: 2 done already, 2 to run" in again.stdout


def let_fail(patch: pytest.MonkeyPatch, epoch: int, times: int) -> None:
    """Let packs raise so many times in all, in an epoch counted from 0."""
    run_epoch = Pack.run_epoch
    failures = iter(range(times))

    def flaky(self: Pack, number: int, pause: Pause) -> Any:
        if number == epoch and next(failures, None) is not None:
            raise RuntimeError("a cable came loose")
        return run_epoch(self, number, pause)

    patch.setattr(Pack, "run_epoch", flaky)


def test_a_pack_that_raises_goes_on_and_measures_the_same(
    run_here: Run, packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_fail(monkeypatch, 2, 1)
    ended = run_here(packs, *ONE_PACK)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    again = "starts again after RuntimeError: a cable came loose, with 4 more of its pack"
    assert ended.stdout.count(again) == ended.stdout.count("starts again") == 1
    assert ended.stdout.count("[5/5]") == 1
    results = packs.parent / "results"
    assert (records(results)["resumed_seconds"] > 0).all()
    assert_equals_the_undisturbed_pack_to_the_bit(results, packs, ONE_PACK)


def test_a_pack_that_goes_on_raising_fails_whole(run_here: Run, packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_fail(monkeypatch, 1, 100)
    ended = run_here(packs, *ONE_PACK, "--set", "retries=1")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stdout.count("[5/5]") == 1
    assert records(packs.parent / "results")["error"].tolist() == ["RuntimeError: a cable came loose"] * 5


@pytest.mark.slow
def test_ctrl_c_saves_a_pack_and_the_same_command_goes_on_from_there(run_here: Run, packs: Path) -> None:
    results = packs.parent / "results"
    running = start_here(packs, "--results", results, *LONG)
    wait_for_checkpoint(running, results)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=30)[0]
    assert running.returncode == 130, said
    assert "interrupted: 0 of 5 trials finished" in said
    checkpoints = {file.name.split(".")[0] for file in (results / "checkpoints").iterdir()}
    assert checkpoints == set(job_of(packs, *LONG).trial_ids)
    again = run_here(packs, *LONG)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "checkpoint not used" not in again.stdout
    assert_equals_the_undisturbed_pack_to_the_bit(results, packs, LONG)


def test_a_job_that_ends_between_two_records_leaves_nothing_twice_and_nothing_behind(
    run_here: Run, packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = packs.parent / "results"
    write = ResultStore.write
    deaths = iter(range(1))

    def dying(store: ResultStore, record: TrialRecord) -> None:
        write(store, record)
        if record.status == "done" and next(deaths, None) is not None:
            raise RuntimeError("a cable came loose")

    monkeypatch.setattr(ResultStore, "write", dying)
    wild = ["--set", "trial.optimizer=sgd", "--set", "grid.seed=[0, 1]", "--set", "arms.ERM={weight_decay: 1e20}"]
    ended = run_here(packs, *wild, "--set", "arms.mixup={}")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stdout.count("starts again after RuntimeError: a cable came loose") == 1
    ends = re.findall(r"^\[\d/4\] \d+ s(?:, [\w ]+ left)?  (\w+)", ended.stdout, re.MULTILINE)
    assert len(ends) == len(set(ends)) == 4
    assert ended.stdout.count("recorded already") == 1
    recorded = pd.read_parquet(results / "trials")
    assert sorted(recorded["status"]) == ["done", "done", "failed", "failed"]
    assert recorded["trial_id"].is_unique
    assert not list((results / "checkpoints").iterdir())
