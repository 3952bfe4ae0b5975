"""Trials trained one after the other in this very process, for debuggers and tests, without Ray."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from mixup_study.cluster.assignment import RunSettings
from mixup_study.cluster.driver import Driver, JobFailure
from mixup_study.cluster.executor import Listener
from mixup_study.cluster.interrupt import Interrupt
from mixup_study.cluster.output import copy_output
from mixup_study.cluster.stops import TrialStops
from mixup_study.errors import InputError
from mixup_study.study.document import Resources
from mixup_study.study.plan import Job, Plan

if TYPE_CHECKING:
    from mixup_study.cluster.assignment import Assignment


@dataclass(frozen=True)
class LocalExecutor:
    """Trains in this process: one slot, the same records, checkpoints, retries and logs as Ray's processes."""

    gpus: float
    """GPUs of this machine."""
    grace: float
    """Seconds that the trial under way has to save after a signal."""
    place: str = "this machine"
    dashboard: str | None = None
    stops: TrialStops = field(default_factory=TrialStops)

    def slots(self, resources: Resources) -> int:
        """Return one: there is one process."""
        return 1

    def check(self, resources: Resources, workers: int) -> None:
        """Raise InputError for a job of several workers, and for GPUs that are not there."""
        if workers > 1:
            raise InputError(f"--local trains in one process; a trial of {workers} workers needs Ray, without --local")
        if resources.gpus > self.gpus:
            raise InputError(
                f"a trial needs {resources.gpus:g} GPUs; this machine has {self.gpus:g}; --set resources.gpus=0 trains"
                " on CPUs"
            )

    def run(self, plan: Plan, settings: RunSettings, done: Collection[str], listeners: Sequence[Listener]) -> None:
        """Train what ``plan`` hands out, as an Executor does; a signal waits for the trial to save."""
        driver = Driver(plan, settings, 1, done, listeners, stops=self.stops)
        interrupt = Interrupt(self.grace, listeners)
        with interrupt.listening(self.grace):
            while not (interrupt.requested or driver.bad_input or driver.exhausted):
                job = driver.next_job()
                if job is not None:
                    _run_job(driver, job, self._stop_requested(job, interrupt))
        if driver.bad_input is not None:
            raise InputError(driver.bad_input)
        interrupt.check()

    def _stop_requested(self, job: Job, interrupt: Interrupt) -> Callable[[], bool]:
        """Return what says whether a job is to stop, alone or with the run."""
        return lambda: interrupt.requested or self.stops.include(job.trial_ids)


def _run_job(driver: Driver, job: Job, stop_requested: Callable[[], bool]) -> None:
    """Train a job, again where it raises, and record it as failed after that."""
    from mixup_study.cluster import execution  # with PyTorch, which nothing needs that only asks

    host = execution.Host(_choose_device(driver.settings), driver.handle, stop_requested, copy_output, _Unwatched)
    for attempt in range(driver.settings.retries + 1):
        driver.start(job.name)
        try:
            execution.run_assignment(
                driver.assignment(job),
                host.send,
                host.stop_requested,
                lambda assignment: execution.train_here(assignment, host),
            )
        except Exception as error:
            if attempt == driver.settings.retries:
                driver.give_up(job.name, JobFailure.from_exception(error))
                return
            driver.restart(job.name, JobFailure.from_exception(error).reason)
        else:
            driver.end(job.name)
            return


def _choose_device(settings: RunSettings) -> Any:
    import torch

    if not settings.resources.gpus:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError(
            "PyTorch cannot use the GPUs of this machine; --set resources.gpus=0 trains on CPUs, or install a driver"
            " and a PyTorch built for it"
        )
    return torch.device("cuda", 0)


class _Unwatched:
    """The Monitor of a process that nobody asks for metrics."""

    def __init__(self, assignment: Assignment) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def note_epoch(self, trial_id: str, row: Mapping[str, Any], examples: int) -> None:
        pass

    def note_checkpoint(self, seconds: float, size: int) -> None:
        pass
