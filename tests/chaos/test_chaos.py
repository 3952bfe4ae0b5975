"""Whatever dies, running the same command again finishes the study with the same numbers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(800)
@pytest.mark.parametrize(("kills", "workers"), [(6, 1), (1, 2)], ids=["one worker a trial", "two workers a trial"])
def test_a_disturbed_study_equals_an_undisturbed_one(kills: int, workers: int) -> None:
    command = [sys.executable, "-m", "tests.chaos", f"--kills={kills}", f"--workers={workers}", "--seed=0"]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=700)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert int(re.findall(r"(\d+) kills", ended.stdout)[0]) >= kills
    assert re.search(r"[1-9]\d* trials of [1-9]\d* studies: 0 lost, 0 doubled, 0 mismatches", ended.stdout)
