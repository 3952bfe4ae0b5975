"""What trains a plan, and who is told how that goes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from mixup_study.cluster.assignment import RunSettings
from mixup_study.cluster.stops import TrialStops
from mixup_study.study.document import Resources
from mixup_study.study.plan import Job, Plan


class Listener(Protocol):
    """Whoever wants to know how the trials are doing; called in the driver, the process that schedules."""

    def started(self, job: Job, trial_ids: Sequence[str]) -> None:
        """Take note that a process trains these trials of a job: those that have not ended."""

    def progressed(self, trial_id: str, epoch: int, headline: float | None) -> None:
        """Take note of an epoch, counted from 1, and of the column that says how the trial is doing.

        Of a pack, one trial at a time is told of; the others have trained as many epochs. Called most often of all,
        so it must take no longer for a trial of a large pack.
        """

    def restarted(self, trial_ids: Sequence[str], reason: str) -> None:
        """Take note that these trials of a job wait to start again, and of what ended their process."""

    def warned(self, trial_id: str, line: str) -> None:
        """Take note of something about a trial that is no failure."""

    def waited(self, line: str) -> None:
        """Take note of what the run waits for that trains nothing, or that it goes on."""

    def resized(self, slots: int) -> None:
        """Take note that there are so many slots from now on."""

    def interrupted(self, line: str) -> None:
        """Take note that a signal asked the run to end; called within its handler, so it must wait for nothing."""

    def stopped(self, trial_id: str, train_seconds: float, headline: float | None) -> None:
        """Take note that a trial was stopped after some of its epochs; it may be started again, to go on."""

    def finished(self, trial_id: str, train_seconds: float, headline: float | None, error: str | None) -> None:
        """Take note of a trial's end; ``error`` says what it failed with, None where it is done.

        ``train_seconds`` are those of the process that ended it, 0 where it was found recorded already.
        """


class Executor(Protocol):
    """Where trials are trained: on a Ray cluster, or in this process."""

    @property
    def place(self) -> str:
        """Return what it is called in messages: ``the Ray cluster``."""

    @property
    def gpus(self) -> float:
        """Return the GPUs that it has in all."""

    @property
    def dashboard(self) -> str | None:
        """Return in one line where it can be watched; None where it cannot."""

    @property
    def stops(self) -> TrialStops:
        """Return where it is asked to stop trials one by one."""

    def slots(self, resources: Resources) -> int:
        """Return how many slots of ``resources`` it has side by side."""

    def check(self, resources: Resources, workers: int) -> None:
        """Raise InputError where a job of ``workers`` slots never fits."""

    def run(self, plan: Plan, settings: RunSettings, done: Collection[str], listeners: Sequence[Listener]) -> None:
        """Train what ``plan`` hands out and tell ``listeners``; ``done`` holds the trial_ids of the trials recorded.

        A job that raises, or loses its process, starts again up to ``settings.retries`` times, from its checkpoint,
        and is recorded as failed after that.

        Raises InputError where a job cannot run for want of data or of space for its record, and
        Interrupted after a signal: on the first once the trials under way have saved, for as long as they are given,
        on the second at once.
        """
