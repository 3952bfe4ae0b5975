"""``python -m mixup_study.models``: what it lists, what it exports, what it refuses."""

from __future__ import annotations

import csv
import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mixup_study import models
from mixup_study.data import load_labelled_set
from mixup_study.errors import InputError
from mixup_study.store.models import ModelFile, seal_model, short_digest
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.study.trial import Trial
from mixup_study.training.loop import train
from mixup_study.training.model_file import pack_model
from mixup_study.training.task import TrialResult
from tests.fixtures import PROVENANCE, RecordMaker
from tests.training.alone import CPU
from tests.training.test_checkpoint import trial as make_trial

WEIGHTS = {"weight": torch.arange(6.0), "bias": torch.zeros(2)}


def write_model(store: ResultStore, trial_id: str, model: Mapping[str, Tensor] = WEIGHTS) -> ModelFile:
    file = ModelFile(store.location, trial_id)
    file.write(pack_model(trial_id, model))
    return file


def listed(store: ResultStore, capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    """Return the rows of the list, by heading."""
    assert models.main(["--results", store.location, "--format", "csv"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def refusal(store: ResultStore, trial_id: str, file: Path) -> str:
    """Return the line that an export ends in."""
    with pytest.raises(InputError) as caught:
        models.main(["--results", store.location, "--export", trial_id, str(file)])
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# The list.


def test_each_model_stands_with_its_trial_its_size_and_its_digest(
    store: ResultStore, record: RecordMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    records = {
        found.trial.trial_id: found
        for found in (record(seed=0), record(seed=1), record(method="mixup", alpha=8.0), record(seed=7))
    }
    for found in records.values():
        store.write(found)
    erm, other_seed, mixup, without = records
    for trial_id in (erm, other_seed, mixup):
        write_model(store, trial_id)
    rows = {row.pop("trial_id"): row for row in listed(store, capsys)}
    size = len(ModelFile(store.location, erm).read() or b"")
    digests = {trial_id: short_digest(ModelFile(store.location, trial_id).read() or b"") for trial_id in rows}
    assert all(len(digest) == 16 for digest in digests.values())
    assert len(set(digests.values())) == 3
    shared = {"dataset": "digits", "model": "preact_resnet18", "bytes": str(size)}
    assert rows == {
        erm: {**shared, "method": "erm", "settings": "seed=0", "digest": digests[erm]},
        other_seed: {**shared, "method": "erm", "settings": "seed=1", "digest": digests[other_seed]},
        mixup: {**shared, "method": "mixup", "settings": "alpha=8, seed=0", "digest": digests[mixup]},
    }
    assert list(rows) == sorted(rows)
    assert without not in rows


def test_a_model_without_a_record_and_a_damaged_one_are_said_to_be_so(
    store: ResultStore, record: RecordMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    failed, damaged = record(seed=1, status="failed"), record(seed=2)
    store.write(failed)
    store.write(damaged)
    write_model(store, "0" * 16)
    write_model(store, failed.trial.trial_id)
    file = write_model(store, damaged.trial.trial_id)
    file.write((file.read() or b"")[:-1])
    ModelFile(store.location, "1" * 16).write(seal_model("2" * 16, b"weights"))
    rows = {row["trial_id"]: row for row in listed(store, capsys)}
    digest = short_digest(ModelFile(store.location, "0" * 16).read() or b"")
    assert (rows["0" * 16]["settings"], rows["0" * 16]["digest"]) == ("not recorded", digest)
    assert rows[failed.trial.trial_id]["settings"] == "seed=1"
    assert rows[damaged.trial.trial_id]["digest"] == "it is damaged"
    assert rows["1" * 16]["digest"] == f"it is of trial_id {'2' * 16}, not {'1' * 16}"


def test_every_format_shows_the_same(
    store: ResultStore, record: RecordMaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    found = record()
    store.write(found)
    write_model(store, found.trial.trial_id)
    for name, start in (("text", "trial_id"), ("markdown", "| trial_id |"), ("latex", "% needs"), ("csv", "trial_id,")):
        assert models.main(["--results", store.location, "--format", name]) == 0
        shown = capsys.readouterr().out
        assert shown.lstrip().startswith(start)
        assert found.trial.trial_id in shown
        assert "digits" in shown


def test_results_without_models_are_an_empty_list(store: ResultStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(store, capsys) == []


def test_models_in_a_bucket_are_listed_and_exported(
    bucket: str, record: RecordMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, found = ResultStore(bucket), record()
    store.write(found)
    write_model(store, found.trial.trial_id)
    (row,) = listed(store, capsys)
    digest = short_digest(ModelFile(bucket, found.trial.trial_id).read() or b"")
    assert (row["trial_id"], row["dataset"], row["digest"]) == (found.trial.trial_id, "digits", digest)
    assert models.main(["--results", bucket, "--export", found.trial.trial_id, str(tmp_path / "model.pt")]) == 0
    assert torch.equal(torch.load(tmp_path / "model.pt", weights_only=True)["weight"], WEIGHTS["weight"])
    ModelFile(bucket, found.trial.trial_id).write(b"something else")
    line = refusal(store, found.trial.trial_id, tmp_path / "model.pt")
    shown = bucket.partition("?")[0].replace("key:secret", "…")
    assert line == f"{shown}/models/{found.trial.trial_id}: cannot be exported: it is not a model of mixup_study"


# The export.


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, {"precision": "bfloat16", "memory_format": "channels_last"}], ids=str)
def test_an_exported_model_measures_what_its_trial_recorded(
    fields: dict[str, Any], store: ResultStore, tmp_path: Path
) -> None:
    trial = make_trial(train_size=600, label_noise=0.0, width=4, augment=False, **fields)

    def save_model(trial: Trial, model: Mapping[str, Tensor]) -> None:
        write_model(store, trial.trial_id, model)

    (measured,) = train([trial], tmp_path, CPU, lambda trial, row, examples: None, save_model=save_model)
    assert isinstance(measured, TrialResult)
    store.write(TrialRecord(trial, "done", PROVENANCE, 1.0, measured.measurements, measured.epochs, measured.points))

    assert models.main(["--results", store.location, "--export", trial.trial_id, str(tmp_path / "model.pt")]) == 0

    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert type(state) is OrderedDict
    digits = load_labelled_set("digits", tmp_path, CPU)
    network = trial.components.network.load()(trial, digits.shape, digits.classes)
    network.load_state_dict(state)
    network.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=trial.precision == "bfloat16"):
        predicted_N = network(digits.normalised(digits.test_inputs_N)).argmax(1)
    error = (predicted_N != digits.test_labels_N).double().mean().item()
    (recorded,) = store.trials().to_pylist()
    assert error == recorded["test_error_last"]
    assert error < 0.85  # it has learned something


def test_an_unknown_trial_is_named_with_the_nearest(store: ResultStore, tmp_path: Path) -> None:
    assert refusal(store, "abc", tmp_path / "model.pt") == (
        f"--export 'abc': no such model in {store.shown}; expected one of the 0 that this command lists"
    )
    write_model(store, "0123456789abcdef")
    write_model(store, "f" * 16)
    assert refusal(store, "0123456789abcdee", tmp_path / "model.pt") == (
        f"--export '0123456789abcdee': no such model in {store.shown}; did you mean '0123456789abcdef'?"
    )
    assert refusal(store, "../trials\n", tmp_path / "model.pt") == (
        f"--export '../trials\\n': no such model in {store.shown}; expected one of the 2 that this command lists"
    )
    assert not (tmp_path / "model.pt").exists()


class Code:
    """What a pickle runs when it is read."""

    def __reduce__(self) -> Any:
        return (print, ("code of a model ran",))


def test_a_file_that_holds_code_is_refused_and_the_code_not_run(
    store: ResultStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trial_id = "0123456789abcdef"
    torch.save({"weight": Code()}, tmp_path / "dangerous")
    for content in ((tmp_path / "dangerous").read_bytes(), pickle.dumps(Code())):
        ModelFile(store.location, trial_id).write(seal_model(trial_id, content))
        line = refusal(store, trial_id, tmp_path / "model.pt")
        assert line == f"{store.location}/models/{trial_id}: cannot be exported: it holds more than numbers"
        assert models.main(["--results", store.location]) == 0  # nor by listing it
    shown = capfd.readouterr()
    assert "code of a model ran" not in shown.out
    assert shown.err == ""
    assert not (tmp_path / "model.pt").exists()


def test_a_damaged_model_leaves_the_exported_one_alone(store: ResultStore, tmp_path: Path) -> None:
    trial_id = "0123456789abcdef"
    file = write_model(store, trial_id)
    models.main(["--results", store.location, "--export", trial_id, str(tmp_path / "model.pt")])
    exported = (tmp_path / "model.pt").read_bytes()
    file.write((file.read() or b"")[:-1] + b"?")
    assert refusal(store, trial_id, tmp_path / "model.pt") == f"{file.shown}: cannot be exported: it is damaged"
    assert (tmp_path / "model.pt").read_bytes() == exported


def test_a_file_that_cannot_be_written_is_named(store: ResultStore, tmp_path: Path) -> None:
    write_model(store, "0123456789abcdef")
    for file, reason in ((tmp_path, "Is a directory"), (tmp_path / "no" / "model.pt", "No such file or directory")):
        assert refusal(store, "0123456789abcdef", file) == f"{file}: cannot be written: {reason}"


@pytest.mark.parametrize("arguments", [["--export", "0123456789abcdef"], ["--format", "png"], ["trial"]])
def test_what_the_command_does_not_take_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        models.main(arguments)
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("; see python -m mixup_study.models --help")


def test_what_a_trial_does_not_take_is_no_setting_of_it(
    store: ResultStore, record: RecordMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    for found in (record(model="wide_resnet", depth=10, widen_factor=1), record(width=8), record(width=16)):
        store.write(found)
        write_model(store, found.trial.trial_id)
    settings = {(row["model"], row["settings"]) for row in listed(store, capsys)}
    assert settings == {
        ("wide_resnet", "depth=10, widen_factor=1"),
        ("preact_resnet18", "width=8"),
        ("preact_resnet18", "width=16"),
    }
