"""What runs in Ray's processes: a job's trials, trained and recorded."""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import ray
import torch
from ray import train as ray_train
from ray import tune
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer, get_device
from ray.tune.integration.ray_train import TuneReportCallback

from mixup_study.catalogue.metrics import HEADLINE, headline_metric
from mixup_study.cluster import outcome
from mixup_study.cluster.interrupt import StopRequests
from mixup_study.cluster.job import MESSAGE, Job
from mixup_study.cluster.metrics import TrialMetrics
from mixup_study.cluster.output import Output, kept
from mixup_study.errors import InputError
from mixup_study.store.checkpoints import CheckpointFile
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.study.trial import Trial
from mixup_study.training.checkpoint import Checkpointing, Stopped
from mixup_study.training.loop import Report, train
from mixup_study.training.parallel import Worker
from mixup_study.training.task import TrainingDiverged

Tell = Callable[[dict[str, Any]], None]

REPORT_SECONDS = 0.5
"""A trial trained in the Tune actor tells its progress this often at most."""
GROUP_REPORT_SECONDS = 3.0
"""A group of workers does so: Train takes up a report every two seconds, and lets the next one wait until then."""

FINAL = (TrainingDiverged, ValueError)
"""What a trial raises because of what it is: it would again, so it is recorded at once."""


def run_job(config: dict[str, Any]) -> None:
    """Train and record the trials of the job; this is Tune's function trainable.

    A trial that fails because of what it is gets recorded so and ends only itself. InputError ends the job
    and is reported as such, for the study cannot go on; so does a record that cannot be written. Any other
    exception is left to Tune, which starts the job again; trials that are done by then are left out, and
    those that finished elsewhere meanwhile.
    """
    job = Job.model_validate_json(config["job"])
    try:
        if StopRequests(job.stop_flag)():
            raise Stopped("before its first epoch")
        found = outcome.recorded(job.results, job.trials)  # by a process that died, or by another command
        for trial_id, headline in found.items():
            _tell(tune.report)(_end(trial_id, "done", headline))
        left = tuple(trial for trial in job.trials if trial.trial_id not in found)
        if left and job.workers == 1:
            _train_here(job.model_copy(update={"trials": left}), job.name)
        elif left:
            _train_in_group(job)
        _remove_checkpoint(job)  # that of the whole pack, where only a part of it was left
    except InputError as error:
        _tell(tune.report)({"input_error": str(error)})
    except Stopped as stopped:
        _tell(tune.report)({"stopped": str(stopped)})


def _train_here(job: Job, log: str) -> None:
    """Train in this process, through Train's local mode: a worker group would take seconds to start."""
    device = torch.device("cuda", 0) if job.resources.gpus else torch.device("cpu")
    _check_usable(device)
    tell = _throttled(_titled(_tell(tune.report), job), REPORT_SECONDS)

    def train_and_record() -> None:
        with kept(job.results, log, job.title) as output, _told():
            for record in _records(job, device, tell, output):
                _keep(job, record, tell)
            _remove_checkpoint(job)

    TorchTrainer(train_and_record, scaling_config=ScalingConfig(num_workers=0)).fit()


def _records(job: Job, device: torch.device, tell: Tell, output: Output) -> list[TrialRecord]:
    """Train the trials in this process and return their records; raise InputError where data are not to be had."""
    made = outcome.made(job, datetime.now(UTC), device)
    try:
        with TrialMetrics(job) as shown:
            checkpointing = _checkpointing(
                job, lambda line: tell({"trial_id": job.trials[0].trial_id, "warnings": [line]}), shown, output
            )
            ended = train(job.trials, job.data, device, _epochs_to(job, tell, shown), checkpointing)
    except InputError:
        raise
    except ValueError as error:
        return [outcome.failed(trial, made, error) for trial in job.trials]
    return [
        outcome.failed(trial, made, one) if isinstance(one, Exception) else outcome.done(trial, made, one)
        for trial, one in zip(job.trials, ended, strict=True)
    ]


def _train_in_group(job: Job) -> None:
    """Train in a group of Train workers, which report through this Tune trial."""
    resources = {"CPU": job.resources.cpus, **({"GPU": job.resources.gpus} if job.resources.gpus else {})}
    started_at = datetime.now(UTC)
    (trial,) = job.trials
    with tempfile.TemporaryDirectory(prefix="mixup_study-") as scratch:
        trainer = TorchTrainer(
            _train_in_worker,
            train_loop_config={"job": job.model_dump_json()},
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
            _remove_checkpoint(job)


def _train_in_worker(config: dict[str, Any]) -> None:
    """Train as one worker of a group, the first of which records the trial and saves its checkpoints.

    Every worker reports the same epochs, for Train's reports wait for each other; the first decides which. An
    exception is left to Train, which ends the whole group.
    """
    job = Job.model_validate_json(config["job"])
    (trial,) = job.trials
    worker = Worker.current()
    rank = worker.rank
    log = f"{job.name}.rank{rank}" if rank else job.name
    warnings: list[str] = []
    with kept(job.results, log, f"{job.title}, worker {rank} of {job.workers}") as output, _told():
        device = get_device()
        tell = _throttled(
            _with_warnings(_tell(ray_train.report), warnings),
            GROUP_REPORT_SECONDS,
            lambda due: worker.first_says(due, device),
        )
        _check_usable(device)
        started_at = datetime.now(UTC)
        with TrialMetrics(job) as shown:
            checkpointing = _checkpointing(job, warnings.append, shown, output)
            (ended,) = train(job.trials, job.data, device, _epochs_to(job, tell, shown), checkpointing)
        if isinstance(ended, TrainingDiverged):
            raise ended
        _keep(job, outcome.done(trial, outcome.made(job, started_at, device), ended), tell)
        _remove_checkpoint(job)


@contextmanager
def _told() -> Iterator[None]:
    """Print the traceback of what a trial raises, which Ray brings to the driver alone, into its log as well."""
    try:
        yield
    except (Stopped, InputError):
        raise
    except Exception:
        traceback.print_exc()
        raise


def _checkpointing(job: Job, warn: Callable[[str], None], shown: TrialMetrics, output: Output) -> Checkpointing:
    def warned(line: str) -> None:
        print(line, file=sys.stderr)
        warn(line)

    def saved(seconds: float, size: int) -> None:
        shown.checkpoint(seconds, size)
        output.save()

    return Checkpointing(
        CheckpointFile(job.results, job.name),
        job.checkpoint_seconds,
        StopRequests(job.stop_flag),
        warned,
        saved,
    )


def _check_usable(device: torch.device) -> None:
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "Ray counts GPUs here that PyTorch cannot use; --set resources.gpus=0 trains on CPUs, or install a driver"
            " and a PyTorch built for it"
        )


def _keep(job: Job, record: TrialRecord, tell: Tell) -> None:
    """Record a trial, in the first worker alone, and tell its end; what it failed with is printed as well."""
    if record.traceback is not None:
        print(f"trial {record.trial.trial_id}: {record.traceback}", file=sys.stderr)
    if Worker.current().rank == 0:
        ResultStore(job.results).write(record)
    tell(_finished(record))


def _remove_checkpoint(job: Job) -> None:
    """Remove what nobody will go on from."""
    if Worker.current().rank == 0:
        CheckpointFile(job.results, job.name).remove()


def _epochs_to(job: Job, tell: Tell, shown: TrialMetrics) -> Report:
    """Return what tells the epoch of a trial, and how it is doing, and shows both in the first worker."""
    ids = {id(trial): trial.trial_id for trial in job.trials}  # a digest each, and a pack's epochs may be short
    first = Worker.current().rank == 0

    def report(trial: Trial, row: Mapping[str, Any], examples: int) -> None:
        trial_id = ids[id(trial)]
        if first:
            shown.epoch(trial_id, row, examples)
        tell({"trial_id": trial_id, "epoch": row["epoch"], "headline": row[HEADLINE[trial.task]]})

    return report


def _finished(record: TrialRecord) -> dict[str, Any]:
    headline = record.measurements.get(headline_metric(record.trial.task))
    seconds = record.train_seconds - record.resumed_seconds
    return _end(record.trial.trial_id, record.status, headline, seconds, record.error)


def _end(
    trial_id: str, status: str, headline: float | None, train_seconds: float = 0.0, error: str | None = None
) -> dict[str, Any]:
    """Return what is told of a trial's end; ``train_seconds`` are those of this process."""
    return {
        "trial_id": trial_id,
        "status": status,
        "headline": headline,
        "train_seconds": train_seconds,
        "error": error,
    }


def _tell(report: Callable[[dict[str, Any]], None]) -> Tell:
    """Return ``report`` under a key of our own: Tune writes its own trial_id and more into every result."""
    return lambda message: report({MESSAGE: message})


def _with_warnings(tell: Tell, warnings: list[str]) -> Tell:
    """Return ``tell`` that takes along what ``warnings`` hold by then.

    A report of the one worker that has something to tell would wait for the others for ever.
    """

    def told(message: dict[str, Any]) -> None:
        lines = warnings.copy()
        warnings.clear()
        tell({**message, "warnings": lines})

    return told


def _titled(tell: Tell, job: Job) -> Tell:
    """Return ``tell`` that leaves the process named after its job, on Ray's dashboard and in ``ps``.

    Ray names the process after every call of its actor, and a report ends the one and begins the next.
    """
    title = f"ray::ImplicitFunc.train {job.title}"
    name_process = ray._raylet.setproctitle  # type: ignore[attr-defined]  # what Ray itself names its processes with

    def titled(message: dict[str, Any]) -> None:
        tell(message)
        name_process(title)

    name_process(title)
    return titled


def _throttled(tell: Tell, seconds: float, agreed: Callable[[bool], bool] = bool) -> Tell:
    """Return ``tell`` that passes on progress only when the last is ``seconds`` old, and anything else always.

    ``agreed`` returns for each worker's opinion whether that is so what all of its group go by.
    """
    last = time.monotonic()

    def throttled(message: dict[str, Any]) -> None:
        nonlocal last
        now = time.monotonic()
        if "epoch" not in message or agreed(now - last >= seconds):
            last = now
            tell(message)

    return throttled


def _cause(error: ray_train.TrainingFailedError) -> Exception:
    """Return what a worker's training function raised, where it was that which failed.

    Of several, bad input comes first and RuntimeError last: a worker that lost its peers raises that.
    """
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    ranked = sorted(failures.values(), key=lambda one: (not isinstance(one, InputError), isinstance(one, RuntimeError)))
    return next(iter(ranked), error)
