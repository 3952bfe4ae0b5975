"""``mixup-study watch`` and ``stop``: a run seen and ended from elsewhere."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from mixup_study.progress import RunProgress
from mixup_study.store.checkpoints import CheckpointEntry, CheckpointFile, seal_checkpoint
from mixup_study.store.record import TrialRecord
from mixup_study.store.runs import announced
from mixup_study.store.store import ResultStore
from mixup_study.study.study import StudyFile
from mixup_study.watch import WatchedStudy
from tests.cluster.support import read_until, start_here, wait_for_checkpoint
from tests.commands import REPOSITORY, call_command
from tests.fixtures import PROVENANCE

LONG = ["--set", "trial.epochs=5000", "--set", "checkpoint_seconds=0"]


@pytest.mark.slow
def test_a_run_is_watched_and_stopped_from_elsewhere_and_goes_on(tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    running = start_here(tiny_study, "--results", results, *LONG)
    wait_for_checkpoint(running, results)
    command = [sys.executable, "-m", "mixup_study.watch", "--results", str(results)]
    watching = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert read_until(watching, "tiny") == "tiny, profile full: that of the run under way\n"
    (checkpoint,) = (results / "checkpoints").iterdir()
    first = call_command("stop", checkpoint.name[:8], "--results", results)
    assert first.stdout.startswith(f"asked to stop trial {checkpoint.stem}: it saves"), first.stderr
    line = read_until(running, "stopped on request; the same command goes on with it")
    assert f"{checkpoint.stem}  label noise 50%, ERM: failed: " in line
    while len(list((results / "checkpoints").glob("*.checkpoint"))) < 2:  # that of the next trial
        assert running.poll() is None
        time.sleep(0.02)
    stopped = call_command("stop", "--results", results)
    assert stopped.returncode == 0, stopped.stderr
    asked, ended = stopped.stdout.splitlines()
    assert asked.startswith("asked to end: ")
    assert "tiny, profile full" in asked
    assert ended.startswith("ended: ")
    said = running.communicate(timeout=60)[0]
    assert running.returncode == 143, said
    assert "interrupted: 0 of 3 trials finished" in said
    assert "2 trials saved at epoch" in said
    assert watching.communicate(timeout=60)[0].endswith("the run has ended; 3 of 3 trials are left\n")
    assert watching.returncode == 1
    again = call_command("stop", "--results", results)
    assert (again.returncode, again.stderr) == (2, f"error: no run is under way on {results}\n")


def test_watch_shows_what_appears_in_the_results(tiny_study: Path) -> None:
    study, store = StudyFile(tiny_study).load("full"), ResultStore(str(tiny_study.parent / "results"))
    first, second, third = study.trials.values()
    store.write(TrialRecord(first, "failed", PROVENANCE, error="it broke"))
    watched = WatchedStudy(study, ResultStore(store.location))
    out = io.StringIO()
    console = Console(file=out, width=160, force_terminal=True, markup=False, color_system=None)
    progress = RunProgress(console, watched.latest_plan, watched.done)
    watched.update(progress)
    assert out.getvalue() == ""  # what stood there before is no news
    checkpoint = seal_checkpoint(CheckpointEntry(second.trial_id, 1, False), b"state")
    CheckpointFile(store.location, second.trial_id).write(checkpoint)
    watched.update(progress)
    console.print(progress.view())
    assert f"{second.trial_id}  label noise 50%, mixup, α=1  epoch 1/2" in out.getvalue()
    store.write(TrialRecord(first, "done", PROVENANCE, 2.0, {"test_error_last": 0.25}))
    store.write(TrialRecord(third, "failed", PROVENANCE, 1.0, error="it broke too"))
    watched.update(progress)
    assert f"{first.trial_id}  label noise 50%, ERM: test error 25.0%, 2.0 s" in out.getvalue()
    assert f"{third.trial_id}  label noise 50%, mixup, α=8: failed: it broke too, 1.0 s" in out.getvalue()
    assert out.getvalue().count("failed: ") == 1
    assert not watched.is_done
    store.write(TrialRecord(second, "done", PROVENANCE, 2.0, {"test_error_last": 0.25}))
    store.write(TrialRecord(third, "done", PROVENANCE, 2.0, {"test_error_last": 0.25}))
    watched.update(progress)
    assert watched.is_done
    ended = call_command("watch", tiny_study, "--results", store.location)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "done")


def test_watch_and_stop_want_to_know_which_of_several(tiny_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = str(tiny_study.parent / "results")
    nothing = call_command("watch", "--results", results)
    assert nothing.returncode == 2
    assert nothing.stderr == f"error: no run is under way on {results}; expected STUDY, the file of the one to watch\n"
    study = StudyFile(tiny_study).load("full")
    with announced(results, study, tiny_study, 1, lambda trial_id: True):
        monkeypatch.setattr("socket.gethostname", lambda: "another")
        other = tiny_study.with_name("other.yaml")
        with announced(results, study, other, 1, lambda trial_id: True):
            two = call_command("stop", "--results", results)
            unknown = call_command("stop", "--results", results, "--run", "anothre-1")
            several = call_command("watch", "--results", results)
    assert [ended.returncode for ended in (two, unknown, several)] == [2, 2, 2]
    assert "2 runs are under way" in two.stderr
    assert "did you mean 'another-" in unknown.stderr
    assert "runs of 2 studies are under way" in several.stderr
