"""What runs in Ray's processes: a job's trials, trained and recorded."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import torch
from ray import train as ray_train
from ray import tune
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer, get_device
from ray.tune.integration.ray_train import TuneReportCallback

from mixup_study.cluster import outcome
from mixup_study.cluster.interrupt import StopRequests
from mixup_study.cluster.job import MESSAGE, Job
from mixup_study.results.checkpoints import CheckpointFile
from mixup_study.results.record import TrialRecord
from mixup_study.results.store import ResultStore
from mixup_study.spec.errors import InputError
from mixup_study.spec.trial import Trial
from mixup_study.training.checkpoint import Checkpointing, Stopped
from mixup_study.training.loop import TrainingDiverged, train
from mixup_study.training.parallel import Worker

Report = Callable[[dict[str, Any]], None]

REPORT_SECONDS = 0.5
"""A trial trained in the Tune actor tells its progress this often at most."""

FINAL = (TrainingDiverged, ValueError)
"""What a trial raises because of what it is: it would again, so it is recorded at once."""


def run_job(config: dict[str, Any]) -> None:
    """Train and record every trial of the job; this is Tune's function trainable.

    A trial that fails because of what it is gets recorded so and ends only itself. InputError ends the job
    and is reported as such, for the study cannot go on; so does a record that cannot be written. Any other
    exception is left to Tune, which starts the job again; trials that are done by then are left out, and
    those that finished elsewhere meanwhile.
    """
    job = Job.model_validate_json(config["job"])
    train_trial = _train_here if job.workers == 1 else _train_in_group
    stop_requested = StopRequests(job.stop_flag)
    for trial in job.trials:
        try:
            if stop_requested():
                raise Stopped("before its first epoch")
            if not ResultStore(job.results).is_done(trial.trial_id):
                train_trial(job, trial)
        except InputError as error:
            _tell(tune.report)({"input_error": str(error)})
            return
        except Stopped as stopped:
            _tell(tune.report)({"stopped": str(stopped)})
            return


def _train_here(job: Job, trial: Trial) -> None:
    """Train in this process, through Train's local mode: a worker group would take seconds to start."""
    device = torch.device("cuda", 0) if job.resources.gpus else torch.device("cpu")
    _check_usable(device)
    report = _throttled(_tell(tune.report))

    def train_and_record() -> None:
        started_at = datetime.now(UTC)
        try:
            measured = train(trial, job.data, device, _epochs_to(report, trial), _checkpointing(job, trial, report))
        except InputError:
            raise
        except FINAL as error:
            _keep(job, outcome.failed(trial, outcome.made(job, started_at, device), error), report)
        else:
            _keep(job, outcome.done(trial, outcome.made(job, started_at, device), measured), report)

    TorchTrainer(train_and_record, scaling_config=ScalingConfig(num_workers=0)).fit()


def _train_in_group(job: Job, trial: Trial) -> None:
    """Train in a group of Train workers, which report through this Tune trial."""
    resources = {"CPU": job.resources.cpus, **({"GPU": job.resources.gpus} if job.resources.gpus else {})}
    started_at = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="mixup_study-") as scratch:
        trainer = TorchTrainer(
            _train_in_worker,
            train_loop_config={"job": job.model_dump_json(), "trial": trial.model_dump_json()},
            scaling_config=ScalingConfig(
                num_workers=job.workers, use_gpu=job.resources.gpus > 0, resources_per_worker=resources
            ),
            run_config=ray_train.RunConfig(
                name=trial.trial_id,
                storage_path=scratch,
                callbacks=[TuneReportCallback()],  # type: ignore[list-item]  # typed for Ray's older callbacks
            ),
        )
        try:
            trainer.fit()
        except ray_train.TrainingFailedError as error:
            cause = _cause(error)
            if not isinstance(cause, FINAL) or isinstance(cause, InputError):
                raise cause from error
            _keep(job, outcome.failed(trial, outcome.made(job, started_at, None), cause), _tell(tune.report))


def _train_in_worker(config: dict[str, Any]) -> None:
    """Train as one worker of a group, the first of which records the trial and saves its checkpoints.

    Every worker reports every epoch, for Train's reports wait for each other. An exception is left to Train,
    which ends the whole group.
    """
    job = Job.model_validate_json(config["job"])
    trial = Trial.model_validate_json(config["trial"])
    report = _tell(ray_train.report)
    device = get_device()
    _check_usable(device)
    started_at = datetime.now(UTC)
    measured = train(trial, job.data, device, _epochs_to(report, trial), _checkpointing(job, trial, report))
    _keep(job, outcome.done(trial, outcome.made(job, started_at, device), measured), report)


def _checkpointing(job: Job, trial: Trial, report: Report) -> Checkpointing:
    return Checkpointing(
        CheckpointFile(job.results, trial.trial_id),
        job.checkpoint_seconds,
        StopRequests(job.stop_flag),
        lambda line: report({"trial_id": trial.trial_id, "warning": line}),
    )


def _check_usable(device: torch.device) -> None:
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "Ray counts GPUs here that PyTorch cannot use; --set resources.gpus=0 trains on CPUs, or install a driver"
            " and a PyTorch built for it"
        )


def _keep(job: Job, record: TrialRecord, report: Report) -> None:
    """Record a trial, in the first worker alone, and tell its end; its checkpoint is no longer needed."""
    if Worker.current().rank == 0:
        ResultStore(job.results).write(record)
        CheckpointFile(job.results, record.trial.trial_id).remove()
    report(_finished(record))


def _epochs_to(report: Report, trial: Trial) -> Report:
    """Return what hands the row of an epoch to ``report``."""
    return lambda row: report({"trial_id": trial.trial_id, "epoch": row["epoch"], "test_error": row["test_error"]})


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
    """Return ``report`` that passes on progress only when the last is old enough, and anything else always."""
    last = time.monotonic()

    def throttled(message: dict[str, Any]) -> None:
        nonlocal last
        now = time.monotonic()
        if "epoch" not in message or now - last >= REPORT_SECONDS:
            last = now
            report(message)

    return throttled


def _cause(error: ray_train.TrainingFailedError) -> Exception:
    """Return what a worker's training function raised, where it was that which failed.

    Of several, bad input comes first and RuntimeError last: a worker that lost its peers raises that.
    """
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    ranked = sorted(failures.values(), key=lambda one: (not isinstance(one, InputError), isinstance(one, RuntimeError)))
    return next(iter(ranked), error)
