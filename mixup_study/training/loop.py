"""Trials, trained in this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixup_study.store.envelope import FileUnusable
from mixup_study.study.trial import Trial, joint_id
from mixup_study.training.checkpoint import Checkpointing, History, Saver, restore
from mixup_study.training.optimizers import learning_rate
from mixup_study.training.parallel import Worker
from mixup_study.training.process import settle
from mixup_study.training.task import (
    Environment,
    LoadModel,
    StoppedTrial,
    TrainingDiverged,
    TrialResult,
    build_group,
    go_on,
)

Report = Callable[[Trial, Mapping[str, Any], int], None]
SaveModel = Callable[[Trial, Mapping[str, Tensor]], None]


def train(
    trials: Sequence[Trial],
    folder: Path,
    device: torch.device,
    report: Report,
    checkpointing: Checkpointing | None = None,
    save_model: SaveModel | None = None,
    load_model: LoadModel | None = None,
    recompute: bool = False,
    loaders: int = 0,
    until: int | None = None,
) -> list[TrialResult | StoppedTrial | TrainingDiverged]:
    """Train ``trials`` to their last epoch and return what each measured, or that its loss became infinite.

    With ``until``, they stop after that epoch, with a checkpoint to go on from.

    They begin with their first epoch, or where their checkpoint was saved, perhaps in the middle of one; what they
    measure is the same. Several are trained as one batched model: they must have one ``pack_key``. ``folder`` holds
    the data sets. Within a process group of torch's, every worker calls this with the same trial and a device of its
    own, and all of them return the same measurements. ``report`` is called after every epoch with each trial, its row
    (epoch from 1, lr, seconds, and what its task tells) and the training examples that the epoch saw.
    ``save_model`` is called once at the end, in the first worker alone, with each trial that did not diverge and
    its model as a state dict; ``load_model`` returns the model of a trial that one of these needs. What either raises
    ends the training. ``recompute`` has networks that can compute activations again in the backward pass, in place of
    keeping them; ``loaders`` processes read a streamed data set.

    Raises ValueError for a trial that does not fit its data set, InputError where the data set is not to be
    had, and Stopped where ``checkpointing`` asks for it.
    """
    history = History([[] for _ in trials])
    worker = Worker.current()
    settle(device)
    environment = Environment(folder, worker, device, recompute=recompute, loaders=loaders)
    if load_model is not None:
        environment = replace(environment, load_model=load_model)
    task = build_group(trials, environment)
    saver = None
    if checkpointing is not None:
        kind = {"trial_id": joint_id(trials), "torch": str(torch.__version__), "device": device.type}
        saved = checkpointing.load(kind)
        if saved is not None:
            try:
                history = restore(task, saved, trials)
            except FileUnusable as error:
                checkpointing.warn_unused(error)
                task = build_group(trials, environment)
        saver = Saver(checkpointing, task, kind, trials, history, worker, device)
    first = history.epochs
    epochs = trials[0].trained_epochs if until is None else min(until, trials[0].trained_epochs)
    for epoch in range(first, epochs):
        history.begin_epoch()
        measured = task.run_epoch(epoch, saver.pause if saver else go_on)
        epoch_seconds = history.end_epoch() / len(trials)
        for trial, own, row in zip(trials, history.rows, measured, strict=True):
            if _divergence(own) is None:
                own.append({"epoch": epoch + 1, "lr": learning_rate(trial, epoch), **row, "seconds": epoch_seconds})
                if _divergence(own) is None:
                    report(trial, own[-1], task.examples)
        if all(_divergence(own) for own in history.rows):
            break
        if saver and epoch + 1 < epochs:
            saver.ask()
    if epochs < trials[0].trained_epochs and not all(_divergence(own) for own in history.rows):
        if saver and first < epochs:
            saver.save()
        seconds = history.seconds / len(trials), history.seconds_before / len(trials)
        return [_divergence(own) or StoppedTrial(own, *seconds) for own in history.rows]
    outcomes = task.measure(history.rows)
    seconds = history.seconds / len(trials), history.seconds_before / len(trials)
    if save_model is not None and worker.rank == 0:
        for trial, own, model in zip(trials, history.rows, task.model_states(), strict=True):
            if _divergence(own) is None:
                save_model(trial, model)
    return [
        _divergence(own) or TrialResult(outcome.measurements, own, *seconds, outcome.points, outcome.data_digest)
        for own, outcome in zip(history.rows, outcomes, strict=True)
    ]


def _divergence(rows: Sequence[Mapping[str, Any]]) -> TrainingDiverged | None:
    """Return what is wrong with the last row of a trial, if anything."""
    for name, value in rows[-1].items() if rows else ():
        if name.endswith("loss") and not math.isfinite(value):
            called = name.replace("train_", "training ").replace("_", " ")
            return TrainingDiverged(f"the {called} of epoch {rows[-1]['epoch']} is {value}")
    return None
