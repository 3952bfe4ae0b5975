"""What other tools read of an exported study, each by its own reader."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mixup_study.store.store import ResultStore
from mixup_study.study.study import StudyFile
from tests.commands import call_command
from tests.exports.wandb_server import serve_wandb
from tests.fixtures import SMALL_STUDY, RecordMaker


@pytest.fixture
def folder(tmp_path: Path, record: RecordMaker) -> Path:
    """A folder with a study and its results: of six trials, one of each arm failed, four are done."""
    (tmp_path / "small.yaml").write_text(SMALL_STUDY)
    store = ResultStore(str(tmp_path / "results"))
    for cell in StudyFile(tmp_path / "small.yaml").load("short").cells:
        is_failed = cell.trial.seed == 1 and cell.trial.alpha != 2
        store.write(record(cell.trial, "failed" if is_failed else "done"))
    return tmp_path


def export(folder: Path, *options: str | Path) -> str:
    """Export the study; return what the command prints after where to."""
    ended = call_command("export", folder / "small.yaml", "--results", folder / "results", *options)
    assert (ended.returncode, ended.stderr) == (0, "")
    (line,) = ended.stdout.splitlines()
    assert line.startswith(f"{options[1]}: ")
    return line.removeprefix(f"{options[1]}: ")


def recorded(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ResultStore(str(folder / "results")).trials().to_pylist()
    return rows


def replace_failed(folder: Path, record: RecordMaker) -> None:
    """Record the failed trials as done."""
    store = ResultStore(str(folder / "results"))
    failed = {row["trial_id"] for row in recorded(folder) if row["status"] == "failed"}
    for cell in StudyFile(folder / "small.yaml").load("short").cells:
        if cell.trial.trial_id in failed:
            store.write(record(cell.trial))


def test_pandas_reads_the_csv_files(folder: Path) -> None:
    assert export(folder, "--csv", folder / "csv") == "table.csv, trials.csv, epochs.csv"
    trials = pd.read_csv(folder / "csv" / "trials.csv", index_col="trial_id")
    rows = {row["trial_id"]: row for row in recorded(folder)}
    assert set(trials.index) == set(rows)
    assert trials["arm"].value_counts().to_dict() == {"ERM": 2, "mixup": 4}
    for trial_id, trial in trials.iterrows():
        assert trial["study"] == "small"
        assert trial["seed"] == rows[trial_id]["seed"]
        assert trial["status"] == rows[trial_id]["status"]
        measured = rows[trial_id]["test_error_last"]
        assert trial["test_error_last"] == measured or (pd.isna(trial["test_error_last"]) and measured is None)
    assert not trials.isna().all().any()
    epochs = pd.read_csv(folder / "csv" / "epochs.csv")
    assert len(epochs) == 4
    assert set(epochs["epoch"]) == {1}
    table = pd.read_csv(folder / "csv" / "table.csv")
    assert table["test_error_last_paper_percent"].tolist()[0] == 5.0


def test_tensorboard_reads_the_event_files(folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    logs = folder / "logs"
    for _ in range(2):  # the second in place of the first
        assert export(folder, "--tensorboard", logs) == f"6 runs; tensorboard --logdir {logs}"
    runs = {path.parent.name: path.parent for path in logs.glob("small/short/*/events.out.tfevents.*")}
    assert len(runs) == 6
    for row in recorded(folder):
        (name,) = (name for name in runs if name.endswith(row["trial_id"]))
        events = EventAccumulator(str(runs[name])).Reload()
        if row["status"] == "done":
            (error,) = events.Scalars("epoch/test_error")
            assert (error.step, error.value) == (1, 0.5)
            assert error.wall_time == pytest.approx(row["started_at"].timestamp() + 1.5)
            assert [scalar.value for scalar in events.Scalars("result/test_error_last")] == [0.25]
        content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        settings = HParamsPluginData.FromString(content).session_start_info.hparams
        assert settings["method"].string_value == row["method"]
        assert settings["lr"].number_value == 0.1
        (text,) = events.Tensors("trial/text_summary")
        assert f"status: {row['status']}" in text.tensor_proto.string_val[0].decode()


def test_a_trial_that_the_study_calls_otherwise_by_now_replaces_its_run_in_tensorboard(folder: Path) -> None:
    export(folder, "--tensorboard", folder / "logs")
    (folder / "small.yaml").write_text(
        SMALL_STUDY.replace("  ERM: {}", "  baseline: {}").replace("arm: ERM", "arm: baseline")
    )
    export(folder, "--tensorboard", folder / "logs")
    names = [path.name for path in folder.glob("logs/small/short/*")]
    assert len(names) == 6
    assert sum(name.startswith("baseline") or ", baseline" in name for name in names) == 2


def test_a_password_in_a_tracking_uri_is_shown_nowhere(folder: Path) -> None:
    uri = "nonsense://me:hunter2@host/x"
    ended = call_command("export", folder / "small.yaml", "--results", folder / "results", "--mlflow", uri)
    assert ended.returncode == 2
    assert "hunter2" not in ended.stdout + ended.stderr


def test_mlflow_reads_the_runs(folder: Path, record: RecordMaker) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder}/mlflow.db"
    assert export(folder, "--mlflow", uri) == "6 runs of 'small, profile short'"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("small, profile short")
    runs = {run.data.tags["mixup_study.trial_id"]: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {row["trial_id"] for row in recorded(folder)}
    for row in recorded(folder):
        run = runs[row["trial_id"]]
        assert run.info.status == ("FINISHED" if row["status"] == "done" else "FAILED")
        assert run.info.start_time == round(row["started_at"].timestamp() * 1000)
        assert run.data.params["lr"] == "0.1"
        assert run.data.params.get("alpha") == (None if row["alpha"] is None else str(row["alpha"]))
        assert run.data.tags["arm"] == ("ERM" if row["method"] == "erm" else "mixup")
        assert run.data.metrics.get("test_error_last") == row["test_error_last"]
        if row["status"] == "done":
            (error,) = client.get_metric_history(run.info.run_id, "test_error")
            assert (error.step, error.value) == (1, 0.5)

    replace_failed(folder, record)
    interrupted = next(run for run in runs.values() if run.info.status == "FINISHED").info.run_id
    client.delete_tag(interrupted, "mixup_study.revision")  # as if the export had ended before its last call
    tags = {"mixup_study.trial_id": client.get_run(interrupted).data.tags["mixup_study.trial_id"]}
    client.create_run(experiment.experiment_id, tags=tags)  # and another one before that
    assert export(folder, "--mlflow", uri) == "3 runs of 'small, profile short', 3 were there"
    again = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["mixup_study.trial_id"] for run in again) == sorted(runs)
    assert {run.info.status for run in again} == {"FINISHED"}


def test_wandb_uploads_the_offline_runs(folder: Path) -> None:
    for _ in range(2):  # the second in place of the first
        written = export(folder, "--wandb-offline", folder / "offline")
        assert written == f"6 runs; wandb sync {folder}/offline/wandb/offline-run-*"
    with serve_wandb() as server:
        command = [shutil.which("wandb") or "wandb", "sync", *map(str, folder.glob("offline/wandb/offline-run-*"))]
        environment = os.environ | {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": "0" * 40, "HOME": str(folder)}
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=120)
    assert set(server.runs) == {row["trial_id"] for row in recorded(folder)}
    for row in recorded(folder):
        run, is_done = server.runs[row["trial_id"]], row["status"] == "done"
        assert run.variables["project"] == "small"
        assert run.variables["groupName"] == ("ERM" if row["method"] == "erm" else "mixup")
        assert run.variables["tags"] == ["short", row["status"]]
        config = {name: entry["value"] for name, entry in json.loads(run.variables["config"]).items()}
        assert (config["method"], config["lr"]) == (row["method"], 0.1)
        assert [(point["epoch"], point["test_error"]) for point in run.history] == ([(1, 0.5)] if is_done else [])
        assert run.summary.get("test_error_last") == row["test_error_last"]
        assert run.exit_code == (0 if is_done else 1)


def test_an_export_without_a_target_is_one_line(folder: Path) -> None:
    ended = call_command("export", folder / "small.yaml", "--results", folder / "results")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: expected one or more of --csv, --tensorboard, --mlflow, --wandb-offline")


@pytest.mark.parametrize("option", ["--csv", "--tensorboard", "--wandb-offline"])
def test_a_target_that_cannot_be_written_is_one_line(folder: Path, option: str) -> None:
    target = folder / "small.yaml"
    ended = call_command("export", target, "--results", folder / "results", option, target)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: {option} {target}: cannot be written: ")
    assert len(ended.stderr.splitlines()) == 1
    assert target.read_text() == SMALL_STUDY


@pytest.mark.parametrize(
    "uri", ["sqlite:///{folder}/small.yaml/mlflow.db", "sqlite:///{folder}/small.yaml", "nonsense://x"]
)
def test_a_tracking_uri_that_leads_nowhere_is_one_line(folder: Path, uri: str) -> None:
    uri = uri.format(folder=folder)
    ended = call_command("export", folder / "small.yaml", "--results", folder / "results", "--mlflow", uri)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: --mlflow {uri}: cannot be written: ")
    assert len(ended.stderr.splitlines()) == 1


def test_a_package_that_is_missing_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixup_study.exports.targets.find_spec", lambda package: None)
    ended = call_command("export", folder / "small.yaml", "--results", folder / "results", "--mlflow", "sqlite://")
    assert ended.returncode == 2
    assert ended.stderr == ("error: --mlflow: mlflow is not installed; expected it here: pip install mlflow-skinny\n")
