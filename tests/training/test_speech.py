"""Trials on recorded words, mixed as spectrograms and as waveforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mixup_study.data import load_labelled_set, speech_commands
from mixup_study.data.speech_commands import NAME
from mixup_study.store.store import ResultStore
from mixup_study.study.trial import Trial
from mixup_study.training.parallel import Worker
from mixup_study.training.task import Environment
from mixup_study.training.tasks.classification import Classification
from tests.commands import call_command
from tests.data.speech import write_archive
from tests.training.alone import CPU, train_alone

STUDY = """
name: words
trial: {dataset: speech_commands, model: vgg11, width: 2, units: 4, epochs: 2, batch_size: 30, lr: 0.01}
arms:
  mixup: {method: mixup, alpha: 1, mix: [spectrogram, waveform]}
table: {title: Words, rows: [mix, arm], columns: [{title: validation, metric: validation_error_last}]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    write_archive(folder / NAME)
    return folder


@pytest.fixture(autouse=True)
def small_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_commands.open_archive, "__defaults__", (150,))


def trial(**fields: Any) -> Trial:
    small = {"model": "vgg11", "width": 2, "units": 4, "epochs": 2, "batch_size": 30, "lr": 0.01, "optimizer": "adam"}
    return Trial(**{"dataset": "speech_commands", **small, **fields})


def losses(folder: Path, **fields: Any) -> list[float]:
    return [row["train_loss"] for row in train_alone(trial(**fields), folder).epochs]


@pytest.mark.slow
def test_what_is_mixed_makes_a_difference_only_where_something_is_mixed(folder: Path) -> None:
    spectrograms, waveforms = losses(folder), losses(folder, mix="waveform")
    assert spectrograms == pytest.approx(waveforms, rel=1e-2)
    mixup: dict[str, Any] = {"method": "mixup", "alpha": 1.0}
    mixed = losses(folder, **mixup, mix="waveform")
    assert mixed == losses(folder, **mixup, mix="waveform")
    assert mixed != pytest.approx(losses(folder, **mixup), rel=1e-2)


def test_a_validation_share_takes_the_place_of_the_archives_own_part(folder: Path) -> None:
    run = Classification(trial(validation=0.1), Environment(folder, Worker(), CPU))
    assert run.data.validation is not None
    assert len(run.data.validation.labels_N) == 9
    assert run.examples == 81


def test_records_hold_both_errors_and_the_digest_of_the_recordings(folder: Path, tmp_path: Path) -> None:
    study = tmp_path / "words.yaml"
    study.write_text(STUDY)
    ended = call_command("run", study, "--local", "--data", folder, "--results", tmp_path / "results")
    assert ended.returncode == 0, ended.stderr
    rows = ResultStore(str(tmp_path / "results")).trials().to_pylist()
    assert {row["mix"] for row in rows} == {"spectrogram", "waveform"}
    digest = load_labelled_set("speech_commands", folder, torch.device("cpu"), mix="spectrogram").digest
    assert digest is not None
    for row in rows:
        assert row["data_digest"] == digest
        assert 0 <= row["validation_error_best"] <= row["validation_error_last"] <= 1
        assert 0 <= row["test_error_last"] <= 1
    again = call_command("fetch", study, "--data", folder)
    assert again.returncode == 0, again.stderr
    sizes = "90 training, 30 test, 30 validation examples of 1x161x101, 30 classes"
    assert again.stdout.splitlines()[1:] == [
        f"speech_commands, mix spectrogram: {sizes}",
        f"speech_commands, mix waveform: {sizes}",
    ]
