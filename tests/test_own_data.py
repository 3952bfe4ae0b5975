"""Data files of the user's own, from the study to the table: what is trained anew, and what is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch

from mixup_study.data import load_labelled_set
from mixup_study.data.preparation import reading_values
from mixup_study.study.study import StudyFile
from tests.commands import call_command

STUDY = """\
name: own
data: .
trial:
  {dataset: npz_table, file: own.npz, test_share: 0.2, model: mlp, width: 4, epochs: 1, batch_size: 20, lr: 0.1}
arms:
  ERM: {}
table: {title: Own, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""

Call = Callable[..., CompletedProcess[str]]


def write(folder: Path, zero: int) -> None:
    """Write rows of two classes that are far from each other; ``zero`` says which of them is class 0."""
    side_N = np.arange(200) % 2
    rows_N3 = np.random.default_rng(0).normal(size=(200, 3)) + 8 * side_N[:, None]
    np.savez(folder / "own.npz", x=rows_N3, y=(side_N + zero) % 2)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write(tmp_path, 0)
    (tmp_path / "own.yaml").write_text(STUDY)
    return tmp_path / "own.yaml"


@pytest.fixture
def call(study: Path) -> Call:
    """Calls a command on the study and its results."""
    return lambda name, *options: call_command(name, study, "--results", study.parent / "results", *options)


def test_changed_data_are_trained_anew_and_told(study: Path, call: Call) -> None:
    trained = call("run", "--local")
    assert "file own.npz, test share 20%, seed 0; 1 of 1 trials done" in " ".join(trained.stdout.split())
    assert (trained.returncode, trained.stderr) == (0, "")
    write(study.parent, 1)
    planned = call("plan")
    assert "1 trial: 0 done already, 1 to run" in planned.stdout
    assert planned.stderr.startswith("own.npz has changed: 1 recorded trial is of ")
    earlier = planned.stderr.partition("--set ")[2].split()[0]
    assert "1 trial: 1 done already" in call("plan", "--set", earlier).stdout
    refused = call("run", "--local", "--set", earlier, "--set", "trial.epochs=2")
    assert (refused.returncode, f"expected {earlier.partition('=')[2]}, that of the trial" in refused.stderr) == (
        2,
        True,
    )


def test_results_are_read_where_the_data_are_not(study: Path, call: Call) -> None:
    assert call("run", "--local").returncode == 0
    shown = call("tables")
    (study.parent / "own.npz").unlink()
    without = call("tables")
    assert (without.returncode, without.stdout) == (0, shown.stdout)
    assert "own.npz; read as the one of the recorded trials, file_digest " in without.stderr
    planned = call("plan", "--set", "trial.epochs=2")
    assert f"not in {study.parent}: own.npz; expected there before the trials left can be trained" in planned.stdout
    for how in ((), ("--local",)):  # before Ray starts
        refused = call("run", "--set", "trial.epochs=2", *how)
        assert (refused.returncode, f"error: not in {study.parent}: own.npz; " in refused.stderr) == (2, True)
    nothing = call_command("run", study, "--results", study.parent / "nothing")
    assert nothing.returncode == 2
    assert f"own.yaml:4: trial.file: not in {study.parent}: own.npz; put it there" in nothing.stderr


def test_fetch_shows_the_digest_and_the_examples(study: Path) -> None:
    (trial,) = StudyFile(study).load("full").trials.values()
    fetched = call_command("fetch", study)
    assert fetched.stdout.endswith(
        f"npz_table, file own.npz, test_share 0.2, file_digest {trial.file_digest}: 160 training, 40 test examples of"
        " 3, 2 classes\n"
    )


def test_a_process_reads_changed_data_anew(study: Path) -> None:
    labels = []
    for zero in (0, 1):
        write(study.parent, zero)
        (trial,) = StudyFile(study).load("full").trials.values()
        data = load_labelled_set("npz_table", study.parent, torch.device("cpu"), **reading_values(trial))
        labels.append(data.train_labels_N)
    assert torch.equal(labels[0], 1 - labels[1])
