from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mixup_study.errors import InputError
from mixup_study.run import main
from tests.cluster.support import PACKS, Ended, Run


@pytest.fixture(autouse=True)
def _no_command_outlives_its_test() -> Iterator[None]:
    """End the commands that a failed test left running, which would hold the slots that the next one waits for."""
    yield
    for process in psutil.Process().children():
        if "mixup_study.run" in process.cmdline():
            process.kill()
            process.wait()


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a study in this process, as ``run --local`` does."""

    def ran(study: Path, *options: str | Path) -> Ended:
        results = study.parent / "results"
        arguments = [str(study), "--local", "--results", str(results), *map(str, options)]
        try:
            status = main(arguments)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 2
        return Ended(status, *capsys.readouterr())

    return ran


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    """A study file of two packs of small networks: five trials of ERM, and ten of mixup."""
    file = tmp_path / "packs.yaml"
    file.write_text(PACKS)
    return file
