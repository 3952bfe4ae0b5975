"""The benchmark of a GPU, tried on a CPU: it must still run on the day that there is one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.conftest import run_command

pytestmark = pytest.mark.slow


def test_the_benchmark_of_a_gpu_runs_on_a_cpu(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.gpu",
        "--device",
        "cpu",
        "--tiny",
        "--json",
        str(tmp_path / "gpu.json"),
    ]
    ended = run_command(command, {**os.environ, "OMP_NUM_THREADS": "1"})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    results = json.loads((tmp_path / "gpu.json").read_text())
    assert results["tiny"]
    assert len(results["checks"]) == 7
    assert all(check["passed"] for check in results["checks"])
    assert all(speed["rate"] > 0 for speed in results["speeds"])
    for name in ("plain loop", "training loop", "compiled", "side by side", "GAN", "in a pack"):
        assert sum(name in speed["name"] for speed in results["speeds"]) == 1, name
