"""Whatever dies, running the same command again finishes the study with the same numbers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(800)
def test_a_disturbed_study_equals_an_undisturbed_one() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--kills=6", "--seed=0"]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=700)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert int(re.findall(r"(\d+) kills", ended.stdout)[0]) >= 6
    assert re.search(r"[1-9]\d* trials of [1-9]\d* studies: 0 lost, 0 doubled, 0 mismatches", ended.stdout)
