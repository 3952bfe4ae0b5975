"""A recorded trial as other tools take it: settings, results and curves by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mixup_study.analysis.efficiency import ended_at
from mixup_study.analysis.findings import Findings
from mixup_study.analysis.study_trials import list_study_trials
from mixup_study.catalogue import CATALOGUE
from mixup_study.store.record import Status
from mixup_study.study.labels import plain
from mixup_study.study.plan import GridPlan
from mixup_study.views.trial_texts import ORIGINS, with_defaults

UNKNOWN_START = datetime.fromtimestamp(0, UTC)
"""Start of a trial whose record is older than the column for it."""


@dataclass(frozen=True)
class ExportedTrial:
    """A recorded trial of a study. Results and curves are in the units of the results: errors in [0, 1]."""

    trial_id: str
    label: str
    """What it is within its study: ``label noise 20%, mixup, α=8, seed=1``."""
    arm: str
    """Its arms, separated by ``; ``; empty for a model that the study's trials need."""
    status: Status
    error: str | None
    started_at: datetime
    ended_at: datetime
    settings: Mapping[str, str | int | float | bool]
    """The fields that it takes, but for those without a value."""
    results: Mapping[str, float]
    """What it measured, by the metric's name."""
    epochs: Sequence[Mapping[str, float]]
    """The values of its curves after each epoch, ``lr`` and ``epoch`` among them."""
    origins: Mapping[str, str]
    """How the record came about: versions, device, digests."""

    @property
    def revision(self) -> str:
        """Return what differs as soon as another record is in the place of this one."""
        return f"{self.status} {self.started_at.isoformat()}"

    def epoch_times(self) -> list[datetime]:
        """Return when each epoch ended, as if nothing had interrupted the trial."""
        times, time = [], self.started_at
        for row in self.epochs:
            time += timedelta(seconds=row.get("seconds", 0.0))
            times.append(time)
        return times


def list_exported(findings: Findings) -> Iterator[ExportedTrial]:
    """Yield the recorded trials of a study, in its order, with the models that its trials need behind them.

    Raises StorageError where the results cannot be read.
    """
    arms: dict[str, dict[str, None]] = {}
    for arm, trial_id in list_study_trials(findings.study).arms:
        arms.setdefault(trial_id, {}).update({} if arm is None else {arm: None})
    epochs, labels = findings.read_epochs(arms), GridPlan(findings.study, 1).labels
    for trial_id, names in arms.items():
        record = findings.records.get(trial_id)
        if record is None:
            continue
        rows = epochs[trial_id].to_pylist() if trial_id in epochs else []
        started_at = record["started_at"] or UNKNOWN_START
        yield ExportedTrial(
            trial_id=trial_id,
            label=labels[trial_id],
            arm="; ".join(names),
            status=record["status"],
            error=record["error"],
            started_at=started_at,
            ended_at=ended_at(record) or UNKNOWN_START,
            settings=_list_settings(record),
            results={name: record[name] for name in CATALOGUE.metrics if record[name] is not None},
            epochs=[_drop_absent(row) for row in rows],
            origins=_list_origins(record),
        )


def _list_settings(record: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    fields = {name: value for name, value in with_defaults(record).items() if value is not None}
    return {name: value if isinstance(value, str | int | float) else plain(value) for name, value in fields.items()}


def _list_origins(record: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(record[name]) for name in (*ORIGINS, "data_digest") if record[name] is not None}


def _drop_absent(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in row.items() if value is not None and name != "trial_id"}
