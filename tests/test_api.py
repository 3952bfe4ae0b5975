"""Studies from Python: what the functions return is what the commands record and print."""

from __future__ import annotations

import csv
import importlib
import io
import re
import signal
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

import mixup_study as ms
from mixup_study.api import _to_yaml
from mixup_study.data import load_labelled_set
from mixup_study.store.models import ModelFile
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.store.trial_ids import find_trial_id
from mixup_study.study.study import StudyFile
from mixup_study.training.model_file import pack_model
from mixup_study.training.task import Pause
from mixup_study.training.tasks.classification import Classification
from mixup_study.training.tasks.gan import build_networks
from tests.commands import REPOSITORY, call_command
from tests.conftest import TINY_STUDY
from tests.fixtures import PROVENANCE

ADVERSARIAL = REPOSITORY / "studies" / "adversarial.yaml"
ONE_EPOCH = {"trial.epochs": 1, "keep_models": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny study, trained for an epoch by ``ms.run``."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "tiny.yaml").write_text(TINY_STUDY)
    summary = ms.run(load(folder), local=True)
    assert (summary.trained, summary.reused, summary.failed, summary.failures) == (3, 0, 0, ())
    assert summary.seconds > 0
    return folder


def load(folder: Path) -> ms.Study:
    return ms.load(folder / "tiny.yaml", set=ONE_EPOCH, results=folder / "results")


def test_importing_the_package_imports_nothing_of_it() -> None:
    code = "import sys; before = set(sys.modules); import mixup_study; print(*sorted({*sys.modules} - before))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in ended.stdout.split()}
    assert not imported & {"torch", "ray", "pandas", "pyarrow", "numpy", "pydantic", "rich"}
    assert [name for name in ended.stdout.split() if name.startswith("mixup_study")] == ["mixup_study"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ms.nothing  # noqa: B018  # asking is the test


def test_the_package_offers_what_its_stub_declares() -> None:
    stub = (Path(ms.__file__).parent / "__init__.pyi").read_text()
    assert sorted(re.findall(r" as (\w+)$", stub, re.MULTILINE)) == sorted(ms.__all__)
    assert all(getattr(ms, name).__module__.startswith("mixup_study.") for name in ms.__all__)


def test_run_stays_the_function_once_the_command_is_imported() -> None:
    command = importlib.import_module("mixup_study.run")
    assert callable(command.main)
    assert ms.run is ms.api.run


def test_a_second_run_trains_nothing_and_prints_only_where_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert str(ms.run(load(folder), local=True)) == "0 trained in 0 s, 3 recorded before, 0 failed"
    assert capsys.readouterr().out == ""
    ms.run(load(folder), local=True, progress=True)
    assert "3 trials: 3 done already, 0 to run" in capsys.readouterr().out


def test_the_table_holds_the_numbers_of_the_csv(folder: Path) -> None:
    options = ["--results", folder / "results", "--set", "trial.epochs=1", "--set", "keep_models=true"]
    printed = call_command("tables", folder / "tiny.yaml", "--format", "csv", *options).stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    table = ms.table(load(folder))
    assert list(table.columns) == list(rows[0])
    assert list(table["arm"]) == [row["arm"] for row in rows]
    for name in ("label_noise", "alpha", "test_error_last_percent", "test_error_last_sd", "trials"):
        expected = [float(row[name]) if row[name] else np.nan for row in rows]
        np.testing.assert_allclose(table[name].to_numpy(dtype=float), expected, err_msg=name)
    assert np.isnan(table["test_error_last_paper_percent"]).all()


def test_trials_and_epochs_are_the_records_of_a_study_or_of_all(folder: Path) -> None:
    other = TrialRecord(StudyFile(folder / "tiny.yaml").load("full").cells[0].trial, "failed", PROVENANCE, error="no")
    store = ResultStore(str(folder / "results"))
    store.write(other)
    own, every = ms.trials(load(folder)), ms.trials(results=folder / "results")
    assert sorted(own["arm"]) == ["ERM", "mixup", "mixup"]
    assert set(every["trial_id"]) == {*own["trial_id"], other.trial.trial_id}
    assert (own["status"] == "done").all()
    epochs = ms.epochs(load(folder)).merge(own, on="trial_id")
    np.testing.assert_array_equal(epochs["test_error"], epochs["test_error_last"])


def test_a_model_measures_what_its_trial_recorded(folder: Path, tmp_path: Path) -> None:
    record = ms.trials(load(folder)).set_index("arm").loc["ERM"]
    network = ms.model(record["trial_id"][:8], results=folder / "results")
    digits = load_labelled_set("digits", tmp_path, torch.device("cpu"))
    with torch.inference_mode():
        predicted_N = network(digits.normalised(digits.test_inputs_N)).argmax(1)
    assert not network.training
    assert (predicted_N != digits.test_labels_N).double().mean().item() == record["test_error_last"]


def test_a_gan_leaves_both_of_its_networks(tmp_path: Path) -> None:
    changes = {"trial.epochs": 1, "keep_models": True, "grid.seed": [0]}
    study = ms.load(REPOSITORY / "studies" / "gan.yaml", profile="quick", results=tmp_path, set=changes)
    first = next(iter(study.content.trials.values()))
    networks = build_networks(first, tmp_path)
    ResultStore(str(tmp_path)).write(TrialRecord(first, "done", PROVENANCE))
    ModelFile(str(tmp_path), first.trial_id).write(pack_model(first.trial_id, networks.state_dict()))
    loaded = ms.model(first.trial_id, results=tmp_path)
    assert loaded.state_dict().keys() == networks.state_dict().keys()
    assert any(name.startswith("discriminator.") for name in loaded.state_dict())


def test_a_study_shows_its_table_in_a_notebook(folder: Path) -> None:
    shown = load(folder)._repr_html_()
    assert "<strong>tiny</strong>, profile full: 3 of 3 trials done</p>" in shown
    assert shown.count("<tr>") == 3
    assert re.search(r"<td[^>]*>mixup</td><td[^>]*>α=", shown)
    evil = ms.load(folder / "tiny.yaml", results=folder / "none", set={"table.title": "a <b>"})
    assert "profile full: 0 of 3 trials done, 3 left" in evil._repr_html_()
    assert "Table: a &lt;b&gt;." in evil._repr_html_()


def test_bad_input_raises_the_line_that_the_commands_print(folder: Path, tmp_path: Path) -> None:
    printed = call_command("plan", folder / "tiny.yaml", "--set", "trial.epochs=many", "--results", tmp_path).stderr
    with pytest.raises(ms.InputError) as refused:
        ms.load(folder / "tiny.yaml", set={"trial.epochs": "many"}, results=tmp_path)
    assert printed == f"error: {refused.value}\n"
    with pytest.raises(ms.InputError, match="expected numbers, text, lists and mappings"):
        ms.load(folder / "tiny.yaml", set={"trial.epochs": Path()}, results=tmp_path)
    with pytest.raises(ms.InputError, match="--local starts no Ray cluster"):
        ms.run(load(folder), local=True, cpus=1)
    with pytest.raises(ms.InputError, match=r"no such trial in .*results; expected the beginning of one of its"):
        ms.model("zzz", results=folder / "results")
    with pytest.raises(ms.InputError, match=r"'a': 2 trials in here begin so; expected one of ab, ac$"):
        find_trial_id("a", ["ac", "ab", "b"], "here")
    assert find_trial_id("ab", ["ab", "abc"], "here") == "ab"


def test_a_trial_without_a_model_or_of_other_components_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY_STUDY)
    trial = StudyFile(tmp_path / "tiny.yaml").load("full").cells[0].trial
    store = ResultStore(str(tmp_path))
    store.write(TrialRecord(trial, "done", PROVENANCE))
    with pytest.raises(ms.InputError, match="no such model; a study of keep_models: true keeps those of all its"):
        ms.model(trial.trial_id, results=tmp_path)
    ModelFile(str(tmp_path), trial.trial_id).write(b"no model")
    with pytest.raises(ms.InputError, match="the model cannot be used: it is not a model of mixup_study"):
        ms.model(trial.trial_id, results=tmp_path)
    evaluation = next(trial for trial in StudyFile(ADVERSARIAL).load("quick").trials.values() if trial.needs)
    store.write(TrialRecord(evaluation, "done", PROVENANCE))
    ModelFile(str(tmp_path), evaluation.trial_id).write(b"a model")
    with pytest.raises(ms.InputError, match="cannot be built: it evaluates the models of other trials"):
        ms.model(evaluation.trial_id, results=tmp_path)


def test_a_record_of_what_is_another_trial_by_now_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY_STUDY)
    trial = StudyFile(tmp_path / "tiny.yaml").load("full").cells[0].trial
    ResultStore(str(tmp_path)).write(TrialRecord(trial, "done", PROVENANCE))
    file = tmp_path / "trials" / f"{trial.trial_id}.parquet"
    table = pq.read_table(file)
    place = table.column_names.index("lr")
    pq.write_table(table.set_column(place, "lr", pa.array([0.2])), file)
    ModelFile(str(tmp_path), trial.trial_id).write(b"a model")
    with pytest.raises(ms.InputError, match="cannot be built: its components, or their defaults, have changed since"):
        ms.model(trial.trial_id, results=tmp_path)


def test_an_interrupted_run_raises_and_goes_on_when_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY_STUDY)
    study = ms.load(tmp_path / "tiny.yaml", results=tmp_path / "results")
    train_epoch = Classification.train_epoch

    def interrupted(self: Classification, epoch: int, pause: Pause) -> float:
        signal.raise_signal(signal.SIGINT)
        return train_epoch(self, epoch, pause)

    with monkeypatch.context() as patch:
        patch.setattr(Classification, "train_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ms.run(study, local=True)
    summary = ms.run(study, local=True)
    assert (summary.trained, summary.failed) == (3, 0)


def test_a_failed_trial_is_counted_and_its_line_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY_STUDY)
    study = ms.load(tmp_path / "tiny.yaml", results=tmp_path / "results", set={"arms.mixup": None, "retries": 0})

    def fail(self: Classification, epoch: int, pause: Pause) -> float:
        raise RuntimeError("it broke")

    monkeypatch.setattr(Classification, "train_epoch", fail)
    summary = ms.run(study, local=True)
    assert (summary.trained, summary.reused, summary.failed) == (0, 0, 1)
    assert "RuntimeError: it broke (log: " in str(summary)


@pytest.mark.parametrize(
    "value",
    [5, 0.0001, 1e-12, float("inf"), "text", "5", "a: b", [0, 1], {"lr": 0.1}, True, None, ["ä", "x" * 300]],
    ids=str,
)
def test_an_override_means_what_its_value_is(value: object) -> None:
    assert yaml.safe_load(_to_yaml(value)) == value
    assert "\n" not in _to_yaml(value)


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_shows(tmp_path: Path) -> None:
    stored = nbformat.read(REPOSITORY / "docs" / "notebook.ipynb", as_version=4)
    notebook = nbformat.read(REPOSITORY / "docs" / "notebook.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    client = nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(REPOSITORY / "docs")}}, timeout=120)
    client.execute()
    assert shape_of(notebook) == shape_of(stored)


def shape_of(notebook: nbformat.NotebookNode) -> list[list[tuple[str, str]]]:
    """Return the outputs of each cell, with their numbers left out, which another CPU rounds otherwise."""
    return [
        [
            (output.output_type, re.sub(r"[\d.]+", "#", "".join(output.get("data", {}).get("text/html", ""))))
            for output in cell.get("outputs", [])
        ]
        for cell in notebook.cells
    ]
