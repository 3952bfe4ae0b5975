"""Ray Tune as the scheduler of jobs."""

from __future__ import annotations

import itertools
import re
import tempfile
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import ray
from ray import cloudpickle, tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.trainable import wrap_function

from mixup_study.cluster.interrupt import GRACE_SECONDS, Interrupt, StopFlag
from mixup_study.cluster.job import MESSAGE, Job
from mixup_study.cluster.outcome import failed, made, one_line, recorded
from mixup_study.cluster.session import Cluster
from mixup_study.errors import InputError
from mixup_study.store.store import ResultStore

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Listener(Protocol):
    """Whoever wants to know how the trials are doing; called in the driver's process."""

    def started(self, trial_id: str) -> None:
        """Take note that a trial trains."""

    def progressed(self, trial_id: str, epoch: int, headline: float | None) -> None:
        """Take note of an epoch, counted from 1, and of the column that tells how the trial is doing (HEADLINE).

        Of a pack, one trial at a time tells how it is doing; of the others the epoch is known.
        """

    def restarted(self, trial_ids: Sequence[str], reason: str) -> None:
        """Take note that the trials of a job wait to start again, and of what ended their process."""

    def warned(self, trial_id: str, line: str) -> None:
        """Take note of something about a trial that is no failure."""

    def finished(self, trial_id: str, train_seconds: float, headline: float | None, error: str | None) -> None:
        """Take note of a trial's end; ``error`` says what it failed with, None where it is done.

        ``train_seconds`` are those of the process that ended it, 0 where it was found recorded already.
        """


def run_jobs(jobs: Sequence[Job], cluster: Cluster, retries: int, listeners: Sequence[Listener]) -> None:
    """Run all jobs on the cluster, as many side by side as it has slots for, and tell ``listeners``.

    Jobs of one worker share reused Tune actors. Jobs of several run after them; each holds the slots of its
    Train workers and its Tune actor none. A job that raises, or loses a process, starts again up to
    ``retries`` times in fresh processes, from its checkpoint, and is recorded as failed after that.

    Raises InputError where a job cannot run for want of data or of space for its record, and
    KeyboardInterrupt after Ctrl-C: on the first once the trials under way have saved their checkpoints, or
    GRACE_SECONDS later; on the second at once.
    """
    flag = f"mixup_study-stop-{uuid.uuid4().hex}"
    holder = StopFlag.options(name=flag).remote()  # type: ignore[attr-defined]  # added by ray.remote
    jobs = [job.model_copy(update={"stop_flag": flag}) for job in jobs]
    interrupt = Interrupt()
    try:
        with interrupt.listening():
            for workers, group in itertools.groupby(sorted(jobs, key=_workers), key=_workers):
                _run_alike(list(group), workers, cluster, retries, _Watch(listeners, interrupt, holder))
                if interrupt.requested:
                    raise KeyboardInterrupt
    finally:
        ray.kill(holder)


def _workers(job: Job) -> int:
    return job.workers


def _run_alike(jobs: Sequence[Job], workers: int, cluster: Cluster, retries: int, watch: _Watch) -> None:
    resources = jobs[0].resources
    # Tune wants a trial to hold something; of a group, the Train workers hold the slots.
    held = {"cpu": resources.cpus, "gpu": resources.gpus} if workers == 1 else {"memory": 1.0}
    with tempfile.TemporaryDirectory(prefix="mixup_study-") as scratch:
        tune.Tuner(
            # Ray's dashboard shows its name for the actors, which train one job after the other.
            wrap_function(tune.with_resources(_run_job, held), name=f"trials of {jobs[0].study}"),
            param_space={"job": tune.grid_search([job.model_dump_json() for job in jobs])},
            tune_config=tune.TuneConfig(
                reuse_actors=workers == 1,
                max_concurrent_trials=cluster.slots(resources) // workers,
                trial_name_creator=_name,
                trial_dirname_creator=_name,
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,
                verbose=0,
                callbacks=[watch],
                stop=watch.stopper,
                failure_config=tune.FailureConfig(max_failures=retries),
            ),
        ).fit()
    if watch.stopper.bad_input is not None:
        raise InputError(watch.stopper.bad_input)


def _run_job(config: dict[str, Any]) -> None:
    """Run a job, in a process that trains: the one that schedules does without PyTorch, seconds to import."""
    from mixup_study.cluster.worker import run_job

    run_job(config)


def _name(trial: TuneTrial) -> str:
    return _job(trial).name


def _job(trial: TuneTrial) -> Job:
    return Job.model_validate_json(trial.config["job"])


class _Stopper(tune.Stopper):
    """Ends everything when a job reports that its input is not there, or when it is told to."""

    bad_input: str | None = None
    now = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self.bad_input = self.bad_input or result.get(MESSAGE, {}).get("input_error")
        return self.stop_all()

    def stop_all(self) -> bool:
        return self.now or self.bad_input is not None


class _Watch(tune.Callback):
    """Translates Tune's callbacks into what Listeners want to know, and records what Tune gives up."""

    def __init__(self, listeners: Sequence[Listener], interrupt: Interrupt, flag: Any) -> None:
        self._listeners = listeners
        self._interrupt = interrupt
        self._flag = flag
        self._finished: set[str] = set()
        self._running: dict[str, datetime] = {}
        self._saving: set[str] | None = None
        self._deadline = 0.0
        self.stopper = _Stopper()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the listeners, which are live, out of the experiment state that Tune saves and nobody restores."""
        return {}

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """After Ctrl-C, end the run once the trials that were training then have saved."""
        if not self._interrupt.requested:
            return
        if self._saving is None:
            self._flag.set.remote()
            self._saving = set(self._running)
            self._deadline = time.monotonic() + GRACE_SECONDS
        self._saving &= self._running.keys()
        self.stopper.now = not self._saving or time.monotonic() > self._deadline

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        job = _job(trial)
        self._running[job.name] = datetime.now(UTC)
        for listener in self._listeners:
            for trial_id in self._unfinished(job):
                listener.started(trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        told = result.get(MESSAGE, {})
        for line in told.get("warnings", ()):
            for listener in self._listeners:
                listener.warned(told["trial_id"], line)
        if "status" in told and told["trial_id"] not in self._finished:  # a pack that starts again fails some again
            self._finished.add(told["trial_id"])
            self._tell_end(told["trial_id"], told["train_seconds"], told["headline"], told["error"])
        elif "epoch" in told:
            for trial_id in self._unfinished(_job(trial)):  # of a pack, one tells for all
                headline = told["headline"] if trial_id == told["trial_id"] else None
                for listener in self._listeners:
                    listener.progressed(trial_id, told["epoch"], headline)

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._running.pop(_name(trial), None)

    def on_trial_recover(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Report a job that starts again."""
        job = _job(trial)
        self._running.pop(job.name, None)
        reason = one_line(_error_of(trial)[0])
        for listener in self._listeners:
            listener.restarted(self._unfinished(job), reason)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Record the unfinished trials of a job that raised, or lost its process, once too often."""
        started_at = self._running.pop(_name(trial), datetime.now(UTC))
        job = _job(trial)
        error, told = _error_of(trial)
        try:
            found = recorded(job.results, job.trials)  # perhaps not told any more
            for lost in job.trials:
                if lost.trial_id in self._finished:
                    continue
                self._finished.add(lost.trial_id)
                if lost.trial_id in found:
                    self._tell_end(lost.trial_id, 0.0, found[lost.trial_id], None)
                    continue
                record = failed(lost, made(job, started_at, None), error, told)
                ResultStore(job.results).write(record)
                self._tell_end(lost.trial_id, record.train_seconds, None, record.error)
        except InputError as unusable:
            self.stopper.bad_input = str(unusable)

    def _unfinished(self, job: Job) -> list[str]:
        return [trial.trial_id for trial in job.trials if trial.trial_id not in self._finished]

    def _tell_end(self, trial_id: str, train_seconds: float, headline: float | None, error: str | None) -> None:
        for listener in self._listeners:
            listener.finished(trial_id, train_seconds, headline, error)


def _error_of(trial: TuneTrial) -> tuple[Exception, str | None]:
    """Return what a job raised, with its traceback, or Ray's account of how it lost its process."""
    try:
        error = cloudpickle.loads(Path(trial.pickled_error_file or "").read_bytes())
    except Exception:  # what a job raises may not survive pickling
        text = trial.get_error()
        return RuntimeError(str(text).strip().splitlines()[-1] if text else "its process died"), None
    if not isinstance(error, ray.exceptions.RayTaskError):
        return error, str(error)
    told = _COLOURS.sub("", str(error))
    return (error.cause if isinstance(error.cause, Exception) else error), told
