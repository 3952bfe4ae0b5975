"""Words completed in a shell, and the examples that the help of each command ends in."""

from __future__ import annotations

import importlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mixup_study.__main__ import COMMANDS
from mixup_study.store.store import ResultStore
from tests.commands import REPOSITORY, call_command
from tests.fixtures import RecordMaker


def completions(line: str, folder: Path) -> list[str]:
    """Return what a shell is told that asks to complete a line, as argcomplete's script asks."""
    answer = folder / "answer"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run([sys.executable, "-m", "mixup_study"], cwd=REPOSITORY, env=environment, timeout=60, check=True)
    return [word.strip() for word in answer.read_text().split("\n") if word]


def test_commands_options_profiles_and_trials_are_completed(tmp_path: Path, record: RecordMaker) -> None:
    store = ResultStore(str(tmp_path))
    records = [record(seed=seed) for seed in range(3)]
    for written in records:
        store.write(written)
    trial_id = records[1].trial.trial_id
    assert completions("mixup-study fo", tmp_path) == ["forget"]
    assert completions("mixup-study plan studies/cifar.yaml --profile ", tmp_path) == ["paper", "quick"]
    assert completions(f"mixup-study diff --results {tmp_path} {trial_id[:6]}", tmp_path) == [trial_id]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_the_help_are_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    _, _, examples = call_command(name, "--help").stdout.partition("examples:\n")
    assert examples
    for line in examples.splitlines():
        program, command, *arguments = shlex.split(line)
        assert (program, command) == ("mixup-study", name)
        options = importlib.import_module(f"mixup_study.{name}")._options(arguments)
        if getattr(options, "study", None) is not None:
            assert options.study.exists()
