"""Classification: a network learns the labels of one data set from virtual examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixup_study.data import ImageSet, load_labelled_set
from mixup_study.data.label_noise import corrupt
from mixup_study.networks.recompute import set_recompute
from mixup_study.study.seeds import stream_seed
from mixup_study.study.trial import Trial
from mixup_study.training.optimizers import build_optimizer, learning_rate, set_learning_rate
from mixup_study.training.task import Environment, Measurements, Row
from mixup_study.training.tasks import measures, plane
from mixup_study.vicinity import Draws, Examples, LatentMix, Minibatch, VicinalDistribution, VirtualBatch

EVALUATION_BATCH = 1000
GATHERED_VALUES = 2**22
"""Pixels, channels counted, that are augmented at a time: 16 MiB as float32."""
_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Classification:
    """The state of one trial between two steps: model, optimizer and data."""

    def __init__(self, trial: Trial, environment: Environment) -> None:
        """Load the data, corrupt the labels, draw the initial weights."""
        dataset, network, method = trial.components.dataset, trial.components.network, trial.components.method
        assert dataset is not None
        assert network is not None
        assert method is not None
        self.trial = trial
        self.worker = worker = environment.worker
        self.device = device = environment.device
        split_seed = trial.seed if trial.split_seed is None else trial.split_seed
        data = load_labelled_set(dataset.name, environment.folder, device, split_seed if dataset.is_split else 0)
        self.data = data.subset(trial.train_size, trial.data_seed)
        self.labels_N, self.replaced_N = corrupt(
            self.data.train_labels_N, self.data.classes, trial.label_noise, trial.data_seed
        )
        self.targets_NK = F.one_hot(self.labels_N, self.data.classes).float()
        worker.check(len(self.labels_N), trial.batch_size)
        self.inputs = self.data.augmented(bool(trial.augment))
        std = self.data.std if isinstance(self.data, ImageSet) else ()
        examples = Examples(self.data.train_inputs_N, self.labels_N, std, environment.folder)
        self.method: VicinalDistribution = method.load()(trial, examples)
        self.memory_format = _FORMATS[trial.memory_format or "contiguous"]
        torch.manual_seed(stream_seed(trial.seed, "initial weights"))
        model: nn.Module = network.load()(trial, self.data.shape, self.data.classes)
        set_recompute(model, environment.recompute)
        self.model = model.to(device).to(memory_format=self.memory_format)
        self.parallel_model = worker.wrap(self.model)
        self.optimizer = build_optimizer(self.model.parameters(), trial)

    @property
    def examples(self) -> int:
        """Return the number of training examples, which an epoch sees once each."""
        return len(self.labels_N)

    def state(self) -> dict[str, Any]:
        """Return everything that later epochs depend on."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def model_state(self) -> Mapping[str, Tensor]:
        """Return the network's weights and buffers, those of this worker."""
        return self.model.state_dict()

    def run_epoch(self, epoch: int) -> Row:
        """Train for an epoch; return its training loss and test error."""
        return {"train_loss": self.train_epoch(epoch), "test_error": self.test_error()}

    def measure(self, rows: Sequence[Row]) -> Measurements:
        """Return the test errors over the epochs, the training errors, and p(y=1) where inputs lie in the plane."""
        errors = measures.over_epochs([row["test_error"] for row in rows])
        points = plane.regions(self.data, self.labels_N, self.probabilities) if self.data.shape == (2,) else {}
        return Measurements({**errors, **self.memorisation()}, points)

    def order(self, epoch: int) -> Tensor:
        """Return the order in which an epoch visits the training examples, (N,), the same on every worker."""
        generator = torch.Generator().manual_seed(stream_seed(self.trial.seed, "order", epoch))
        return torch.randperm(len(self.labels_N), generator=generator).to(self.device)

    def minibatches(self, epoch: int) -> Iterator[Minibatch]:
        """Yield each whole minibatch of an epoch, augmented; the last may be smaller.

        Several minibatches are gathered at once: small networks would wait for each gather.
        """
        images = self.inputs.epoch(self.trial.seed, epoch)
        size = self.trial.batch_size
        together = max(1, GATHERED_VALUES // (size * self.data.train_inputs_N[0].numel()))

        def look_up(index_M: Tensor) -> tuple[Tensor, Tensor]:
            return images[index_M], self.targets_NK[index_M]

        for index_M in self.order(epoch).split(together * size):
            parts = (part.split(size) for part in (*look_up(index_M), index_M))
            for inputs_B, targets_BK, index_B in zip(*parts, strict=True):
                yield Minibatch(inputs_B, targets_BK, index_B, look_up, self.trial.workers)

    def train_epoch(self, epoch: int) -> float:
        """Take one step per minibatch; return the mean loss over the epoch's virtual examples."""
        set_learning_rate(self.optimizer, learning_rate(self.trial, epoch))
        draws = Draws.for_epoch(self.trial.seed, epoch, self.device)
        torch.manual_seed(stream_seed(self.trial.seed, "dropout", epoch, self.worker.rank))
        self.parallel_model.train()
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        for minibatch in self.minibatches(epoch):
            loss_sum += self.step(self.method.sample(minibatch, draws))
        return (self.worker.sum(loss_sum) / len(self.labels_N)).item()

    def step(self, batch: VirtualBatch) -> Tensor:
        """Take one optimizer step on a whole minibatch; return the sum of this worker's losses.

        Each worker takes its shard of the minibatch; the gradient is that of the mean over all of it.
        """
        images = self.worker.shard(batch.inputs_B).contiguous(memory_format=self.memory_format)
        targets = self.worker.shard(batch.targets_BK)
        latent = None if batch.latent is None else batch.latent.part(self.worker.rank, self.worker.count)
        logits = self.logits(self.parallel_model, images, latent)
        dtype = torch.promote_types(logits.dtype, targets.dtype)  # float32 at least, after bfloat16 too
        loss = F.cross_entropy(logits.to(dtype), targets.to(dtype), reduction="sum")
        self.optimizer.zero_grad()
        (loss * (self.worker.count / len(batch.inputs_B))).backward()
        self.optimizer.step()
        return loss.detach()

    def logits(self, model: nn.Module, inputs_B: Tensor, latent: LatentMix | None = None) -> Tensor:
        """Return the model's logits under the trial's precision."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.trial.precision == "bfloat16"):
            logits: Tensor = model(inputs_B) if latent is None else model(inputs_B, latent.layer, latent)
        return logits

    def predictions(self, inputs_N: Tensor) -> Tensor:
        """Return the class predicted for each input, (N,), in evaluation mode and without augmentation.

        Worker 0 predicts and the others are told: BatchNorm's running statistics are each worker's own.
        """
        if self.worker.rank == 0:
            self.model.eval()
            with torch.inference_mode():
                predicted_N = torch.cat([self._predict(chunk) for chunk in inputs_N.split(EVALUATION_BATCH)])
        else:
            predicted_N = torch.empty(len(inputs_N), dtype=torch.int64, device=self.device)
        return self.worker.from_first(predicted_N)

    def _predict(self, inputs_N: Tensor) -> Tensor:
        images = self.data.normalised(inputs_N).contiguous(memory_format=self.memory_format)
        return self.logits(self.model, images).argmax(1)

    def probabilities(self, inputs_N: Tensor) -> Tensor:
        """Return p(y=k) for each of a few inputs, (N, classes)."""
        self.model.eval()
        with torch.inference_mode():
            return self.logits(self.model, inputs_N).softmax(1)

    def test_error(self) -> float:
        """Return the top-1 error on the test images."""
        return measures.error(self.predictions(self.data.test_inputs_N), self.data.test_labels_N)

    def memorisation(self) -> dict[str, float | None]:
        """Return the training errors on real and on corrupted examples."""
        predicted_N = self.predictions(self.data.train_inputs_N)
        return measures.memorisation(predicted_N, self.labels_N, self.replaced_N)
