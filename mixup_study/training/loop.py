"""Trials, trained in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixup_study.store.envelope import FileUnusable
from mixup_study.study.trial import Trial
from mixup_study.training.checkpoint import Checkpointing, History, Saver, count_epochs, describe_divergence, restore
from mixup_study.training.optimizers import learning_rate
from mixup_study.training.parallel import Worker
from mixup_study.training.process import settle
from mixup_study.training.task import (
    Environment,
    LoadModel,
    StoppedTrial,
    TaskGroup,
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
    measure is the same. Those that have a ``pack_key``, which must be one, are trained as one batched model, as far as
    they are equally far. ``folder`` holds
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
    worker = Worker.current()
    settle(device)
    environment = Environment(folder, worker, device, recompute=recompute, loaders=loaders)
    if load_model is not None:
        environment = replace(environment, load_model=load_model)
    training = _Training(environment, report, checkpointing, save_model, until)
    worker.agree([0], device)  # no worker reads a checkpoint that worker 0 is still writing
    states: dict[str, dict[str, Any] | None] = {
        trial.trial_id: checkpointing.load(trial, training.kind_of(trial)) if checkpointing else None
        for trial in trials
    }
    left = list(trials)
    results: dict[str, TrialResult | StoppedTrial | TrainingDiverged] = {}
    while left:
        epochs = count_epochs(states[left[0].trial_id])
        part = [trial for trial in left if count_epochs(states[trial.trial_id]) == epochs]
        results |= training.train_part(part, states)
        left = [trial for trial in left if trial.trial_id not in results]
    return [results[trial.trial_id] for trial in trials]


@dataclass(frozen=True)
class _Training:
    """How trials are trained, whichever they are."""

    environment: Environment
    report: Report
    checkpointing: Checkpointing | None
    save_model: SaveModel | None
    until: int | None

    def kind_of(self, trial: Trial) -> dict[str, Any]:
        """Return what a checkpoint of a trial must be of."""
        return {
            "trial_id": trial.trial_id,
            "torch": str(torch.__version__),
            "device": self.environment.device.type,
        }

    def train_part(
        self, trials: Sequence[Trial], states: dict[str, dict[str, Any] | None]
    ) -> dict[str, TrialResult | StoppedTrial | TrainingDiverged]:
        """Train trials that are equally far by their ``states``; return what became of them, by trial_id.

        Those whose state turns out not to fit are left for later, without it.
        """
        task, history = self._begin(trials, states)
        if task is None:
            return {}
        checkpointing, worker, device = self.checkpointing, self.environment.worker, self.environment.device
        saver = None
        if checkpointing is not None:
            saver = Saver(checkpointing, task, self.kind_of(trials[0]), trials, history, worker, device)
        first = history.epochs
        epochs = trials[0].trained_epochs if self.until is None else min(self.until, trials[0].trained_epochs)
        for epoch in range(first, epochs):
            history.begin_epoch()
            measured = task.run_epoch(epoch, saver.pause if saver else go_on)
            epoch_seconds = history.end_epoch() / len(trials)
            for trial, own, row in zip(trials, history.rows, measured, strict=True):
                if _divergence(own) is None:
                    own.append({"epoch": epoch + 1, "lr": learning_rate(trial, epoch), **row, "seconds": epoch_seconds})
                    if _divergence(own) is None:
                        self.report(trial, own[-1], task.examples)
            if all(_divergence(own) for own in history.rows):
                break
            if saver and epoch + 1 < epochs:
                saver.ask()
        ids = [trial.trial_id for trial in trials]
        if epochs < trials[0].trained_epochs and not all(_divergence(own) for own in history.rows):
            if saver and first < epochs:
                saver.save()
            seconds = history.seconds / len(trials), history.seconds_before / len(trials)
            stopped = [_divergence(own) or StoppedTrial(own, *seconds) for own in history.rows]
            return dict(zip(ids, stopped, strict=True))
        outcomes = task.measure(history.rows)
        seconds = history.seconds / len(trials), history.seconds_before / len(trials)
        if self.save_model is not None and worker.rank == 0:
            for trial, own, model in zip(trials, history.rows, task.model_states(), strict=True):
                if _divergence(own) is None:
                    self.save_model(trial, model)
        ended = [
            _divergence(own) or TrialResult(outcome.measurements, own, *seconds, outcome.points, outcome.data_digest)
            for own, outcome in zip(history.rows, outcomes, strict=True)
        ]
        return dict(zip(ids, ended, strict=True))

    def _begin(
        self, trials: Sequence[Trial], states: dict[str, dict[str, Any] | None]
    ) -> tuple[TaskGroup | None, History]:
        """Return the task of trials and their history so far; no task where some state does not fit."""
        task = build_group(trials, self.environment)
        saved = [state for trial in trials if (state := states[trial.trial_id]) is not None]
        if not saved:
            return task, History([[] for _ in trials])
        try:
            return task, restore(task, saved, trials)
        except FileUnusable as error:
            self._drop_unusable(trials, states, error)
            return None, History([])

    def _drop_unusable(
        self, trials: Sequence[Trial], states: dict[str, dict[str, Any] | None], error: FileUnusable
    ) -> None:
        """Take out of ``states`` those that do not fit their trials, which ``error`` says of one of them at least."""
        assert self.checkpointing is not None
        unusable = {trials[0].trial_id: error} if len(trials) == 1 else {}
        for trial in trials if len(trials) > 1 else ():
            state = states[trial.trial_id]
            assert state is not None
            try:
                restore(build_group([trial], self.environment), [state], [trial])
            except FileUnusable as own:
                unusable[trial.trial_id] = own
        for trial_id, reason in (unusable or dict.fromkeys((trial.trial_id for trial in trials), error)).items():
            states[trial_id] = None
            self.checkpointing.warn_unused(reason)


def _divergence(rows: Sequence[Mapping[str, Any]]) -> TrainingDiverged | None:
    """Return what is wrong with the last row of a trial, if anything."""
    text = describe_divergence(rows)
    return None if text is None else TrainingDiverged(text)
