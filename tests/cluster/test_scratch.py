"""The folder of Tune's state: gone after its run, and after a run that was killed, with the next one."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mixup_study.cluster.room import check_room
from mixup_study.cluster.scratch import PREFIX, open_scratch
from mixup_study.errors import InputError
from tests.cluster.support import Run

HOLDING = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from mixup_study.cluster.scratch import open_scratch
with open_scratch() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_folders_of_killed_runs_are_removed_and_those_of_living_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    command = [sys.executable, "-c", HOLDING, str(tmp_path)]
    runs = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        folders = [Path(run.stdout.readline().strip()) for run in runs if run.stdout is not None]
        (folders[0] / "experiment_state.json").write_text("{}")
        runs[0].kill()
        runs[0].wait()
        (tmp_path / f"{PREFIX}foreign").mkdir()
        with open_scratch() as own:
            assert not folders[0].exists()
            assert folders[1].exists()
        assert not Path(own).exists()
        assert (tmp_path / f"{PREFIX}foreign").exists()  # perhaps of a run that is just beginning
    finally:
        for run in runs:
            run.kill()
            run.wait()


def test_a_run_that_opens_none_removes_the_folder_of_a_killed_one(
    run_here: Run, tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    command = [sys.executable, "-c", HOLDING, str(temporary)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        folder = Path(killed.stdout.readline().strip())
        killed.kill()
    assert folder.exists()
    assert run_here(tiny_study).returncode == 0
    assert not folder.exists()


def test_a_machine_without_a_folder_for_temporary_files_trains_without_ray_and_says_what_ray_lacks(
    run_here: Run, tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", find_none)
    with pytest.raises(InputError, match=r"no folder for temporary files can be written to: .* set TMPDIR"):
        check_room()
    assert run_here(tiny_study).returncode == 0


def test_what_is_raised_because_the_disk_is_full_is_bad_input_whatever_it_is_called() -> None:
    def fail_as_tune() -> None:
        try:
            raise OSError(errno.EFBIG, "File too large")
        except OSError:
            raise RuntimeError("a trial failed") from None

    with pytest.raises(InputError, match=r"temporary files is full .* run the same command again"), open_scratch():
        fail_as_tune()
    with pytest.raises(ValueError, match="a bug"), open_scratch():
        raise ValueError("a bug")
