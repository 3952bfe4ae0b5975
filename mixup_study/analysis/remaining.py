"""How long a run goes on: its trials by their epochs, over its slots."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from mixup_study.analysis.estimate import cost_kind
from mixup_study.study.labels import duration_text
from mixup_study.study.plan import Job
from mixup_study.study.trial import Trial


@dataclass(frozen=True)
class Remaining:
    """The seconds that a run goes on."""

    seconds: float
    is_least: bool
    """Whether trials like none so far come on top."""

    def text(self, passed: float = 0.0) -> str:
        """Return it in a few words after so many seconds: ``about 3 min left``."""
        seconds = self.seconds - passed
        if seconds < 10 and not self.is_least:
            return "under 10 s left"
        if seconds < 55:
            rounded = f"{max(10, round(seconds, -1)):.0f} s"
        else:
            rounded = f"{round(seconds / 60)} min" if seconds < 3570 else duration_text(60 * round(seconds / 60))
        return f"{'at least' if self.is_least else 'about'} {rounded} left"


@dataclass
class _JobTime:
    """A job that was started: how far it is, and since when."""

    kind: Hashable
    trials: int
    epoch: int
    """The last that is known to have ended."""
    at: float
    """When that was, or when the job started."""
    epoch_at_start: int | None
    """Where it began; None where that is uncertain: at a checkpoint of this run."""
    reports: int = 0
    is_under_way: bool = True


@dataclass
class _Measured:
    """What trials of a kind took in this run."""

    seconds: float = 0.0
    epochs: int = 0
    first: float | None = None
    """Seconds per epoch by the first report of a job, the start of its process included."""


class RemainingTime:
    """Follows the epochs of a run and works out how long it goes on.

    Times are in seconds of one clock. All but ``count`` take the same time, however large a job's pack is.
    """

    def __init__(self, slots: int, recorded: Mapping[Hashable, float], epochs_saved: Mapping[str, int]) -> None:
        """Begin with ``recorded``, the seconds per epoch of each kind of trial in the results.

        ``epochs_saved`` holds by trial_id the epochs that the checkpoints in the results have.
        """
        self._slots = max(slots, 1)
        self._recorded = recorded
        self._epochs_saved = epochs_saved
        self._jobs: dict[str, _JobTime] = {}
        """By trial_id."""
        self._measured: dict[Hashable, _Measured] = {}
        self._costs: dict[str, tuple[Hashable, int, int]] = {}
        """Kind, epochs and processes by trial_id."""

    def resize(self, slots: int) -> None:
        """Take note that there are so many slots from now on."""
        self._slots = max(slots, 1)

    def start(self, job: Job, trial_ids: Sequence[str], now: float) -> None:
        """Take note that these trials of a job begin, or go on."""
        before = self._jobs.get(trial_ids[0]) if trial_ids else None
        saved = self._epochs_saved.get(job.trial_ids[0], 0)
        begun = _JobTime(
            cost_kind(job.trials[0]),
            len(trial_ids),
            saved if before is None else before.epoch,
            now,
            saved if before is None else None,
        )
        self._jobs.update(dict.fromkeys(trial_ids, begun))

    def report(self, trial_id: str, epoch: int, now: float) -> None:
        """Take note that a trial, and with it all of its job, ended an epoch, counted from 1."""
        job = self._jobs[trial_id]
        if job.reports and epoch == job.epoch:  # another trial of the pack
            return
        measured = self._measured.setdefault(job.kind, _Measured())
        if job.reports:
            measured.seconds += now - job.at
            measured.epochs += (epoch - job.epoch) * job.trials
        elif job.epoch_at_start is not None and epoch > job.epoch_at_start:
            measured.first = (now - job.at) / ((epoch - job.epoch_at_start) * job.trials)
        job.epoch, job.at = epoch, now
        job.reports += 1

    def pause(self, trial_id: str) -> None:
        """Take note that a trial, and with it all of its job, waits to go on, or to begin."""
        if trial_id in self._jobs:  # its process may have died before it began
            self._jobs[trial_id].is_under_way = False

    def end(self, trial: Trial, train_seconds: float) -> None:
        """Take note of what a trial that is done took in its last process; 0 where it was recorded already."""
        job = self._jobs.get(trial.trial_id)
        if job is not None and job.reports < 2 and job.epoch_at_start == 0 and train_seconds:
            measured = self._measured.setdefault(job.kind, _Measured())
            measured.seconds += train_seconds
            measured.epochs += trial.trained_epochs or 1

    def count(self, left: Sequence[Trial], now: float) -> Remaining | None:
        """Return how long the trials ``left`` take, each on the slot that is free first; None while that is unknown."""
        under_way: dict[int, list[float]] = {}
        waiting: list[float] = []
        unknown = 0
        for trial in left:
            trial_id = trial.trial_id
            if (cost := self._costs.get(trial_id)) is None:
                cost = self._costs[trial_id] = (cost_kind(trial), trial.trained_epochs or 1, trial.processes)
            kind, epochs, processes = cost
            per_epoch = self._seconds_per_epoch(kind)
            if per_epoch is None:
                unknown += 1
                continue
            job = self._jobs.get(trial_id)
            seconds = per_epoch * (epochs - (self._epochs_saved.get(trial_id, 0) if job is None else job.epoch))
            if job is not None and job.is_under_way:
                slots = under_way.setdefault(id(job), [job.at - now] * processes)
                slots[:] = [total + seconds for total in slots]
            else:
                waiting += [seconds] * processes
        if not under_way and not waiting:
            return None
        free_at = [max(total, 0.0) for slots in under_way.values() for total in slots]
        free_at += [0.0] * (self._slots - len(free_at))
        heapq.heapify(free_at)
        for seconds in waiting:
            heapq.heapreplace(free_at, free_at[0] + seconds)
        return Remaining(max(free_at), unknown > 0)

    def _seconds_per_epoch(self, kind: Hashable) -> float | None:
        measured = self._measured.get(kind)
        if measured is not None and measured.epochs:
            return measured.seconds / measured.epochs
        return self._recorded.get(kind, None if measured is None else measured.first)
