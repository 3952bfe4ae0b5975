"""What ``init`` writes runs as it is, and never in place of anything."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.commands import REPOSITORY, call_command


def load_module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_it_writes_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a study"
    written = call_command("init", folder)
    assert written.returncode == 0
    assert "a study' && mixup-study run study.yaml --plugin own_network" in written.stdout
    assert {path.name for path in folder.iterdir()} == {
        "study.yaml",
        "own_network.py",
        "test_own_network.py",
        "shapes.npz",
    }
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.syspath_prepend(folder)
    own = load_module(folder / "test_own_network.py")
    own.test_it_returns_a_logit_for_each_class()
    own.test_an_epoch_of_the_study_trains(tmp_path / "results")
    monkeypatch.delitem(sys.modules, "own_network")


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "own_network.py").write_text("mine")
    refused = call_command("init", tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"error: {tmp_path}: own_network.py is there already; expected a folder without, and nothing is written\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["own_network.py"]
    assert (tmp_path / "own_network.py").read_text() == "mine"
    beside_a_file = call_command("init", tmp_path / "own_network.py" / "below")
    assert beside_a_file.returncode == 2
    assert "own_network.py/below: cannot be written: Not a directory" in beside_a_file.stderr
