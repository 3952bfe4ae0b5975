"""What the process that schedules knows of a run: which jobs are under way, and how its trials ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mixup_study.cluster.assignment import Assignment, RunSettings
from mixup_study.cluster.executor import Listener
from mixup_study.cluster.messages import (
    EpochEnded,
    InputUnusable,
    Interrupted,
    Message,
    TimeUp,
    TrialEnded,
    TrialWarning,
)
from mixup_study.cluster.records import build_failure_record, build_provenance, describe_error, find_headlines
from mixup_study.cluster.stops import TrialStops
from mixup_study.errors import InputError
from mixup_study.store.store import ResultStore
from mixup_study.study.labels import duration_text
from mixup_study.study.plan import DONE, Answer, Ending, Job, Plan


@dataclass(frozen=True)
class JobFailure:
    """What ended a job before its trials were recorded."""

    error: Exception
    reason: str
    """The error in one line."""
    trace: str | None = None
    """Its traceback, where another process raised it."""

    @classmethod
    def from_exception(cls, error: Exception) -> JobFailure:
        """Return the failure that an exception of this process is."""
        return cls(error, describe_error(error))


class Driver:
    """The state of a run: takes jobs from its plan, handles what they tell, and tells ``listeners``.

    Whatever the size of a pack, a message takes the same time to handle.
    """

    def __init__(
        self,
        plan: Plan,
        settings: RunSettings,
        slots: int,
        done: Collection[str],
        listeners: Sequence[Listener],
        ray_version: str | None = None,
        stops: TrialStops | None = None,
    ) -> None:
        """Begin with ``done``, the trial_ids recorded, and so many ``slots``, which ``resize`` changes.

        ``ray_version`` goes into the records of failures. ``stops`` names the trials that are to stop, each alone;
        none where it is left out.
        """
        self.plan = plan
        self.settings = settings
        self.bad_input: str | None = None
        """Why the run cannot go on, once it cannot."""
        self._slots = slots
        self._busy = 0
        """Slots that the jobs under way hold, or wait for where there are fewer by now."""
        self._listeners = listeners
        self._ray_version = ray_version
        self._stops = TrialStops() if stops is None else stops
        self._endings: dict[str, Ending] = dict.fromkeys(done, "done")
        self._handed_out: set[str] = set()
        self._numbered = 0
        """Jobs that the plan has handed out."""
        self._ready: dict[int, deque[tuple[int, Job]]] = {}
        """Jobs that the plan handed out and no process has, by their workers, numbered in the plan's order."""
        self._jobs: dict[str, Job] = {}
        """Jobs under way, by name: what processes train, or will as soon as they have started."""
        self._started_at: dict[str, datetime] = {}
        self._ask_again = True
        self._plan_done = False

    @property
    def running(self) -> Collection[str]:
        """Return the names of the jobs that processes train."""
        return self._started_at.keys()

    def list_stopping(self) -> list[str]:
        """Return the names of the jobs under way that are asked to stop while others go on."""
        return [name for name in self._started_at if self._stops.include(self._jobs[name].trial_ids)]

    @property
    def exhausted(self) -> bool:
        """Return whether no further job will come; raise RuntimeError for a plan that waits for nothing."""
        self._ask_plan()
        if not self._ready and not self._jobs and not self._plan_done:
            raise RuntimeError("the plan waits for a trial to end, but none is under way")
        return self._plan_done and not self._ready

    def next_job(self) -> Job | None:
        """Return the first job that fits the free slots, as under way from now on; None where there is none."""
        self._ask_plan()
        fitting = [jobs for workers, jobs in self._ready.items() if workers <= self._slots - self._busy]
        if not fitting:
            return None
        jobs = min(fitting, key=lambda jobs: jobs[0][0])
        _, job = jobs.popleft()
        if not jobs:
            del self._ready[job.workers]
        self._busy += job.workers
        self._jobs[job.name] = job
        return job

    def _ask_plan(self) -> None:
        while self._ask_again and not self._plan_done:
            answer = self.plan.next(self._endings, self._handed_out)
            if isinstance(answer, Answer):
                self._plan_done = answer is DONE
                self._ask_again = False
                return
            for number, job in enumerate(answer, self._numbered):
                self._numbered += 1
                self._handed_out.update(job.trial_ids)
                for trial_id in job.trial_ids:  # of a trial that goes on after it was stopped
                    self._endings.pop(trial_id, None)
                self._ready.setdefault(job.workers, deque()).append((number, job))

    def assignment(self, job: Job) -> Assignment:
        """Return what the process is given that trains ``job``."""
        return Assignment.from_job(job, self.plan, self.settings)

    def start(self, name: str) -> None:
        """Take note that a process trains a job."""
        self._started_at[name] = datetime.now(UTC)
        job = self._jobs[name]
        for listener in self._listeners:
            listener.started(job, self._unfinished(job))

    def handle(self, message: Message) -> None:
        """Take in what a job tells."""
        match message:
            case EpochEnded(trial_id, epoch, headline):
                for listener in self._listeners:
                    listener.progressed(trial_id, epoch, headline)
            case TrialEnded():
                self._end_trial(message)
            case TrialWarning(trial_id, line):
                for listener in self._listeners:
                    listener.warned(trial_id, line)
            case InputUnusable(reason):
                self.bad_input = self.bad_input or reason
            case TimeUp(trial_ids, seconds):
                self._end_at_limit(trial_ids, seconds)
            case Interrupted():
                pass  # its trials have not ended

    def resize(self, slots: int) -> None:
        """Take note that there are so many slots from now on."""
        self._slots = slots
        for listener in self._listeners:
            listener.resized(slots)

    def report_waiting(self, line: str) -> None:
        """Report what the run waits for that trains nothing, or that it goes on."""
        for listener in self._listeners:
            listener.waited(line)

    def restart(self, name: str, reason: str) -> None:
        """Take note that a job waits to start again, and of what ended its process."""
        self._started_at.pop(name, None)
        for listener in self._listeners:
            listener.restarted(self._unfinished(self._jobs[name]), reason)

    def give_up(self, name: str, failure: JobFailure) -> None:
        """Record the unfinished trials of a job that raised, or lost its process, once too often."""
        job = self._jobs[name]
        assignment = self.assignment(job)
        started_at = self._started_at.get(name, datetime.now(UTC))
        provenance = build_provenance(assignment, started_at, None, self._ray_version)
        try:
            headlines = find_headlines(self.settings.results, assignment.trials)  # perhaps never told
            for trial_id in self._unfinished(job):
                if trial_id in headlines:
                    self._end_trial(TrialEnded(trial_id, "done", headlines[trial_id]))
                    continue
                trial = assignment.trials[trial_id]
                record = build_failure_record(trial, provenance, failure.error, failure.reason, failure.trace)
                ResultStore(self.settings.results).write(record)
                self._end_trial(TrialEnded(trial_id, "failed", None, record.train_seconds, record.error))
        except InputError as unusable:
            self.bad_input = self.bad_input or str(unusable)
        self.end(name)

    def end(self, name: str) -> None:
        """Take note that a job is over; a trial of it that left no record is not waited for."""
        self._started_at.pop(name, None)
        job = self._jobs.pop(name)
        self._busy -= job.workers
        if self._stops.include(job.trial_ids):
            for trial_id in self._unfinished(job):
                error = "stopped on request; the same command goes on with it"
                self._end_trial(TrialEnded(trial_id, "failed", None, 0.0, error))
        for trial_id in self._unfinished(job):
            self._endings[trial_id] = "failed"
        self._ask_again = True

    def _unfinished(self, job: Job) -> list[str]:
        return [trial_id for trial_id in job.trial_ids if trial_id not in self._endings]

    def _end_at_limit(self, trial_ids: Sequence[str], seconds: float) -> None:
        """Report trials that the time limit ended: nothing is recorded of them, and another run goes on with them."""
        left = [trial_id for trial_id in trial_ids if trial_id not in self._endings]
        for trial_id in left:
            error = f"its time was up after {duration_text(seconds)}; the same command goes on with it"
            self._end_trial(TrialEnded(trial_id, "failed", None, seconds / len(left), error))

    def _end_trial(self, end: TrialEnded) -> None:
        if end.trial_id in self._endings:  # a pack that starts again fails some again
            return
        self._endings[end.trial_id] = end.ending
        self._ask_again = True
        for listener in self._listeners:
            if end.ending == "stopped":
                listener.stopped(end.trial_id, end.train_seconds, end.headline)
            else:
                listener.finished(end.trial_id, end.train_seconds, end.headline, end.error)
