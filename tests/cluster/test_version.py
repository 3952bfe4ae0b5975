"""Which code a record names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import mixup_study
from mixup_study.cluster.version import code_version


def test_a_checkout_names_its_commit_and_a_wheel_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixup_study, "__file__", str(tmp_path / "mixup_study" / "__init__.py"))
    monkeypatch.setattr(mixup_study, "__version__", "0.2.0.dev3+gabcdef123")
    assert code_version() == "0.2.0.dev3+gabcdef123"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "First"], check=True)
    (tmp_path / "mixup_study").mkdir()
    commit = subprocess.run(
        [*git, "rev-parse", "--short=12", "HEAD"], check=True, capture_output=True, text=True
    ).stdout
    assert code_version() == f"0.2.0.dev3+g{commit.strip()}"
