"""Files that show which runs are under way, in a folder and in a bucket alike."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mixup_study.store import runs
from mixup_study.store.runs import announced, list_runs, request_stop
from mixup_study.study.study import Study
from tests.store.conftest import Location

Load = Callable[..., Study]


@pytest.fixture(autouse=True)
def _polls_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(runs, "BUCKET_POLL_SECONDS", 0.02)


def test_a_run_shows_while_it_lives_and_hears_that_it_is_to_stop(
    location: Location, load: Load, small_study: str
) -> None:
    stopped, asked = threading.Event(), []

    def stop(trial_id: str | None) -> bool:
        asked.append(trial_id)
        if asked.count(None) == 2:  # it is not in a state to stop when it is first asked
            stopped.set()
        return trial_id is not None or asked.count(None) == 2

    with announced(location.url, load(small_study, "trial.epochs=5"), Path("small.yaml"), 3, stop):
        (run,) = list_runs(location.url)
        assert (run.study, run.profile, run.overrides, run.slots) == ("small", "full", ["trial.epochs=5"], 3)
        assert run.file == str(Path.cwd() / "small.yaml")
        assert asked == []
        request_stop(location.url, run, "0123456789abcdef")
        request_stop(location.url, run)
        assert stopped.wait(10)
        request_stop(location.url, run)  # once more, it has been heard already
    assert list_runs(location.url) == []
    assert location.names("runs") == []
    assert sorted(asked, key=str) == ["0123456789abcdef", None, None]


def test_a_run_shows_that_it_lives(
    location: Location, load: Load, small_study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SEEN_SECONDS", 0.02)
    with announced(location.url, load(small_study), Path("small.yaml"), 1, lambda trial_id: True):
        (first,) = location.names("runs")
        begun = location.read(first)
        deadline = time.monotonic() + 20
        while location.read(first) == begun:
            assert time.monotonic() < deadline


def test_what_a_killed_run_left_counts_for_nothing(
    location: Location, load: Load, small_study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with announced(location.url, load(small_study), Path("small.yaml"), 1, lambda trial_id: True):
        (name,) = location.names("runs")
        alive = json.loads(location.read(name))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    now, old = (datetime.now(UTC) - timedelta(seconds=age) for age in (1, runs.STALE_SECONDS + 1))
    entries = {
        "ended": alive | {"pid": ended.pid},
        "another process of that number": alive | {"process": "1"},
        "elsewhere": alive | {"sight": "another machine", "seen_at": now.isoformat()},
        "long silent": alive | {"sight": "another machine", "seen_at": old.isoformat()},
    }
    for key, entry in entries.items():
        location.write(f"runs/{key}.json", json.dumps(entry | {"name": key}).encode())
    location.write("runs/other.json", b"[1")
    location.write("runs/later.json", b'{"version": 2}')
    assert [run.name for run in list_runs(location.url)] == ["elsewhere"]
    with announced(location.url, load(small_study), Path("small.yaml"), 1, lambda trial_id: True):
        assert location.names("runs") == sorted(["runs/elsewhere.json", "runs/later.json", "runs/other.json", name])
