"""Ray Tune as the scheduler of a plan: one Tune run, whose searcher asks the plan for the next job."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import Searcher
from ray.tune.trainable import wrap_function

from mixup_study.cluster.assignment import RunSettings
from mixup_study.cluster.board import Board
from mixup_study.cluster.capacity import Capacity
from mixup_study.cluster.driver import Driver, JobFailure
from mixup_study.cluster.executor import Listener
from mixup_study.cluster.interrupt import Interrupt
from mixup_study.cluster.losses import describe_loss, is_memory_loss, recovering_from_memory_losses
from mixup_study.cluster.messages import from_report
from mixup_study.cluster.metrics import StudyMetrics
from mixup_study.cluster.scratch import open_scratch
from mixup_study.cluster.session import Cluster
from mixup_study.cluster.stops import TrialStops
from mixup_study.cluster.watch import Watch
from mixup_study.errors import InputError
from mixup_study.store.logs import LogFile
from mixup_study.study.document import Resources
from mixup_study.study.plan import Plan

LEAVING_SECONDS = 3.0
"""What Tune has to end its processes, once those that save have had their time, before the driver leaves it alone."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class RayExecutor:
    """Trains on a Ray cluster, in as many processes side by side as it has slots for: more where nodes join it.

    Jobs of one worker share reused Tune actors. Of a job of several, the Tune actor holds no slot, and its Train
    workers one each.
    """

    cluster: Cluster
    grace: float
    """Seconds that the trials under way have to save after a signal."""
    place: str = "the Ray cluster"
    stops: TrialStops = field(default_factory=TrialStops)

    @property
    def gpus(self) -> float:
        """Return the GPUs of all nodes together."""
        return self.cluster.gpus

    @property
    def dashboard(self) -> str | None:
        """Return where Ray's dashboard is; None for a cluster without."""
        return self.cluster.dashboard

    def slots(self, resources: Resources) -> int:
        """Return how many slots of ``resources`` the nodes hold side by side."""
        return self.cluster.slots(resources)

    def check(self, resources: Resources, workers: int) -> None:
        """Raise InputError where a job of ``workers`` slots never fits."""
        self.cluster.check(resources, workers)

    def run(self, plan: Plan, settings: RunSettings, done: Collection[str], listeners: Sequence[Listener]) -> None:
        """Train what ``plan`` hands out, as an Executor does."""
        slots = self.slots(settings.resources)
        board = Board()
        interrupt = Interrupt(self.grace, listeners)
        try:
            with interrupt.listening(self.grace + LEAVING_SECONDS), StudyMetrics(plan, done) as metrics:
                driver = Driver(plan, settings, slots, done, [*listeners, metrics], ray.__version__, self.stops)
                _run_tune(driver, Capacity(settings.resources, slots, driver.resize), board, interrupt)
        finally:
            with suppress(ray.exceptions.RayError):  # the cluster may be gone
                board.remove()
        if driver.bad_input is not None:
            raise InputError(driver.bad_input)
        interrupt.check()


def _run_tune(driver: Driver, capacity: Capacity, board: Board, interrupt: Interrupt) -> None:
    resources = driver.settings.resources
    slot = tune.PlacementGroupFactory([{"CPU": resources.cpus, **({"GPU": resources.gpus} if resources.gpus else {})}])
    no_slot = tune.PlacementGroupFactory([{"memory": 1.0}])  # Tune wants a trial to hold something
    stopper = RunStopper(driver)

    def held(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return slot if config["workers"] == 1 else no_slot

    with open_scratch() as scratch, recovering_from_memory_losses():
        tune.Tuner(
            # Ray's dashboard shows its name for the actors, which train one job after the other.
            wrap_function(tune.with_resources(_run_job, held), name=f"trials of {driver.plan.study}"),
            tune_config=tune.TuneConfig(
                search_alg=PlanSearcher(driver, board, interrupt),
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_job_name,
                trial_dirname_creator=_job_name,
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,
                verbose=0,
                callbacks=[TuneCallbacks(driver, capacity, board, interrupt, stopper)],
                stop=stopper,
                failure_config=tune.FailureConfig(max_failures=driver.settings.retries),
            ),
        ).fit()


def _run_job(config: dict[str, Any]) -> None:
    """Run a job, in a process that trains: the one that schedules does without PyTorch, seconds to import."""
    from mixup_study.cluster.worker import run_job

    run_job(config)


def _job_name(trial: TuneTrial) -> str:
    name: str = trial.config["job"]
    return name


class _Live:
    """Something that belongs to this run, and not to the state that Tune saves and nobody restores."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class PlanSearcher(_Live, Searcher):
    """Hands the plan's jobs to Tune as free slots can take them.

    Tune's configuration of a job is its name: Tune sends it along with every report, and the process asks the board
    for the rest.
    """

    def __init__(self, driver: Driver, board: Board, interrupt: Interrupt) -> None:
        """Take the jobs of ``driver``; after a signal, none."""
        super().__init__()
        self._driver = driver
        self._board = board
        self._interrupt = interrupt
        self._names: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next job, None to be asked again, or FINISHED."""
        if self._interrupt.requested:
            return Searcher.FINISHED
        job = self._driver.next_job()
        if job is None:
            return Searcher.FINISHED if self._driver.exhausted else None
        self._board.post(job.name, self._driver.assignment(job).model_dump_json())
        self._names[trial_id] = job.name
        plugins = list(self._driver.settings.plugins)
        return {"job": job.name, "workers": job.workers, "board": self._board.name, "plugins": plugins}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Give back the slots of a job that is over; one that failed is first recorded."""
        name = self._names.pop(trial_id)
        self._board.take_down(name)
        if not error:
            self._driver.end(name)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Save nothing: the results are the record."""


class RunStopper(_Live, tune.Stopper):
    """Ends everything when the run cannot go on, or when it shall not."""

    def __init__(self, driver: Driver) -> None:
        """End the run once ``driver`` has bad input."""
        self._driver = driver
        self.now = False
        """Set to end the run."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether to end a job, which is whether to end everything."""
        return self.stop_all()

    def stop_all(self) -> bool:
        """Return whether to end everything."""
        return self.now or self._driver.bad_input is not None


class TuneCallbacks(_Live, tune.Callback):
    """Translates what Tune reports into what the driver wants to know."""

    def __init__(
        self, driver: Driver, capacity: Capacity, board: Board, interrupt: Interrupt, stopper: RunStopper
    ) -> None:
        """Tell ``driver``, and end the run after a signal through ``board`` and ``stopper``."""
        self._driver = driver
        self._capacity = capacity
        self._board = board
        self._interrupt = interrupt
        self._stopper = stopper
        self._watch = Watch(driver.settings.resources, driver.report_waiting)
        self._saving: set[str] | None = None
        self._stopping: set[str] = set()
        self._deadline = 0.0

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """Watch whether the run goes on; after a signal, end it once the jobs that were training then have saved."""
        for name in self._driver.list_stopping():
            if name not in self._stopping:
                self._stopping.add(name)
                self._board.request_stop(name)
        if not self._interrupt.requested:
            self._capacity.check()
            self._watch.check(training=bool(self._driver.running))
            return
        if self._saving is None:
            self._board.request_stop()
            self._saving = set(self._driver.running)
            self._deadline = time.monotonic() + self._interrupt.grace
        self._saving.intersection_update(self._driver.running)
        self._stopper.now = not self._saving or time.monotonic() > self._deadline

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Report a job that a process trains from now on."""
        self._driver.start(_job_name(trial))

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        """Handle what a job tells."""
        for message in from_report(result):
            self._driver.handle(message)

    def on_trial_recover(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Report a job that starts again: where it took its node's memory, not before there is some."""
        failure = self._read_failure(trial)
        reason = failure.reason
        if is_memory_loss(failure.error):
            self._board.hold_back(_job_name(trial))
            reason += "; it waits until half of the node's memory is free, 10 minutes at most"
        self._driver.restart(_job_name(trial), reason)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Have a job recorded that raised, or lost its process, once too often."""
        self._driver.give_up(_job_name(trial), self._read_failure(trial))

    def _read_failure(self, trial: TuneTrial) -> JobFailure:
        return _read_failure(trial, LogFile(self._driver.settings.results, _job_name(trial)))


def _read_failure(trial: TuneTrial, log: LogFile) -> JobFailure:
    """Return what a job raised, with its traceback, or Ray's account of how it lost its process."""
    try:
        error = cloudpickle.loads(Path(trial.pickled_error_file or "").read_bytes())
    except Exception:  # what a job raises may not survive pickling
        text = trial.get_error()
        return JobFailure.from_exception(
            RuntimeError(str(text).strip().splitlines()[-1] if text else "its process died")
        )
    if not isinstance(error, ray.exceptions.RayTaskError):
        return JobFailure(error, describe_loss(error, log), str(error))
    cause = error.cause if isinstance(error.cause, Exception) else error
    return JobFailure(cause, describe_loss(cause, log), _COLOURS.sub("", str(error)))
