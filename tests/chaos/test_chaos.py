"""Whatever is killed, filled or cut off, running the same command again finishes the study with the same numbers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

KINDS = ("Tune actor", "own GCS", "SIGTERM", "full disk")
"""One of each sort; the program knows more. Nodes are lost in tests/cluster."""


@pytest.mark.slow
@pytest.mark.timeout(800)
def test_a_disturbed_study_equals_an_undisturbed_one() -> None:
    command = [sys.executable, "-m", "tests.chaos", f"--kills={len(KINDS)}", "--seed=1", "--kinds", *KINDS]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=700)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for kind in KINDS:
        assert re.search(rf"^\| {kind} \| 1 \| 1 (?:\| 0 ){{5}}\|", ended.stdout, re.MULTILINE), ended.stdout
    assert re.search(r"^4 disturbances in \d+ commands, [1-9]\d* trials of \d+ studies$", ended.stdout, re.MULTILINE)
