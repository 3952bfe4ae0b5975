"""What a process prints while it trains is kept with the results."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mixup_study.store.logs import LogFile


def run(results: Path | str, *lines: str) -> subprocess.CompletedProcess[str]:
    """Run lines of Python in a process that keeps their output, between two that it does not keep."""
    code = ["import os, warnings", "from mixup_study.cluster.output import redirect_output", "print('before')"]
    code += [f"with redirect_output({str(results)!r}, 'a trial', 'tiny: ERM'):", *(f"    {line}" for line in lines)]
    command = [sys.executable, "-c", "\n".join([*code, "print('after')"])]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_log_holds_all_that_a_process_prints_meanwhile(tmp_path: Path) -> None:
    for attempt in (1, 2):
        printed = f"print('attempt {attempt}')"
        ended = run(tmp_path, printed, "warnings.warn('warned')", "os.system('echo by another program >&2')")
        assert ended.stdout == "before\nafter\n"
        assert ended.stderr == ""
    log = (tmp_path / "logs" / "a trial.log").read_text()
    one = r"== .*, process \d+ on .*: tiny: ERM\n{}\n.*UserWarning: warned\n.*by another program\n"
    assert re.fullmatch(one.format("attempt 1") + one.format("attempt 2"), log)


def test_a_log_in_a_bucket_goes_on_with_the_next_process(bucket: str) -> None:
    for attempt in (1, 2):
        assert run(bucket, f"print('attempt {attempt}')").stdout == "before\nafter\n"
    log = LogFile(bucket, "a trial").read().decode()
    assert re.fullmatch(r"== .*: tiny: ERM\nattempt 1\n== .*: tiny: ERM\nattempt 2\n", log)


def test_a_process_that_prints_nothing_leaves_no_log(tmp_path: Path) -> None:
    assert run(tmp_path, "pass").returncode == 0
    assert not list((tmp_path / "logs").iterdir())


def test_the_log_of_a_killed_process_stays_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    assert run(tmp_path, "print('so far', flush=True)", "os.kill(os.getpid(), 9)").returncode == -9
    assert (tmp_path / "logs" / "a trial.log").read_text().endswith("tiny: ERM\nso far\n")
    assert not list(temporary.iterdir())


def test_a_log_leads_nowhere_out_of_the_results(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path.parent / "another").write_text("another's")
    (tmp_path / "logs" / "a trial.log").symlink_to(tmp_path.parent / "another")
    ended = run(tmp_path, "print('mine')")
    assert ended.stderr.splitlines()[-1].startswith("mixup_study.store.place.StorageError: ")
    assert "a symbolic link leads out of the results" in ended.stderr
    assert (tmp_path.parent / "another").read_text() == "another's"


def test_output_that_a_full_disk_does_not_take_is_left_out(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    ended = run(tmp_path, limit, "print(9999 * 'long ')", "print('more', flush=True)", "warnings.warn('warned')")
    assert (ended.returncode, ended.stdout) == (0, "before\nafter\n"), ended.stderr
    assert len((tmp_path / "logs" / "a trial.log").read_text()) <= 100
