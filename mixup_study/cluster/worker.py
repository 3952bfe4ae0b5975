"""What runs in Ray's processes: an assignment, in the reused actor itself or in a group of Train workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import ray
import torch
from ray import train as ray_train
from ray import tune
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer, get_device
from ray.tune.integration.ray_train import TuneReportCallback

from mixup_study.catalogue import load_plugins
from mixup_study.cluster.assignment import Assignment
from mixup_study.cluster.board import find_board
from mixup_study.cluster.execution import (
    Host,
    build_checkpointing,
    build_model_saver,
    build_report,
    describe_result,
    print_traceback,
    run_assignment,
    save_record,
    train_here,
)
from mixup_study.cluster.losses import wait_for_memory
from mixup_study.cluster.messages import EpochEnded, Message, Send, TrialWarning, to_report
from mixup_study.cluster.metrics import TrialMetrics
from mixup_study.cluster.output import redirect_output
from mixup_study.cluster.process_group import NodeTorchConfig
from mixup_study.cluster.records import build_failure_record, build_provenance
from mixup_study.cluster.scratch import open_scratch
from mixup_study.errors import InputError
from mixup_study.store.checkpoints import remove_checkpoints
from mixup_study.training.loop import train
from mixup_study.training.parallel import Worker
from mixup_study.training.task import TrainingDiverged

REPORT_SECONDS = 0.5
"""A trial trained in the Tune actor reports its progress this often at most."""
GROUP_REPORT_SECONDS = 3.0
"""A group of workers does so: Train takes up a report every two seconds, and lets the next one wait until then."""

FINAL = (TrainingDiverged, ValueError)
"""What a trial raises because of what it is: it would again, so it is recorded at once."""


def run_job(config: dict[str, Any]) -> None:
    """Train and record the trials of the job that ``config`` names; this is what Tune's actors run."""
    load_plugins(config["plugins"])
    board = find_board(config["board"])
    assignment = Assignment.model_validate_json(board.fetch_assignment(config["job"]))
    stop_requested = partial(board.stop_requested, assignment.log)
    if board.is_held_back(config["job"]):
        wait_for_memory(stop_requested)
    train_left = _train_in_actor if assignment.workers == 1 else _train_in_group
    run_assignment(assignment, send_to_tune, stop_requested, partial(train_left, board=config["board"]))
    if board.has_lost_node():  # for Tune, a job that saves and returns is over, and would not start again
        raise RuntimeError("the Ray of its node has died")


def send_to_tune(message: Message) -> None:
    """Report a message as a result of this Tune trial."""
    tune.report(to_report(message))


def _train_in_actor(assignment: Assignment, board: str) -> None:
    """Train in this process, through Train's local mode: a worker group would take seconds to start."""
    device = torch.device("cuda", 0) if assignment.settings.resources.gpus else torch.device("cpu")
    check_usable(device)
    send = throttle(name_process(send_to_tune, assignment.title), REPORT_SECONDS)
    stop_requested = partial(find_board(board).stop_requested, assignment.log)
    host = Host(device, send, stop_requested, redirect_output, TrialMetrics, ray.__version__)
    TorchTrainer(partial(train_here, assignment, host), scaling_config=ScalingConfig(num_workers=0)).fit()


def _train_in_group(assignment: Assignment, board: str) -> None:
    """Train in a group of Train workers, which report through this Tune trial."""
    slot = assignment.settings.resources
    resources = {"CPU": slot.cpus, **({"GPU": slot.gpus} if slot.gpus else {})}
    started_at = datetime.now(UTC)
    with open_scratch() as scratch:
        trainer = TorchTrainer(
            _train_as_worker,
            train_loop_config={
                "assignment": assignment.model_dump_json(),
                "board": board,
                "plugins": assignment.settings.plugins,
            },
            torch_config=NodeTorchConfig(),
            scaling_config=ScalingConfig(
                num_workers=assignment.workers, use_gpu=slot.gpus > 0, resources_per_worker=resources
            ),
            run_config=ray_train.RunConfig(
                name=assignment.log,
                storage_path=scratch,
                callbacks=[TuneReportCallback()],  # type: ignore[list-item]  # typed for Ray's older callbacks
            ),
        )
        try:
            trainer.fit()
        except ray_train.TrainingFailedError as error:
            cause = find_cause(error)
            if cause is error:
                raise
            if not isinstance(cause, FINAL) or isinstance(cause, InputError):
                raise cause from error
            (trial,) = assignment.trials.values()
            provenance = build_provenance(assignment, started_at, None, ray.__version__)
            save_record(assignment, build_failure_record(trial, provenance, cause), send_to_tune, send_to_tune)
            remove_checkpoints(assignment.settings.results, [trial.trial_id])


def _train_as_worker(config: dict[str, Any]) -> None:
    """Train as one worker of a group, the first of which records the trial and saves its checkpoints.

    Every worker reports the same epochs, for Train's reports wait for each other; the first decides which. An
    exception is left to Train, which ends the whole group.
    """
    load_plugins(config["plugins"])
    assignment = Assignment.model_validate_json(config["assignment"])
    assignment.check_components()
    assignment.check_files()
    (trial,) = assignment.trials.values()
    worker = Worker.current()
    log = f"{assignment.log}.rank{worker.rank}" if worker.rank else assignment.log
    title = f"{assignment.title}, worker {worker.rank} of {worker.count}"
    with redirect_output(assignment.settings.results, log, title) as output, print_traceback():
        device = get_device()
        warnings: list[Message] = []
        send = throttle(
            partial(_send_to_group, warnings), GROUP_REPORT_SECONDS, lambda due: worker.agree([due], device) == [True]
        )
        check_usable(device)
        started_at = datetime.now(UTC)
        with TrialMetrics(assignment) as metrics:
            checkpointing = build_checkpointing(
                assignment,
                partial(find_board(config["board"]).stop_requested, assignment.log),
                lambda line: warnings.append(TrialWarning(trial.trial_id, line)),
                metrics,
                output,
            )
            report = build_report(assignment, send, metrics)
            (result,) = train(
                [trial],
                assignment.settings.data,
                device,
                report,
                checkpointing,
                build_model_saver(assignment),
                recompute=assignment.settings.resources.recompute,
                loaders=assignment.settings.resources.loaders,
                until=assignment.until,
            )
        if isinstance(result, TrainingDiverged):
            raise result
        provenance = build_provenance(assignment, started_at, device, ray.__version__)
        record = describe_result(trial, provenance, result, {})
        save_record(assignment, record, send, warnings.append)
        if record.status == "done" and worker.rank == 0:
            remove_checkpoints(assignment.settings.results, [trial.trial_id])


def _send_to_group(warnings: list[Message], message: Message) -> None:
    """Report a message as this worker's, with the ``warnings`` so far, which are reported once.

    A report of the one worker that has something to warn of would wait for the others for ever.
    """
    ray_train.report(to_report(*warnings, message))
    warnings.clear()


def check_usable(device: torch.device) -> None:
    """Raise InputError for a GPU that PyTorch cannot use."""
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "Ray counts GPUs here that PyTorch cannot use; --set resources.gpus=0 trains on CPUs, or install a driver"
            " and a PyTorch built for it"
        )


def name_process(send: Send, title: str) -> Send:
    """Return ``send`` that leaves the process named ``title``, on Ray's dashboard and in ``ps``.

    Ray names the process after every call of its actor, and a report ends the one and begins the next.
    """
    name = f"ray::ImplicitFunc.train {title}"
    set_name = ray._raylet.setproctitle  # type: ignore[attr-defined]  # what Ray itself names its processes with

    def send_and_name(message: Message) -> None:
        send(message)
        set_name(name)

    set_name(name)
    return send_and_name


def throttle(send: Send, seconds: float, agree: Callable[[bool], bool] = bool) -> Send:
    """Return ``send`` that passes on progress only when the last is ``seconds`` old, and anything else always.

    ``agree`` returns for each worker's opinion whether that is so what all of its group go by.
    """
    last = time.monotonic()

    def send_if_due(message: Message) -> None:
        nonlocal last
        now = time.monotonic()
        if not isinstance(message, EpochEnded) or agree(now - last >= seconds):
            last = now
            send(message)

    return send_if_due


def find_cause(error: ray_train.TrainingFailedError) -> Exception:
    """Return what a worker's training function raised, where it was that which failed, or what started no group.

    Of several, bad input comes first and RuntimeError last: a worker that lost its peers raises that. Of a worker that
    Train found to be gone, it is what Ray says of its process. It is ``error`` where that names no other, as where a
    node was pre-empted.
    """
    if isinstance(error, ray_train.ControllerError):
        failure = error.controller_failure
        cause = getattr(failure, "cause", failure)  # without Ray's account of where it was raised
        return cause if isinstance(cause, Exception) else failure
    failures: dict[int, Exception] = {
        rank: getattr(failure, "health_check_failure", failure)
        for rank, failure in getattr(error, "worker_failures", {}).items()
    }
    ranked = sorted(
        failures.values(), key=lambda failure: (not isinstance(failure, InputError), isinstance(failure, RuntimeError))
    )
    return next(iter(ranked), error)
