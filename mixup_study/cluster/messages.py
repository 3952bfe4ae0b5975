"""What a process that trains tells the one that schedules, and how Ray carries it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixup_study.study.plan import Ending


@dataclass(frozen=True)
class EpochEnded:
    """A trial ended an epoch, and with it all trials of its pack, which train side by side."""

    trial_id: str
    epoch: int
    """Counted from 1."""
    headline: float | None
    """The column of the epoch that says how the trial is doing, the headline of its task; None of one without."""


@dataclass(frozen=True)
class TrialEnded:
    """A trial is recorded: as finished, as failed, or as stopped after some of its epochs."""

    trial_id: str
    ending: Ending
    headline: float | None
    """The measurement that says how the trial did (the headline metric of its task); None where it failed."""
    train_seconds: float = 0.0
    """Wall seconds in the process that ended it; 0 where it was recorded before."""
    error: str | None = None


@dataclass(frozen=True)
class TrialWarning:
    """Something about a trial that is no failure."""

    trial_id: str
    line: str


@dataclass(frozen=True)
class InputUnusable:
    """The run cannot go on: data are not to be had, or records not to be written."""

    reason: str


@dataclass(frozen=True)
class Interrupted:
    """The job ended on request, before or after an epoch; it has saved."""


@dataclass(frozen=True)
class TimeUp:
    """The job ended at the time limit of its trials, before or after an epoch; it has saved."""

    trial_ids: Sequence[str]
    """Of all of its trials, those that ended before included."""
    seconds: float
    """Wall time in the process that trained."""


Message = EpochEnded | TrialEnded | TrialWarning | InputUnusable | Interrupted | TimeUp
Send = Callable[[Message], None]

_TYPES: Mapping[str, type[Message]] = {
    kind.__name__: kind for kind in (EpochEnded, TrialEnded, TrialWarning, InputUnusable, Interrupted, TimeUp)
}
_KEY = "mixup_study"
"""Tune writes a trial_id and more of its own into every report."""


def to_report(*messages: Message) -> dict[str, Any]:
    """Return messages as the metrics of ``tune.report`` or ``ray.train.report``."""
    return {_KEY: [(type(message).__name__, vars(message)) for message in messages]}


def from_report(report: Mapping[str, Any]) -> Sequence[Message]:
    """Return the messages of what Ray reported; none of Ray's own reports."""
    return [_TYPES[name](**fields) for name, fields in report.get(_KEY, ())]
