"""One trial, trained in this process."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixup_study import data as datasets
from mixup_study.data.augmentation import Augmentation
from mixup_study.data.label_noise import corrupt
from mixup_study.models import MODELS
from mixup_study.spec.seeds import stream_seed
from mixup_study.spec.trial import Trial
from mixup_study.training import measures
from mixup_study.training.checkpoint import Checkpointing, Stopped
from mixup_study.training.parallel import Worker
from mixup_study.training.process import settle
from mixup_study.vicinity import METHODS, Draws, Examples, LatentMix, Minibatch, VirtualBatch

EVALUATION_BATCH = 1000
GATHERED_VALUES = 2**22
"""Pixels, channels counted, that are augmented at a time: 16 MiB as float32."""
_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class TrainingDiverged(RuntimeError):
    """The training loss is no longer a finite number."""


@dataclass(frozen=True)
class Measured:
    """What a trial measured: one mapping of measurements, and one per epoch."""

    measurements: dict[str, float | None]
    epochs: list[dict[str, Any]]
    seconds: float


def train(
    trial: Trial,
    folder: Path,
    device: torch.device,
    report: Callable[[dict[str, Any]], None],
    checkpointing: Checkpointing | None = None,
) -> Measured:
    """Train ``trial`` to its last epoch and return what it measured.

    It begins with its first epoch, or after the one that its checkpoint was saved at; what it measures is the
    same. ``folder`` holds the data sets. Within a process group of torch's, every worker calls this with the
    same trial and a device of its own, and all of them return the same measurements. ``report`` is called
    after every epoch with its row (epoch from 1, lr, train_loss, test_error, seconds).

    Raises TrainingDiverged when the loss is not finite, ValueError for a trial that does not fit its data
    set, InputError where the data set is not to be had, and Stopped where ``checkpointing`` asks for it.
    """
    started = time.perf_counter()
    worker = Worker.current()
    settle(device)
    run = Training(trial, folder, worker, device)
    rows: list[dict[str, Any]] = []
    before = 0.0
    saved = None if checkpointing is None else checkpointing.load(run.kind())
    if saved is not None:
        rows, before = saved["rows"], saved["seconds"]
        run.load(saved)
    for epoch in range(len(rows), trial.epochs):
        begun = time.perf_counter()
        train_loss = run.train_epoch(epoch)
        if not math.isfinite(train_loss):
            raise TrainingDiverged(f"the training loss of epoch {epoch + 1} is {train_loss}")
        row = {"epoch": epoch + 1, "lr": run.lr(epoch), "train_loss": train_loss, "test_error": run.test_error()}
        rows.append({**row, "seconds": time.perf_counter() - begun})
        report(rows[-1])
        if checkpointing is not None and epoch + 1 < trial.epochs:
            stop = checkpointing.stop_requested()
            if worker.rank == 0 and (stop or checkpointing.due()):
                seconds = before + time.perf_counter() - started
                checkpointing.save({**run.kind(), **run.state(), "rows": rows, "seconds": seconds})
            if stop:
                raise Stopped(f"after epoch {epoch + 1}")
    measurements = measures.over_epochs([row["test_error"] for row in rows]) | run.memorisation()
    return Measured(measurements, rows, before + time.perf_counter() - started)


class Training:
    """The state of one trial between two steps: model, optimiser and data."""

    def __init__(self, trial: Trial, folder: Path, worker: Worker, device: torch.device) -> None:
        """Load the data, corrupt the labels, draw the initial weights."""
        self.trial = trial
        self.worker = worker
        self.device = device
        self.data = datasets.load(trial.dataset, folder, device).subset(trial.train_size, trial.data_seed)
        self.labels_N, self.replaced_N = corrupt(
            self.data.train_labels_N, self.data.classes, trial.label_noise, trial.data_seed
        )
        self.targets_NK = F.one_hot(self.labels_N, self.data.classes).float()
        worker.check(len(self.labels_N), trial.batch_size)
        self.augmentation = Augmentation(self.data, trial.augment)
        self.method = METHODS[trial.method](
            trial, Examples(self.data.train_images_NHWC, self.labels_N, self.data.std, folder)
        )
        self.memory_format = _FORMATS[trial.memory_format]
        torch.manual_seed(stream_seed(trial.seed, "initial weights"))
        model = MODELS[trial.model](self.data.shape, self.data.classes, trial.width, trial.dropout)
        self.model: nn.Module = model.to(device).to(memory_format=self.memory_format)
        self.parallel_model = worker.wrap(self.model)
        self.optimiser = torch.optim.SGD(
            self.model.parameters(),
            lr=trial.lr,
            momentum=trial.momentum,
            weight_decay=trial.weight_decay,
            fused=trial.fused,
        )

    def kind(self) -> dict[str, Any]:
        """Return what a checkpoint must share with this process for the trial to go on as if nothing had happened."""
        return {"trial_id": self.trial.trial_id, "torch": str(torch.__version__), "device": self.device.type}

    def state(self) -> dict[str, Any]:
        """Return everything that later epochs depend on; all random numbers come from the seed and the epoch."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])

    def lr(self, epoch: int) -> float:
        """Return the learning rate of an epoch counted from 0."""
        return self.trial.lr * self.trial.lr_factor ** bisect_right(self.trial.milestones, epoch)

    def order(self, epoch: int) -> Tensor:
        """Return the order in which an epoch visits the training examples, (N,), the same on every worker."""
        generator = torch.Generator().manual_seed(stream_seed(self.trial.seed, "order", epoch))
        return torch.randperm(len(self.labels_N), generator=generator).to(self.device)

    def minibatches(self, epoch: int) -> Iterator[Minibatch]:
        """Yield each whole minibatch of an epoch, augmented; the last may be smaller.

        Several minibatches are gathered at once: small networks would wait for each gather.
        """
        images = self.augmentation.epoch(self.trial.seed, epoch)
        size = self.trial.batch_size
        together = max(1, GATHERED_VALUES // (size * self.data.train_images_NHWC[0].numel()))

        def look_up(index_M: Tensor) -> tuple[Tensor, Tensor]:
            return images[index_M], self.targets_NK[index_M]

        for index_M in self.order(epoch).split(together * size):
            parts = (part.split(size) for part in (*look_up(index_M), index_M))
            for images_BCHW, targets_BK, index_B in zip(*parts, strict=True):
                yield Minibatch(images_BCHW, targets_BK, index_B, look_up, self.trial.workers)

    def train_epoch(self, epoch: int) -> float:
        """Take one step per minibatch; return the mean loss over the epoch's virtual examples."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr(epoch)
        draws = Draws.for_epoch(self.trial.seed, epoch, self.device)
        torch.manual_seed(stream_seed(self.trial.seed, "dropout", epoch, self.worker.rank))
        self.parallel_model.train()
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        for minibatch in self.minibatches(epoch):
            loss_sum += self.step(self.method.sample(minibatch, draws))
        return (self.worker.sum(loss_sum) / len(self.labels_N)).item()

    def step(self, batch: VirtualBatch) -> Tensor:
        """Take one optimiser step on a whole minibatch; return the sum of this worker's losses.

        Each worker takes its shard of the minibatch; the gradient is that of the mean over all of it.
        """
        images = self.worker.shard(batch.images_BCHW).contiguous(memory_format=self.memory_format)
        targets = self.worker.shard(batch.targets_BK)
        latent = None if batch.latent is None else batch.latent.part(self.worker.rank, self.worker.count)
        logits = self.logits(self.parallel_model, images, latent)
        dtype = torch.promote_types(logits.dtype, targets.dtype)  # float32 at least, after bfloat16 too
        loss = F.cross_entropy(logits.to(dtype), targets.to(dtype), reduction="sum")
        self.optimiser.zero_grad()
        (loss * (self.worker.count / len(batch.images_BCHW))).backward()
        self.optimiser.step()
        return loss.detach()

    def logits(self, model: nn.Module, images_BCHW: Tensor, latent: LatentMix | None = None) -> Tensor:
        """Return the model's logits under the trial's precision."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.trial.precision == "bfloat16"):
            logits: Tensor = model(images_BCHW) if latent is None else model(images_BCHW, latent.layer, latent)
        return logits

    def predictions(self, images_NHWC: Tensor) -> Tensor:
        """Return the class predicted for each image, (N,), in evaluation mode and without augmentation.

        Worker 0 predicts and the others are told: BatchNorm's running statistics are each worker's own.
        """
        if self.worker.rank == 0:
            self.model.eval()
            with torch.inference_mode():
                predicted_N = torch.cat([self._predict(chunk) for chunk in images_NHWC.split(EVALUATION_BATCH)])
        else:
            predicted_N = torch.empty(len(images_NHWC), dtype=torch.int64, device=self.device)
        return self.worker.from_first(predicted_N)

    def _predict(self, images_NHWC: Tensor) -> Tensor:
        images = self.data.normalised(images_NHWC).contiguous(memory_format=self.memory_format)
        return self.logits(self.model, images).argmax(1)

    def test_error(self) -> float:
        """Return the top-1 error on the test images."""
        return measures.error(self.predictions(self.data.test_images_NHWC), self.data.test_labels_N)

    def memorisation(self) -> dict[str, float | None]:
        """Return the training errors on real and on corrupted examples."""
        predicted_N = self.predictions(self.data.train_images_NHWC)
        return measures.memorisation(predicted_N, self.labels_N, self.replaced_N)
