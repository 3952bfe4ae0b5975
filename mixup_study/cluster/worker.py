"""What runs in Ray's processes: a job's trials, trained and recorded."""

from __future__ import annotations

import platform
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import ray
import torch
from ray import train as ray_train
from ray import tune
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from mixup_study.cluster.job import MESSAGE, Job
from mixup_study.results.record import TrialRecord
from mixup_study.results.store import ResultStore
from mixup_study.spec.errors import InputError
from mixup_study.spec.trial import Trial
from mixup_study.training.loop import train
from mixup_study.training.parallel import Worker

Report = Callable[[dict[str, Any]], None]

REPORT_SECONDS = 0.5
"""A trial trained in the Tune actor tells its progress this often at most."""


def run_job(config: dict[str, Any]) -> None:
    """Train and record every trial of the job; this is Tune's function trainable.

    An exception of one trial is recorded as that trial's failure and ends only it. InputError ends the job
    and is reported as such, for the study cannot go on.
    """
    job = Job.model_validate_json(config["job"])
    for trial in job.trials:
        started_at = datetime.now(UTC)
        started = time.perf_counter()
        try:
            if job.workers == 1:
                _train_here(job, trial)
            else:
                _train_in_group(job, trial)
        except Exception as error:
            cause = _cause(error)
            if isinstance(cause, InputError):
                _tell(tune.report)({"input_error": str(cause)})
                return
            record = TrialRecord(
                trial,
                "failed",
                _made(job, started_at),
                train_seconds=time.perf_counter() - started,
                error=f"{type(cause).__name__}: {cause}",
                traceback=traceback.format_exc(),
            )
            ResultStore(job.results).write(record)
            _tell(tune.report)(_finished(record))


def _train_here(job: Job, trial: Trial) -> None:
    """Train in this process, through Train's local mode: a worker group would take seconds to start."""
    TorchTrainer(
        lambda: _train_and_record(job, trial, _throttled(_tell(tune.report))),
        scaling_config=ScalingConfig(num_workers=0),
    ).fit()


def _train_in_group(job: Job, trial: Trial) -> None:
    """Train in a group of Train workers, which report through this Tune trial."""
    resources = {"CPU": job.resources.cpus, **({"GPU": job.resources.gpus} if job.resources.gpus else {})}
    with tempfile.TemporaryDirectory(prefix="mixup_study-") as scratch:
        TorchTrainer(
            _train_in_worker,
            train_loop_config={"job": job.model_dump_json(), "trial": trial.model_dump_json()},
            scaling_config=ScalingConfig(
                num_workers=job.workers, use_gpu=job.resources.gpus > 0, resources_per_worker=resources
            ),
            run_config=ray_train.RunConfig(
                name=trial.trial_id,
                storage_path=scratch,
                callbacks=[TuneReportCallback()],  # type: ignore[list-item]  # Ray's RunConfig is typed for its older callbacks
            ),
        ).fit()


def _train_in_worker(config: dict[str, Any]) -> None:
    """Train as one worker of a group; every worker reports every epoch, for reports wait for each other."""
    job = Job.model_validate_json(config["job"])
    _train_and_record(job, Trial.model_validate_json(config["trial"]), _tell(ray_train.report))


def _train_and_record(job: Job, trial: Trial, report: Report) -> None:
    """Train ``trial``; worker 0 records it."""
    started_at = datetime.now(UTC)

    def report_epoch(row: dict[str, Any]) -> None:
        report({"trial_id": trial.trial_id, "epoch": row["epoch"], "test_error": row["test_error"]})

    measured = train(trial, job.data, gpu=job.resources.gpus > 0, report=report_epoch)
    record = TrialRecord(
        trial,
        "done",
        _made(job, started_at),
        train_seconds=measured.seconds,
        measurements=measured.measurements,
        epochs=measured.epochs,
    )
    if Worker.current().rank == 0:
        ResultStore(job.results).write(record)
    report(_finished(record))


def _finished(record: TrialRecord) -> dict[str, Any]:
    return {
        "trial_id": record.trial.trial_id,
        "status": record.status,
        "train_seconds": record.train_seconds,
        "error": record.error,
        "test_error": record.measurements.get("test_error_last"),
    }


def _tell(report: Report) -> Report:
    """Return ``report`` under a key of our own: Tune writes its own trial_id and more into every result."""
    return lambda message: report({MESSAGE: message})


def _throttled(report: Report) -> Report:
    """Return ``report`` that passes a progress message only when the last is old enough, and the final one always."""
    last = time.monotonic()

    def throttled(message: dict[str, Any]) -> None:
        nonlocal last
        now = time.monotonic()
        if "status" in message or now - last >= REPORT_SECONDS:
            last = now
            report(message)

    return throttled


def _cause(error: Exception) -> BaseException:
    """Return what went wrong in the training function, without the wrapping that Ray Train puts around it."""
    failures = getattr(error, "worker_failures", None)
    cause: BaseException = next(iter(failures.values())) if failures else error
    while isinstance(cause, ray.exceptions.RayTaskError) and isinstance(cause.cause, BaseException):
        cause = cause.cause
    inner = getattr(cause, "_base_exc", None)
    return inner if isinstance(inner, BaseException) else cause


def _made(job: Job, started_at: datetime) -> dict[str, Any]:
    gpu = job.resources.gpus > 0 and torch.cuda.is_available()
    return {
        "started_at": started_at,
        "device": torch.cuda.get_device_name() if gpu else f"cpu ({platform.machine()})",
        "code_version": job.code_version,
        "python_version": platform.python_version(),
        "torch_version": torch.__version__,
        "ray_version": ray.__version__,
    }
