"""Ray Tune as the scheduler of jobs."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from typing import Any, Protocol

from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from mixup_study.cluster.job import MESSAGE, Job
from mixup_study.cluster.session import Cluster
from mixup_study.spec.errors import InputError


class Listener(Protocol):
    """Whoever wants to know how the trials are doing; called in the driver's process."""

    def started(self, trial_id: str) -> None:
        """Take note that a trial trains."""

    def progressed(self, trial_id: str, epoch: int, test_error: float) -> None:
        """Take note of an epoch, counted from 1, and its test error."""

    def finished(self, trial_id: str, train_seconds: float, test_error: float | None, error: str | None) -> None:
        """Take note of a trial's end; ``error`` says what it failed with, None where it is done."""


def run_jobs(jobs: Sequence[Job], cluster: Cluster, listener: Listener) -> None:
    """Run all jobs on the cluster, as many side by side as it has slots for, and tell ``listener``.

    Jobs of one worker share reused Tune actors. Jobs of several run after them; each holds the slots of its
    Train workers and its Tune actor none. Raises InputError where a job cannot run for want of data.
    """
    for workers, group in itertools.groupby(sorted(jobs, key=lambda job: job.workers), key=lambda job: job.workers):
        _run_alike(list(group), workers, cluster, listener)


def _run_alike(jobs: Sequence[Job], workers: int, cluster: Cluster, listener: Listener) -> None:
    from mixup_study.cluster.worker import run_job

    resources = jobs[0].resources
    # Tune wants a trial to hold something; of a group, the Train workers hold the slots.
    held = {"cpu": resources.cpus, "gpu": resources.gpus} if workers == 1 else {"memory": 1.0}
    watch = _Watch(listener)
    with tempfile.TemporaryDirectory(prefix="mixup_study-") as scratch:
        tune.Tuner(
            tune.with_resources(run_job, held),
            param_space={"job": tune.grid_search([job.model_dump_json() for job in jobs])},
            tune_config=tune.TuneConfig(
                reuse_actors=workers == 1,
                max_concurrent_trials=cluster.slots(resources) // workers,
                trial_name_creator=_name,
                trial_dirname_creator=_name,
            ),
            run_config=tune.RunConfig(storage_path=scratch, verbose=0, callbacks=[watch], stop=watch.stopper),
        ).fit()
    if watch.stopper.reason is not None:
        raise InputError(watch.stopper.reason)


def _name(trial: TuneTrial) -> str:
    return _job(trial).trials[0].trial_id


def _job(trial: TuneTrial) -> Job:
    return Job.model_validate_json(trial.config["job"])


class _Stopper(tune.Stopper):
    """Ends everything when a job reports that its input is not there."""

    reason: str | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self.reason = self.reason or result.get(MESSAGE, {}).get("input_error")
        return self.reason is not None

    def stop_all(self) -> bool:
        return self.reason is not None


class _Watch(tune.Callback):
    """Translates Tune's callbacks into what a Listener wants to know."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._finished: set[str] = set()
        self.stopper = _Stopper()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the listener, a live display, out of the experiment state that Tune saves and nobody restores."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._listener.started(_name(trial))

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        told = result.get(MESSAGE, {})
        if "status" in told:
            self._finished.add(told["trial_id"])
            self._listener.finished(told["trial_id"], told["train_seconds"], told["test_error"], told["error"])
        elif "epoch" in told:
            self._listener.progressed(told["trial_id"], told["epoch"], told["test_error"])

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Report a job whose process died, or could not record what it had, before its trials were finished."""
        for lost in _job(trial).trials:
            if lost.trial_id not in self._finished:
                error = trial.get_error()
                text = " ".join(str(error).split())[:500] if error else "its process died"
                self._listener.finished(lost.trial_id, 0.0, None, text)
