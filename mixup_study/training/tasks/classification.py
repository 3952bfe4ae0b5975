"""Classification: a network learns the labels of one data set from virtual examples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mixup_study.data import ImageSet
from mixup_study.data.labelled import gather
from mixup_study.study.seeds import stream_seed
from mixup_study.study.trial import Trial
from mixup_study.training.optimizers import (
    build_optimizer,
    group_parameters,
    learning_rate,
    load_optimizer,
    set_learning_rate,
)
from mixup_study.training.task import Environment, Measurements, Pause, Row, go_on
from mixup_study.training.tasks import measures, plane
from mixup_study.training.tasks.classifier import Classifier
from mixup_study.vicinity import Draws, Examples, Minibatch, VicinalDistribution, VirtualBatch


@dataclass
class EpochUnderWay:
    """How far a worker is in an epoch, between two of its steps."""

    epoch: int
    steps: int
    """Taken so far."""
    loss_sum: Tensor
    """Of this worker's virtual examples so far; (), float64."""
    draws: Draws
    dropout: Tensor
    """State of the stream that dropout draws from."""


class Classification(Classifier):
    """A classifier that learns: the state of one trial between two steps."""

    def __init__(self, trial: Trial, environment: Environment) -> None:
        """Load the data, draw the initial weights."""
        super().__init__(trial, environment)
        method = trial.components.method
        assert method is not None
        self.labels_N = self.data.train_labels_N
        self.worker.check(len(self.labels_N), trial.batch_size)
        self.inputs = self.data.augmented(bool(trial.augment))
        std = self.data.std if isinstance(self.data, ImageSet) else ()
        examples = Examples(self.data.train_inputs_N, self.labels_N, std, environment.folder)
        self.method: VicinalDistribution = method.load()(trial, examples)
        self.mixes_across_workers = bool(trial.mix_across_workers)
        self.parallel_model = self.worker.wrap(self.model)
        self.optimizer = build_optimizer(group_parameters(self.model, trial), trial)
        self.under_way: EpochUnderWay | None = None

    @property
    def examples(self) -> int:
        """Return the number of training examples, which an epoch sees once each."""
        return len(self.labels_N)

    @property
    def every_row(self) -> Tensor:
        """Return the rows of the training set, (N,), in their order."""
        return torch.arange(len(self.labels_N), device=self.device)

    @property
    def steps(self) -> int:
        """Return the steps of an epoch."""
        batch_size: int = self.trial.batch_size
        return math.ceil(len(self.labels_N) / batch_size)

    def state(self) -> dict[str, Any]:
        """Return everything that training depends on from here, in an epoch that of every worker."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        if self.under_way is None:
            return state
        own = {
            "loss_sum": self.under_way.loss_sum.item(),
            "draws": self.under_way.draws.state(),
            "dropout": self.dropout_stream.get_state(),
        }
        place = {"epoch": self.under_way.epoch, "steps": self.under_way.steps}
        return {**state, **place, "workers": self.worker.gather(own)}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""
        self.model.load_state_dict(state["model"])
        load_optimizer(self.optimizer, state["optimizer"])
        if "epoch" not in state:
            return
        under_way = self.begin_epoch(state["epoch"])
        own = state["workers"][self.worker.rank]
        if not 0 < state["steps"] < self.steps or len(state["workers"]) != self.worker.count:
            raise ValueError(f"it is {state['steps']} steps in an epoch of {self.steps}")
        under_way.steps = state["steps"]
        under_way.loss_sum += own["loss_sum"]
        under_way.draws.load(own["draws"])
        torch.Generator(self.device).set_state(own["dropout"])  # raises for what is none
        under_way.dropout = own["dropout"]
        self.under_way = under_way

    def model_state(self) -> Mapping[str, Tensor]:
        """Return the network's weights and buffers, those of this worker."""
        return self.model.state_dict()

    def run_epoch(self, epoch: int, pause: Pause = go_on) -> Row:
        """Train for an epoch; return its training loss, and the errors on the test set and the validation part."""
        return {"train_loss": self.train_epoch(epoch, pause), **self.errors()}

    def measure(self, rows: Sequence[Row]) -> Measurements:
        """Return the errors over the epochs, the training errors, and p(y=1) where inputs lie in the plane."""
        errors = measures.over_epochs(rows)
        points = plane.regions(self.data, self.labels_N, self.probabilities) if self.data.shape == (2,) else {}
        return Measurements({**errors, **self.memorisation()}, points, self.data.digest)

    def order(self, epoch: int) -> Tensor:
        """Return the order in which an epoch visits the training examples, (N,), the same on every worker."""
        generator = torch.Generator().manual_seed(stream_seed(self.trial.seed, "order", epoch))
        return torch.randperm(len(self.labels_N), generator=generator).to(self.device)

    def targets(self, index_M: Tensor) -> Tensor:
        """Return the one-hot labels of rows of the training set, float32 (M, K)."""
        return F.one_hot(self.labels_N[index_M], self.data.classes).float()

    def minibatches(self, epoch: int, first: int = 0) -> Iterator[Minibatch]:
        """Yield the minibatches of an epoch from the ``first`` on, with this worker's part of each, augmented.

        The last may be smaller.
        """
        inputs = self.inputs.epoch(self.trial.seed, epoch)

        def look_up(index_M: Tensor) -> tuple[Tensor, Tensor]:
            return inputs[index_M], self.targets(index_M)

        indices = self.order(epoch).split(self.trial.batch_size)[first:]
        parts = [self.worker.shard(index_B) for index_B in indices]
        read = inputs.read(parts, math.prod(self.data.shape))
        targets = gather(self.targets, parts, self.data.classes)
        for index_B, part_B, inputs_B, targets_BK in zip(indices, parts, read, targets, strict=True):
            if self.mixes_across_workers:
                yield Minibatch(inputs_B, targets_BK, index_B, look_up, self.worker.rank, self.worker.count)
            else:
                yield Minibatch(inputs_B, targets_BK, part_B, look_up)

    @property
    def dropout_stream(self) -> torch.Generator:
        """Return what dropout draws from: the generator that operations on the device use by default."""
        if self.device.type == "cuda":
            return torch.cuda.default_generators[self.device.index or 0]
        return torch.default_generator

    def begin_epoch(self, epoch: int) -> EpochUnderWay:
        """Return an epoch before its first step."""
        rank = 0 if self.mixes_across_workers else self.worker.rank
        draws = Draws.for_epoch(self.trial.seed, epoch, self.device, self.trial.warmup_epochs, rank)
        dropout = torch.Generator(self.device)
        dropout.manual_seed(stream_seed(self.trial.seed, "dropout", epoch, self.worker.rank))
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        return EpochUnderWay(epoch, 0, loss_sum, draws, dropout.get_state())

    def train_epoch(self, epoch: int, pause: Pause = go_on) -> float:
        """Take one step per minibatch; return the mean loss over the epoch's virtual examples."""
        under_way = self.under_way or self.begin_epoch(epoch)
        self.under_way = under_way
        self.dropout_stream.set_state(under_way.dropout)
        self.parallel_model.train()
        for number, minibatch in enumerate(self.minibatches(epoch, under_way.steps), under_way.steps):
            set_learning_rate(self.optimizer, learning_rate(self.trial, epoch, number / self.steps))
            batch = self.method.sample(minibatch, under_way.draws)
            under_way.loss_sum += self.step(batch, self.size_of(number))
            under_way.steps = number + 1
            if under_way.steps < self.steps:
                pause()
        self.under_way = None
        return (self.worker.sum(under_way.loss_sum) / len(self.labels_N)).item()

    def size_of(self, number: int) -> int:
        """Return how many examples a minibatch of an epoch has, over all workers."""
        size: int = self.trial.batch_size
        return min(size, len(self.labels_N) - number * size)

    def step(self, batch: VirtualBatch, size: int) -> Tensor:
        """Take one optimizer step on this worker's part of a minibatch; return the sum of its losses.

        The gradient is that of the mean over the whole minibatch, of ``size`` examples. ``micro_batch`` of them are in
        the network at a time.
        """
        self.optimizer.zero_grad()
        *pieces, last = batch.split(self.trial.micro_batch)
        losses = []
        for piece in pieces:
            with self.worker.accumulate(self.parallel_model):
                losses.append(self._add_gradients(piece, size))
        losses.append(self._add_gradients(last, size))
        self.optimizer.step()
        return torch.stack(losses).sum()

    def _add_gradients(self, batch: VirtualBatch, size: int) -> Tensor:
        """Add this part's gradients of the mean over a whole minibatch; return the sum of its losses."""
        logits = self.logits(self.parallel_model, batch.inputs_B, batch.latent)
        dtype = torch.promote_types(logits.dtype, batch.targets_BK.dtype)  # float32 at least, after bfloat16 too
        loss = F.cross_entropy(logits.to(dtype), batch.targets_BK.to(dtype), reduction="sum")
        (loss * (self.worker.count / size)).backward()
        return loss.detach()

    def errors(self) -> dict[str, float]:
        """Return the top-1 errors on what is held out, and the top-5 error on a test set of many classes."""
        errors: dict[str, float] = {}
        for name, part in self.data.measured_parts.items():
            predictions = self.predict(*part)
            errors[f"{name}_error"] = measures.error(predictions.class_N, part.labels_N)
            top5 = measures.top5_error(predictions.rank_N, self.data.classes)
            if name == "test" and top5 is not None:
                errors["test_top5_error"] = top5
        return errors

    def memorisation(self) -> dict[str, float | None]:
        """Return the training errors on real and on corrupted examples.

        A streamed training set without label noise is not read once more for them.
        """
        if self.data.is_streamed and not self.trial.label_noise:
            return measures.no_memorisation()
        predictions = self.predict(self.data.train_inputs_N, self.labels_N)
        return measures.memorisation(predictions.class_N, self.labels_N, self.replaced_N)
