from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from mixup_study.results.record import Status, TrialRecord
from mixup_study.results.store import ResultStore
from mixup_study.spec.study import METRICS, Study, StudyFile
from mixup_study.spec.trial import Trial

MADE = {
    "started_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    "device": "a CPU",
    "code_version": "0.1.0",
    "python_version": "3.11.0",
    "torch_version": "2.7.0",
    "ray_version": "2.60.0",
}

RecordMaker: TypeAlias = Callable[..., TrialRecord]


def make_trial(**fields: Any) -> Trial:
    shared: dict[str, Any] = {"dataset": "digits", "model": "preact_resnet18", "epochs": 2, "batch_size": 50, "lr": 0.1}
    return Trial(**shared | fields)


def make_record(
    trial: Trial | None = None,
    status: Status = "done",
    train_seconds: float = 12.5,
    measurements: Mapping[str, float | None] | None = None,
    **fields: Any,
) -> TrialRecord:
    """Return a finished or failed record of ``trial``, or of the trial with these fields."""
    found = make_trial(**fields) if trial is None else trial
    if status == "failed":
        return TrialRecord(found, status, MADE, train_seconds, error="RuntimeError: diverged", traceback="Traceback …")
    epochs = [
        {"epoch": epoch, "lr": found.lr, "train_loss": 1 / epoch, "test_error": 0.5 / epoch, "seconds": 1.5}
        for epoch in range(1, found.epochs + 1)
    ]
    given = dict.fromkeys(METRICS, 0.25) if measurements is None else measurements
    return TrialRecord(found, status, MADE, train_seconds, given, epochs)


@pytest.fixture(scope="session")
def trial() -> Callable[..., Trial]:
    """Makes a trial of digits with these fields."""
    return make_trial


@pytest.fixture(scope="session")
def record() -> RecordMaker:
    """Makes a record of a trial, or of the trial with these fields."""
    return make_record


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(str(tmp_path / "results"))


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Study]:
    """Loads a study's text under a profile and overrides."""

    def loaded(text: str, *overrides: str, profile: str | None = None) -> Study:
        path = tmp_path / "small.yaml"
        path.write_text(text, encoding="utf-8")
        file = StudyFile(path, overrides)
        return file.load(file.base_profile if profile is None else profile)

    return loaded
