"""What a process does with an assignment: train its trials, record them, save and remove checkpoints, keep a log.

It knows nothing of Ray, so that a job does the same in Ray's processes and in the command's own.
"""

from __future__ import annotations

import math
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from mixup_study.cluster.assignment import Assignment
from mixup_study.cluster.messages import EpochEnded, InputUnusable, Interrupted, Send, TimeUp, TrialEnded, TrialWarning
from mixup_study.cluster.output import Output
from mixup_study.cluster.records import (
    build_failure_record,
    build_provenance,
    build_record,
    build_stopped_record,
    describe_change,
    find_headlines,
)
from mixup_study.errors import InputError
from mixup_study.store.checkpoints import CheckpointFile, remove_checkpoints
from mixup_study.store.envelope import FileUnusable
from mixup_study.store.models import ModelFile, short_digest
from mixup_study.store.record import Provenance, TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.study.trial import Trial
from mixup_study.training.checkpoint import Checkpointing, Stopped
from mixup_study.training.loop import Report, SaveModel, train
from mixup_study.training.model_file import pack_model, unpack_model
from mixup_study.training.parallel import Worker
from mixup_study.training.task import StoppedTrial, TrainingDiverged, TrialResult


class Monitor(Protocol):
    """Whoever watches the trials that this process trains, as long as the block lasts."""

    def __enter__(self) -> Self:
        """Begin to watch."""

    def __exit__(self, *error: Any) -> None:
        """Cease to watch."""

    def note_epoch(self, trial_id: str, row: Mapping[str, Any], examples: int) -> None:
        """Take note of a trial's last epoch, and of the training examples that it saw."""

    def note_checkpoint(self, seconds: float, size: int) -> None:
        """Take note of what a checkpoint of all trials took, in seconds and bytes."""


@dataclass(frozen=True)
class Host:
    """What the process that trains offers an assignment."""

    device: torch.device
    send: Send
    stop_requested: Callable[[], bool]
    """Asked at the end of every epoch, and in the pauses of long ones."""
    keep_output: Callable[[str, str, str], AbstractContextManager[Output]]
    """Given a results location, a log's name and a title; keeps what the block prints."""
    monitor: Callable[[Assignment], Monitor]
    ray_version: str | None = None
    """None in a process that Ray did not start."""


def run_assignment(
    assignment: Assignment, send: Send, stop_requested: Callable[[], bool], train_left: Callable[[Assignment], None]
) -> None:
    """Have the trials trained and recorded by ``train_left``, but for those that are recorded by now.

    Those were recorded by a process that died, or by another command. InputError ends the job and is reported as
    such, for the run cannot go on; so does a record that cannot be written. Any other exception is left to the
    caller, which starts the job again.
    """
    settings = assignment.settings
    begun = time.monotonic()
    try:
        assignment.check_components()
        if stop_requested():
            raise Stopped("before its first epoch")
        headlines = find_headlines(settings.results, assignment.trials, assignment.keep_models)
        for trial_id, headline in headlines.items():
            send(TrialEnded(trial_id, "done", headline))
        remove_checkpoints(settings.results, headlines)
        if len(headlines) < len(assignment.trials):
            train_left(assignment.without(headlines))
    except InputError as error:
        send(InputUnusable(str(error)))
    except Stopped:
        seconds = time.monotonic() - begun
        is_up = settings.trial_time_limit is not None and seconds > settings.trial_time_limit
        send(TimeUp(list(assignment.trials), seconds) if is_up and not stop_requested() else Interrupted())


def train_here(assignment: Assignment, host: Host) -> None:
    """Train and record the trials in this process; one that fails because of what it is ends only itself.

    Raises InputError where data are not to be had or records not to be written, Stopped on request, and whatever
    else training raises.
    """
    results = assignment.settings.results
    assignment.check_files()
    with host.keep_output(results, assignment.log, assignment.title) as output, print_traceback():
        records = _train(assignment, host, output)
        for record in records:
            save_record(assignment, record, host.send, host.send)
        remove_checkpoints(results, [record.trial.trial_id for record in records if record.status != "stopped"])


def _train(assignment: Assignment, host: Host, output: Output) -> list[TrialRecord]:
    provenance = build_provenance(assignment, datetime.now(UTC), host.device, host.ray_version)
    trials = list(assignment.trials.values())
    models = ModelLoader(assignment)
    first_id = next(iter(assignment.trials))
    try:
        with host.monitor(assignment) as monitor:
            checkpointing = build_checkpointing(
                assignment, host.stop_requested, lambda line: host.send(TrialWarning(first_id, line)), monitor, output
            )
            report = build_report(assignment, host.send, monitor)
            results = train(
                trials,
                assignment.settings.data,
                host.device,
                report,
                checkpointing,
                build_model_saver(assignment),
                models.load,
                recompute=assignment.settings.resources.recompute,
                loaders=assignment.settings.resources.loaders,
                until=assignment.until,
            )
    except InputError:
        raise
    except ValueError as error:
        return [build_failure_record(trial, provenance, error) for trial in trials]
    return [
        describe_result(trial, provenance, result, models.digests)
        for trial, result in zip(trials, results, strict=True)
    ]


def describe_result(
    trial: Trial,
    provenance: Provenance,
    result: TrialResult | StoppedTrial | TrainingDiverged,
    model_digests: Mapping[str, str],
) -> TrialRecord:
    """Return the record of what training a trial came to."""
    if isinstance(result, TrainingDiverged):
        return build_failure_record(trial, provenance, result)
    if isinstance(result, StoppedTrial):
        return build_stopped_record(trial, provenance, result)
    return build_record(trial, provenance, result, model_digests)


@contextmanager
def print_traceback() -> Iterator[None]:
    """Print the traceback of what a trial raises into its log, beside what the command tells of it."""
    try:
        yield
    except (Stopped, InputError):
        raise
    except Exception:
        traceback.print_exc()
        raise


def build_checkpointing(
    assignment: Assignment,
    stop_requested: Callable[[], bool],
    warn: Callable[[str], None],
    monitor: Monitor,
    output: Output,
) -> Checkpointing:
    """Return when and where an assignment saves, and stops: on request, and at the time limit, which begins now.

    Each save brings the log up to date, and warnings are printed too.
    """

    def print_and_warn(line: str) -> None:
        print(line, file=sys.stderr)
        warn(line)

    limit = assignment.settings.trial_time_limit
    deadline = math.inf if limit is None else time.monotonic() + limit

    def note_save(seconds: float, size: int) -> None:
        monitor.note_checkpoint(seconds, size)
        output.save()

    return Checkpointing(
        lambda trial: CheckpointFile(assignment.settings.results, trial.trial_id),
        assignment.settings.checkpoint_seconds,
        lambda: stop_requested() or time.monotonic() > deadline,
        print_and_warn,
        note_save,
    )


def build_report(assignment: Assignment, send: Send, monitor: Monitor) -> Report:
    """Return what sends each epoch of a trial, and has the first worker's monitor take note of it."""
    ids = {id(trial): trial_id for trial_id, trial in assignment.trials.items()}  # a pack's epochs may be short
    watched = Worker.current().rank == 0
    headline = next(iter(assignment.trials.values())).components.task.headline or ""

    def report(trial: Trial, row: Mapping[str, Any], examples: int) -> None:
        trial_id = ids[id(trial)]
        if watched:
            monitor.note_epoch(trial_id, row, examples)
        send(EpochEnded(trial_id, row["epoch"], row.get(headline)))

    return report


def save_record(assignment: Assignment, record: TrialRecord, send: Send, warn: Callable[[TrialWarning], None]) -> None:
    """Record a trial, in the first worker alone, and send its end; what it failed with is printed as well.

    A trial trained again for its model has a record, which stays and which it must reproduce; ``warn`` is given how it
    does not.
    """
    trial_id = record.trial.trial_id
    if record.traceback is not None:
        print(f"trial {trial_id}: {record.traceback}", file=sys.stderr)
    if Worker.current().rank == 0:
        change = None
        if record.status == "done" and trial_id in assignment.keep_models:
            change = describe_change(assignment.settings.results, record)
        if change:
            print(change, file=sys.stderr)
            warn(TrialWarning(trial_id, change))
        if change is None:
            ResultStore(assignment.settings.results).write(record)
    task = record.trial.components.task
    headline = record.measurements.get(task.headline_metric.name)
    if record.status == "stopped" and task.headline is not None:
        headline = record.epochs[-1].get(task.headline)
    seconds = record.train_seconds - record.resumed_seconds
    send(TrialEnded(trial_id, record.status, headline, seconds, record.error))


def build_model_saver(assignment: Assignment) -> SaveModel | None:
    """Return what saves the models that must be kept; None where no trial's must."""
    results = assignment.settings.results

    def save_model(trial: Trial, state: Mapping[str, Tensor]) -> None:
        if trial.trial_id in assignment.keep_models:
            ModelFile(results, trial.trial_id).write(pack_model(trial.trial_id, state))

    return save_model if assignment.keep_models else None


class ModelLoader:
    """Loads the models of trials that others need."""

    def __init__(self, assignment: Assignment) -> None:
        """Load them from the results of an assignment."""
        self._results = assignment.settings.results
        self.digests: dict[str, str] = {}
        """Of the models loaded, by trial_id."""

    def load(self, trial: Trial) -> Mapping[str, Tensor]:
        """Return the model of a trial.

        Raises ValueError for a model that is not there or cannot be used; such a one is removed, so that the next run
        trains its trial again.
        """
        file = ModelFile(self._results, trial.trial_id)
        content = file.read()
        if content is None:
            raise ValueError(f"the model of trial {trial.trial_id} is not there; run again to train it")
        try:
            model = unpack_model(trial.trial_id, content)
        except FileUnusable as error:
            file.remove()
            raise ValueError(
                f"the model of trial {trial.trial_id} cannot be used: {error}; it is removed, run again to train it"
            ) from error
        self.digests[trial.trial_id] = short_digest(content)
        return model
