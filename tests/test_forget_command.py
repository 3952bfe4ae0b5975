"""``mixup-study forget``: what it removes, what it says before, and when it refuses."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from mixup_study.store.checkpoints import CheckpointFile
from mixup_study.store.logs import LogFile
from mixup_study.store.models import ModelFile
from mixup_study.store.record import TrialRecord
from mixup_study.store.runs import announced
from mixup_study.store.store import ResultStore
from mixup_study.study.study import StudyFile
from tests.commands import REPOSITORY, call_command
from tests.fixtures import PROVENANCE


@pytest.fixture
def store(tiny_study: Path) -> ResultStore:
    """Results of the tiny study: ERM and mixup of alpha 1 are done, alpha 8 has failed; all have a log."""
    store = ResultStore(str(tiny_study.parent / "results"))
    for cell in StudyFile(tiny_study).load("full").cells:
        status = "failed" if cell.trial.alpha == 8 else "done"
        store.write(TrialRecord(cell.trial, status, PROVENANCE, 60.0, {"test_error_last": 0.3}, error=None))
        os.close(LogFile(store.location, cell.trial.trial_id).open())
    ModelFile(store.location, cell.trial.trial_id).write(b"a model")
    CheckpointFile(store.location, cell.trial.trial_id).write(b"a checkpoint")
    return store


def left(store: ResultStore) -> list[tuple[str, float]]:
    rows = ResultStore(store.location).trials().to_pylist()
    return sorted((row["method"], row["alpha"] or 0.0) for row in rows)


def test_an_arm_is_forgotten_with_all_that_its_trials_left(tiny_study: Path, store: ResultStore) -> None:
    other = tiny_study.with_name("other.yaml")
    other.write_text(tiny_study.read_text().replace("name: tiny", "name: other").replace("[1, 8]", "[1, 2]"))
    arguments = [tiny_study, "--results", store.location, "--arm", "mixup"]
    refused = call_command("forget", *arguments)
    assert refused.returncode == 2
    assert refused.stderr == "error: nobody can be asked whether to remove it; expected --yes\n"
    assert len(left(store)) == 3
    ended = call_command("forget", *arguments, "--yes")
    assert ended.stdout.splitlines() == [
        f"tiny, profile full: 2 records, 1 model, 1 checkpoint, 2 logs in {store.location}",
        "1 record of them is also of other, profile full",
        "removed: 2 records, 1 model, 1 checkpoint, 2 logs",
    ]
    assert left(store) == [("erm", 0.0)]
    assert [len(list(Path(store.location, name).iterdir())) for name in ("models", "checkpoints", "logs")] == [0, 0, 1]
    again = call_command("forget", *arguments, "--yes")
    assert again.stdout == "nothing to forget: the results hold none of 2 trials\n"


def test_the_failed_alone_or_all_of_a_profile(tiny_study: Path, store: ResultStore) -> None:
    call_command("forget", tiny_study, "--results", store.location, "--failed", "--yes")
    assert left(store) == [("erm", 0.0), ("mixup", 1.0)]
    call_command("forget", tiny_study, "--results", store.location, "--profile", "full", "--yes")
    assert left(store) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "expected what to forget: --arm NAME, --failed, or --profile NAME"),
        (["--arm", "mixpu"], "expected an arm of the study: ERM, mixup; did you mean 'mixup'?"),
        (["--profile", "ful"], "did you mean 'full'?"),
    ],
)
def test_bad_input_removes_nothing(options: list[str], expected: str, tiny_study: Path, store: ResultStore) -> None:
    ended = call_command("forget", tiny_study, "--results", store.location, "--yes", *options)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert expected in ended.stderr
    assert len(left(store)) == 3


def test_it_refuses_while_a_run_is_under_way(tiny_study: Path, store: ResultStore) -> None:
    arguments = [tiny_study, "--results", store.location, "--failed", "--yes"]
    with announced(store.location, StudyFile(tiny_study).load("full"), tiny_study, 1, lambda trial_id: True):
        refused = call_command("forget", *arguments)
    assert refused.returncode == 2
    assert f"error: a run is under way on {store.location} (" in refused.stderr
    assert len(left(store)) == 3
    assert call_command("forget", *arguments).returncode == 0


def test_on_a_terminal_it_asks(tiny_study: Path, store: ResultStore) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mixup_study.forget", str(tiny_study), "--results", store.location, "--failed"]
    for answer, count in ((b"\n", 3), (b"y\n", 2)):
        os.write(ours, answer)
        ended = subprocess.run(command, cwd=REPOSITORY, stdin=theirs, capture_output=True, text=True, check=True)
        assert "remove it? [y/N]" in ended.stdout
        assert len(left(store)) == count
    os.close(ours)
    os.close(theirs)
