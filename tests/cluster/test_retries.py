"""Trials that raise, on a Ray that the command starts itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

FLAKY = """\
import sys
if any(argument.endswith("default_worker.py") for argument in sys.orig_argv):
    from pathlib import Path
    from mixup_study.training.tasks.classification import Classification

    train_epoch = Classification.train_epoch

    def flaky(run, epoch):
        counter = Path({counter!r})
        failed = len(counter.read_bytes()) if counter.exists() else 0
        if run.trial.method == "mixup" and epoch == 1 and failed < {failures}:
            counter.write_bytes(b"." * (failed + 1))
            raise RuntimeError("a cable came loose")
        return train_epoch(run, epoch)

    Classification.train_epoch = flaky
"""


def run(study: Path, failures: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a study whose mixup trials raise so many times in all, in their second epoch."""
    code = study.parent / "code"
    code.mkdir()
    (code / "sitecustomize.py").write_text(FLAKY.format(counter=str(study.parent / "counter"), failures=failures))
    command = [sys.executable, "-m", "mixup_study.run", str(study), "--results", str(study.parent / "results")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")]))}
    return subprocess.run(
        [*command, "--cpus", "1", "--set", "arms.mixup.alpha=1", "--set", "checkpoint_seconds=0", *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_a_trial_that_raises_starts_again_from_its_checkpoint(tiny_study: Path) -> None:
    ended = run(tiny_study, 2)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("starts again after RuntimeError: a cable came loose") == 2
    assert set(pd.read_parquet(tiny_study.parent / "results" / "trials")["status"]) == {"done"}
    assert len(pd.read_parquet(tiny_study.parent / "results" / "epochs")) == 2 * 2


@pytest.mark.slow
def test_a_trial_that_goes_on_raising_is_recorded_with_its_error(tiny_study: Path) -> None:
    ended = run(tiny_study, 100, "--set", "retries=1")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stdout.count("starts again after RuntimeError: a cable came loose") == 1
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("failed: ")]
    assert "mixup, α=1: RuntimeError: a cable came loose" in line
    (log,) = re.findall(r"\(log: (.*)\)$", line)
    attempts = Path(log).read_text().split("== ")[1:]
    assert len(attempts) == 2
    assert all("in train_epoch" in one or "in flaky" in one for one in attempts)
    recorded = pd.read_parquet(tiny_study.parent / "results" / "trials").set_index("status")
    assert sorted(recorded.index) == ["done", "failed"]
    assert recorded.loc["failed", "error"] == "RuntimeError: a cable came loose"
    assert "train_epoch" in recorded.loc["failed", "traceback"]
