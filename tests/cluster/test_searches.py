"""Studies that search, run by the command: what ends where, what is left behind, and what is never done twice."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mixup_study.store.ledger import ResultLedger
from mixup_study.store.store import ResultStore
from mixup_study.study.study import StudyFile
from mixup_study.training.task import TrialResult
from tests.cluster.support import SEARCHING, Run, read_until, records, start_here
from tests.training.alone import train_alone


@pytest.fixture
def searching(tmp_path: Path) -> Path:
    file = tmp_path / "searching.yaml"
    file.write_text(SEARCHING)
    return file


def proposals(results: Path) -> pd.DataFrame:
    """Return the proposals without when they were made."""
    return pd.read_parquet(results / "proposals").sort_values("number", ignore_index=True).drop(columns="proposed_at")


def test_a_search_ends_with_its_winner_in_the_table(run_here: Run, searching: Path, tmp_path: Path) -> None:
    ended = run_here(searching)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = tmp_path / "results"
    recorded, proposed = records(results), proposals(results)
    assert "30 trials: 0 done already, 30 to run" in ended.stdout
    assert "[30/30]" in ended.stdout
    assert "13/13 proposals, best so far" in ended.stdout
    assert len(recorded) == 30
    assert proposed["number"].tolist() == list(range(13))
    assert proposed["sampler"].tolist()[0] == "first"
    assert proposed["sampler"].str.startswith("tpe, optuna ").sum() == 12

    means = proposed["trial_ids"].map(lambda ids: recorded.loc[list(ids), "validation_error_last"].mean())
    best = recorded.loc[proposed["trial_ids"][means.idxmin()][0]]
    confirmed = recorded[recorded["seed"] >= 100]
    assert confirmed["alpha"].tolist() == [best["alpha"]] * 2
    assert confirmed["weight_decay"].tolist() == [best["weight_decay"]] * 2
    assert confirmed["validation"].tolist() == [0, 0]
    (row,) = [line for line in ended.stdout.splitlines() if line.startswith(" mixup ")]
    assert f"{100 * confirmed['test_error_last'].mean():.1f}" in row
    assert row.split()[-1] == "2/2"

    again = run_here(searching)
    assert "30 trials: 30 done already, 0 to run" in again.stdout
    pd.testing.assert_frame_equal(proposals(results), proposed)


@pytest.mark.slow
def test_a_race_trains_fewer_seeds_and_leaves_nothing_open(run_here: Run, searching: Path, tmp_path: Path) -> None:
    options = ["--set", "grid.seed=[0, 1, 2, 3, 4, 5]", "--set", "search.race={after: 3, p: 0.2}"]
    options += ["--set", "search.proposals=10"]
    ended = run_here(searching, *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    recorded, proposed = records(tmp_path / "results"), proposals(tmp_path / "results")
    trained = proposed["trial_ids"].map(lambda ids: sum(trial_id in recorded.index for trial_id in ids))
    assert trained.between(3, 6).all()
    assert trained.min() < 6
    best = recorded[recorded["seed"] >= 100].iloc[0]
    means = proposed["trial_ids"].map(
        lambda ids: recorded.reindex(list(ids))["validation_error_last"].mean(skipna=False)
    )
    assert proposed["trial_ids"].map(lambda ids: recorded.loc[ids[0], "alpha"])[means.idxmin()] == best["alpha"]
    again = run_here(searching, *options)
    assert f"{len(recorded)} trials: {len(recorded)} done already, 0 to run" in again.stdout


@pytest.mark.slow
def test_a_search_starts_from_the_results_of_another(run_here: Run, searching: Path, tmp_path: Path) -> None:
    warm = searching.with_name("warm.yaml")
    warm.write_text(
        SEARCHING.replace("name: searching", "name: warm").replace("  window", "  from: [searching.yaml]\n  window")
    )
    refused = run_here(warm)
    assert (refused.returncode, refused.stdout.count("\n[")) == (2, 0)
    assert "search.from: searching: 0 of 13 proposals have ended; run that study first" in refused.stderr
    assert run_here(searching).returncode == 0
    ended = run_here(warm)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "started from 13 settings of searching" in " ".join(ended.stdout.split())
    both = [pd.Series(own) for _, own in proposals(tmp_path / "results").groupby("study")["values"].apply(list).items()]
    assert both[0][0] == both[1][0]  # what is tried first
    assert both[0].tolist() != both[1].tolist()


def test_it_trains_what_each_trial_alone_does(run_here: Run, searching: Path, tmp_path: Path) -> None:
    assert run_here(searching, "--set", "search.proposals=3").returncode == 0
    study = StudyFile(searching).load("full")
    recorded = records(tmp_path / "results")
    (search,) = study.searches
    (known,) = ResultLedger(ResultStore(str(tmp_path / "results"))).read_proposals().values()
    for values in known.values():
        for cell in search.list_cells(values):
            alone = train_alone(cell.trial, tmp_path)
            assert isinstance(alone, TrialResult)
            measured = recorded.loc[cell.trial.trial_id, "validation_error_last"]
            assert measured == pytest.approx(alone.measurements["validation_error_last"], abs=1e-6)


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_interrupted(run_here: Run, searching: Path, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    (undisturbed / "searching.yaml").write_text(SEARCHING)
    assert run_here(undisturbed / "searching.yaml").returncode == 0
    results = tmp_path / "results"
    running = start_here(searching, "--results", results)
    read_until(running, "[7/30]")
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=30)
    before = {file.name: file.stat().st_mtime_ns for file in (results / "trials").glob("*.parquet")}
    os.remove(next((results / "proposals").glob("*-1.parquet")))
    ended = run_here(searching)
    assert ended.returncode == 0, ended.stdout
    pd.testing.assert_frame_equal(proposals(results), proposals(undisturbed / "results"))
    columns = ["alpha", "weight_decay", "seed", "validation_error_last", "test_error_last"]
    pd.testing.assert_frame_equal(records(results)[columns], records(undisturbed / "results")[columns])
    after = {file.name: file.stat().st_mtime_ns for file in (results / "trials").glob("*.parquet")}
    assert before.items() <= after.items()


HALVING = ["--set", "search.stop={after: [1, 3], keep: 0.4}", "--set", "trial.epochs=5"]


def test_halving_trains_only_the_best_to_their_end(run_here: Run, searching: Path, tmp_path: Path) -> None:
    ended = run_here(searching, *HALVING)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = tmp_path / "results"
    recorded = records(results)
    states = recorded["status"].value_counts().to_dict()
    assert set(states) == {"done", "stopped"}
    assert states["stopped"] >= 10
    assert states["stopped"] + states["done"] == 30
    assert f"{states['done']} of 30 trials done, {states['stopped']} stopped early" in " ".join(ended.stdout.split())
    assert re.search(r"^\[\d+/30\] .*: stopped after epoch 1: test error [\d.]+%, ", ended.stdout, re.MULTILINE)
    assert "failed" not in ended.stdout
    epochs = pd.read_parquet(results / "epochs").groupby("trial_id").size()
    assert set(epochs[recorded.index[recorded["status"] == "stopped"]]) == {1, 3}
    assert set(epochs[recorded.index[recorded["status"] == "done"]]) == {5}
    assert recorded.loc[recorded["status"] == "stopped", "validation_error_last"].isna().all()
    assert not list((results / "checkpoints").iterdir())

    again = run_here(searching, *HALVING)
    assert "30 trials: 30 done already, 0 to run" in again.stdout
    stopped = recorded.index[recorded["status"] == "stopped"][0]
    setting = {name: recorded.loc[stopped, name] for name in ("alpha", "weight_decay")}
    whole = [f"arms.whole={{method: mixup, alpha: {setting['alpha']}, weight_decay: {setting['weight_decay']}}}"]
    grown = run_here(searching, *HALVING, "--set", *whole)  # a grid wants it whole
    assert grown.returncode == 0, grown.stdout
    assert records(results).loc[stopped, "status"] == "done"


@pytest.mark.slow
def test_a_halving_search_goes_on_where_it_was_killed(run_here: Run, searching: Path, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    (undisturbed / "searching.yaml").write_text(SEARCHING)
    assert run_here(undisturbed / "searching.yaml", *HALVING).returncode == 0
    results = tmp_path / "results"
    for _ in range(2):
        running = start_here(searching, "--results", results, *HALVING)
        read_until(running, "stopped after epoch 1")
        read_until(running, "[")
        running.kill()
        running.communicate(timeout=30)
    ended = run_here(searching, *HALVING)
    assert ended.returncode == 0, ended.stdout
    pd.testing.assert_frame_equal(proposals(results), proposals(undisturbed / "results"))
    columns = ["status", "alpha", "weight_decay", "seed", "validation_error_last", "test_error_last"]
    pd.testing.assert_frame_equal(records(results)[columns], records(undisturbed / "results")[columns])
    assert not list((results / "checkpoints").iterdir())


def test_a_longer_search_goes_on_from_a_shorter_one(run_here: Run, searching: Path, tmp_path: Path) -> None:
    assert run_here(searching, "--set", "search.proposals=4").returncode == 0
    shorter = proposals(tmp_path / "results")
    ended = run_here(searching, "--set", "search.proposals=6")
    assert "16 trials: 10 done already, 6 to run" in ended.stdout
    longer = proposals(tmp_path / "results")
    pd.testing.assert_frame_equal(longer[:4], shorter)


@pytest.mark.slow
def test_a_setting_that_diverges_is_the_worst_and_is_not_trained_again(
    run_here: Run, searching: Path, tmp_path: Path
) -> None:
    diverging = ["--set", "search.space.mixup={lr: {choice: [1e-2, 1e+30]}}", "--set", "search.first=[{lr: 1e+30}]"]
    diverging += ["--set", "arms.mixup.alpha=1", "--set", "trial.optimizer=sgd", "--set", "search.proposals=4"]
    ended = run_here(searching, *diverging)
    assert ended.returncode == 0, ended.stdout
    recorded = records(tmp_path / "results")
    assert recorded.loc[recorded["seed"] >= 100, "lr"].tolist() == [1e-2, 1e-2]
    failed = recorded[recorded["status"] == "failed"]
    assert failed["lr"].tolist() == [1e30, 1e30]
    again = run_here(searching, *diverging)
    assert "0 to run" in again.stdout


def test_ray_proposes_what_one_process_does(ray_cluster: Any, run_here: Run, searching: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "searching.yaml").write_text(SEARCHING)
    assert run_here(here / "searching.yaml").returncode == 0
    ended = ray_cluster.run(searching, "--results", tmp_path / "results")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    pd.testing.assert_frame_equal(proposals(tmp_path / "results"), proposals(here / "results"))
    columns = ["alpha", "weight_decay", "seed", "validation_error_last", "test_error_last"]
    pd.testing.assert_frame_equal(records(tmp_path / "results")[columns], records(here / "results")[columns])
    table = [line for line in ended.stdout.splitlines() if line.startswith((" ERM", " mixup"))]
    assert len(table) == 2
    assert not list((tmp_path / "results" / "checkpoints").iterdir())
