"""A network and the data set whose labels it predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from mixup_study.data import load_labelled_set
from mixup_study.data.preparation import prepare, reading_values
from mixup_study.networks.recompute import set_recompute
from mixup_study.study.seeds import stream_seed
from mixup_study.study.trial import Trial
from mixup_study.training.memory_layout import MemoryLayout
from mixup_study.training.task import Environment
from mixup_study.training.tasks import measures
from mixup_study.vicinity import LatentMix

Read = Callable[[Sequence[Tensor]], Iterator[Tensor]]
"""Yields the normalised inputs of each part of what is stored."""


class Predictions(NamedTuple):
    """What a network says of N examples, both int64 (N,)."""

    class_N: Tensor
    """The class of the largest logit."""
    rank_N: Tensor
    """How many classes have a larger logit than the label."""


def build_network(trial: Trial, folder: Path) -> nn.Module:
    """Return the network of a trial on the CPU; ``folder`` holds the data set, which says how large its inputs are.

    Raises InputError where the data set is not to be had.
    """
    dataset, network = trial.components.dataset, trial.components.network
    assert dataset is not None
    assert network is not None
    data = load_labelled_set(dataset.name, folder, torch.device("cpu"), **reading_values(trial))
    model: nn.Module = network.load()(trial, data.shape, data.classes)
    return model


class Classifier:
    """A trial's network, and its data set on its device, as the trial trains on it."""

    def __init__(self, trial: Trial, environment: Environment) -> None:
        """Load the data, corrupt the labels, hold out a validation part, and draw the initial weights."""
        dataset, network = trial.components.dataset, trial.components.network
        assert dataset is not None
        assert network is not None
        self.trial = trial
        self.worker = environment.worker
        self.device = environment.device
        self.precision: str = trial.precision
        """``bfloat16`` where forward passes are under autocast, else ``float32``."""
        data = load_labelled_set(dataset.name, environment.folder, self.device, **reading_values(trial))
        data = data.with_loaders(environment.loaders)
        self.data, self.replaced_N = prepare(data, trial)
        torch.manual_seed(stream_seed(trial.seed, "initial weights"))
        model: nn.Module = network.load()(trial, self.data.shape, self.data.classes)
        set_recompute(model, environment.recompute)
        self._layout = MemoryLayout(model, trial.memory_format or "contiguous", self.device)
        self.model = self._layout.model

    @classmethod
    def trained(cls, trial: Trial, environment: Environment) -> Self:
        """Return the classifier of a finished trial, in evaluation mode and float32, whose weights need no gradient."""
        classifier = cls(trial, environment)
        classifier.model.load_state_dict(environment.load_model(trial))
        classifier.model.eval().requires_grad_(False)
        classifier.precision = "float32"
        return classifier

    def logits(self, model: nn.Module, inputs_B: Tensor, latent: LatentMix | None = None) -> Tensor:
        """Return the logits (B, classes) of the network, which ``model`` may wrap, for normalised or mixed inputs."""
        inputs_B = self._layout.lay_out(self.data.represent(inputs_B))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            logits: Tensor = model(inputs_B) if latent is None else model(inputs_B, latent.layer, latent)
        return logits

    def predict(self, inputs_N: Tensor, labels_N: Tensor, read: Read | None = None) -> Predictions:
        """Return what the network says of stored inputs, in evaluation mode and without augmentation.

        ``read`` normalises what is stored in another way than the data set does. The workers share the inputs, all
        with worker 0's running statistics of BatchNorm.
        """
        self.worker.share_buffers(self.model)
        self.model.eval()
        both_2N = torch.zeros((2, len(inputs_N)), dtype=torch.int64, device=self.device)
        rows = torch.arange(len(inputs_N), device=self.device).split(self.data.evaluated_together)
        own = rows[self.worker.rank :: self.worker.count]
        normalised = (read or self.data.read)([inputs_N[row_B] for row_B in own])
        with torch.inference_mode():
            for row_B, inputs_B in zip(own, normalised, strict=True):
                logits_BK = self.logits(self.model, inputs_B)
                both_2N[0, row_B] = logits_BK.argmax(1)
                both_2N[1, row_B] = measures.rank_labels(logits_BK, labels_N[row_B])
        return Predictions(*self.worker.sum(both_2N))

    def probabilities(self, inputs_N: Tensor) -> Tensor:
        """Return p(y=k) for each of a few normalised inputs, (N, classes)."""
        self.model.eval()
        with torch.inference_mode():
            return self.logits(self.model, inputs_N).softmax(1)
