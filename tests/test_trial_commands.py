"""Commands that show trials and studies: list, show, diff."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from mixup_study.store.checkpoints import CheckpointEntry, CheckpointFile, seal_checkpoint
from mixup_study.store.logs import LogFile
from mixup_study.store.models import ModelFile
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.study.study import StudyFile
from mixup_study.views.blocks import draw_curve
from tests.commands import call_command
from tests.fixtures import PROVENANCE, RecordMaker


@pytest.fixture
def recorded(tiny_study: Path) -> dict[str, str]:
    """The trial_ids of the tiny study by arm, of which all but mixup's second are recorded in ``results``."""
    store = ResultStore(str(tiny_study.parent / "results"))
    ids = {}
    for cell, error in zip(StudyFile(tiny_study).load("full").cells, (0.4, 0.3, None), strict=True):
        if error is None:
            continue
        ids[cell.arm] = cell.trial.trial_id
        epochs = [
            {"epoch": epoch, "lr": 0.1, "train_loss": 2 / epoch, "test_error": error + 0.2 / epoch, "seconds": 1.0}
            for epoch in (1, 2)
        ]
        measured = {"test_error_last": error, "test_error_best": error}
        store.write(TrialRecord(cell.trial, "done", PROVENANCE, 60.0, measured, epochs))
    return ids


def test_list_counts_the_trials_of_each_study_and_profile(tiny_study: Path, recorded: dict[str, str]) -> None:
    (tiny_study.parent / "broken.yaml").write_text("name: broken\nnothing: 1\n")
    ended = call_command("list", tiny_study.parent, "--results", tiny_study.parent / "results", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(ended.stdout))
    assert row == {
        "file": "tiny.yaml",
        "study": "tiny",
        "profile": "full",
        "trials": "3",
        "done": "2",
        "failed": "0",
        "left": "1",
        "last recorded": "2026-01-02 03:05 UTC",
    }
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {tiny_study.parent}/broken.yaml")
    missing = call_command("list", tiny_study.parent / "no")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)


def test_show_takes_the_beginning_of_an_id(tiny_study: Path, recorded: dict[str, str]) -> None:
    results, trial_id = tiny_study.parent / "results", recorded["mixup"]
    log = LogFile(str(results), trial_id)
    log.open()
    Path(log.shown).write_text("".join(f"line {number}\n" for number in range(1, 13)) + "\x1b[2J\n")
    ModelFile(str(results), trial_id).write(b"a model")
    printed = call_command("show", trial_id[:10], "--results", results).stdout.splitlines()
    assert printed[0] == f"trial {trial_id}: done"
    assert "  method              mixup" in printed
    assert "  test error last     30.0%" in printed
    assert f"model: {results}/models/{trial_id}" in printed
    start = printed.index("test error: 40.0% after epoch 2") + 1
    assert printed[start : start + 4] == ["  50.0% ┤█", "        ┤█", "        ┤█", "  40.0% ┤█▁"]
    assert printed[-11] == f"log: {log.shown}, the last 10 of 13 lines"
    assert printed[-10:-8] == ["  line 4", "  line 5"]
    assert printed[-1] == r"  \x1b[2J"  # nothing that a terminal would obey
    whole = call_command("show", trial_id, "--log", "--results", results).stdout.splitlines()
    assert (whole[0], len(whole)) == ("line 1", 13)


def test_show_of_an_unfinished_trial_says_what_is_saved(tiny_study: Path, recorded: dict[str, str]) -> None:
    results = tiny_study.parent / "results"
    cells = StudyFile(tiny_study).load("full").cells
    (trial_id,) = {cell.trial.trial_id for cell in cells} - set(recorded.values())
    CheckpointFile(str(results), trial_id).write(seal_checkpoint(CheckpointEntry(trial_id, 1, True), b""))
    LogFile(str(results), trial_id).write(b"epoch 1\n")
    shown = call_command("show", trial_id[:8], "--results", results)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        f"trial {trial_id}: not finished, part of epoch 2 saved; mixup-study watch shows it while it trains",
        f"log: {results}/logs/{trial_id}.log",
        "  epoch 1",
    ]


def test_show_of_a_failed_trial_says_why_and_what_is_not_there(tmp_path: Path, record: RecordMaker) -> None:
    failed = record(status="failed")
    ResultStore(str(tmp_path)).write(failed)
    printed = call_command("show", failed.trial.trial_id, "--results", tmp_path).stdout
    assert f"trial {failed.trial.trial_id}: failed\nerror: RuntimeError: diverged\n" in printed
    assert "\nnumbers\n" not in printed
    assert printed.endswith("model: none\nlog: none, it printed nothing\n")
    refused = call_command("show", failed.trial.trial_id, "--log", "--results", tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("text", "expected"), [("", "expected the beginning of one of its 2 trial_ids"), ("x", "such")]
)
def test_an_unknown_trial_is_one_line(text: str, expected: str, tiny_study: Path, recorded: dict[str, str]) -> None:
    results = tiny_study.parent / "results"
    trial_id = recorded["ERM"]
    for command in (["show", text], ["diff", trial_id, text]):
        ended = call_command(*command, "--results", results)
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
        assert expected in ended.stderr
    typo = call_command("show", f"{trial_id[:-1]}g", "--results", results)
    assert f"did you mean {trial_id!r}?" in typo.stderr


def test_diff_shows_the_fields_that_differ_the_numbers_and_the_curves_ends(
    tiny_study: Path, recorded: dict[str, str]
) -> None:
    results = tiny_study.parent / "results"
    trial_ids = [recorded["ERM"], recorded["mixup"]]
    ended = call_command("diff", *trial_ids, "--results", results, "--format", "csv")
    heading, *rows = csv.reader(io.StringIO(ended.stdout))
    assert heading == ["", *trial_ids]
    texts = {name: others for name, *others in rows}
    assert texts["method"] == ["erm", "mixup"]
    assert texts["alpha"] == ["–", "1"]
    assert texts["test error last"] == ["40.0%", "30.0%"]
    assert texts["test error (last epoch)"] == ["50.0%", "40.0%"]
    assert not {"dataset", "lr", "seed", "device"} & texts.keys()
    same = call_command("diff", trial_ids[0], trial_ids[0][:12], "--results", results)
    assert (same.returncode, same.stderr.count("\n")) == (2, 1)


def test_a_curve_of_many_epochs_shows_its_last_and_leaves_gaps_where_nothing_is() -> None:
    lines = draw_curve([*range(1000), None, float("nan"), 1001.0], str)
    assert max(map(len, lines)) == len("1001.0 ┤") + 60
    assert [line[-1] for line in lines] == ["█"] * 4
    assert draw_curve([1.0, None, 1.0], "{:g}".format) == ["1 ┤", "  ┤", "  ┤", "1 ┤▁ ▁"]
    assert draw_curve([], str)[0] == "0.0 ┤"
