"""Parts of a user's own, outside of the package: a data set, a network, a method and a task, each with one entry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import nn

from mixup_study.catalogue import PERCENT, Dataset, Fields, Method, Metric, NeededTrial, Network, Task, Traits
from mixup_study.data import ImageSet, load_labelled_set
from mixup_study.study.trial import Trial
from mixup_study.training.task import Environment, Measurements
from mixup_study.training.tasks.evaluation import Evaluation
from mixup_study.vicinity import Draws, Examples, Minibatch, VirtualBatch


def load_stripes(folder: Path) -> ImageSet:
    """Return the images and labels of ``stripes.npz`` in the data folder; every fifth is a test image."""
    with np.load(folder / "stripes.npz") as file:
        images, labels = torch.from_numpy(file["images"]), torch.from_numpy(file["labels"])
    is_test = torch.arange(len(images)) % 5 == 0
    return ImageSet(
        train_inputs_N=images[~is_test],
        train_labels_N=labels[~is_test],
        test_inputs_N=images[is_test],
        test_labels_N=labels[is_test],
        classes=2,
        mean=(0.5,),
        std=(0.25,),
        pad=0,
        flip=False,
    )


class OneHiddenFields(Fields):
    """Fields of the network."""

    hidden: Annotated[int, Traits(sign="h", cost=True)] = Field(default=16, ge=1, description="Units.")


def build_one_hidden(trial: OneHiddenFields, shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return a plain PyTorch module."""
    units = trial.hidden
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), units), nn.ReLU(), nn.Linear(units, classes))


class CutoutFields(Fields):
    """Fields of the method."""

    side: int = Field(ge=1, description="Pixels of a side of the square.")


class Cutout:
    """A square of zeros at a random place of every minibatch."""

    def __init__(self, trial: CutoutFields, examples: Examples) -> None:
        """Take the side."""
        self._side = trial.side

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return the images with the square and the targets as they are."""
        inputs_B = minibatch.inputs_B.clone()
        row, column = (int(draws.permutation(size)[0]) for size in inputs_B.shape[2:])
        inputs_B[:, :, row : row + self._side, column : column + self._side] = 0
        return VirtualBatch(inputs_B, minibatch.targets_BK)


class ProbeFields(Fields):
    """Fields of the task."""

    source: NeededTrial = Field(description="Trial whose model is evaluated.")
    noise: float = Field(default=0.0, ge=0, description="Standard deviation of the noise on test images.")


class Probe(Evaluation):
    """Evaluates the model of another trial on noisy test images."""

    def __init__(self, trial: Trial, environment: Environment) -> None:
        """Load the data and the model of the trial's source."""
        self._trial, source = trial, trial.source
        data = load_labelled_set(source.dataset, environment.folder, environment.device)
        self._inputs_N, self._labels_N = data.normalised(data.test_inputs_N), data.test_labels_N
        self._model: nn.Module = source.components.network.load()(source, data.shape, data.classes)
        self._model.load_state_dict(environment.load_model(source))

    def evaluate(self) -> Measurements:
        """Return the accuracy under noise."""
        generator = torch.Generator().manual_seed(self._trial.seed)
        noise_N = torch.randn(self._inputs_N.shape, generator=generator)
        with torch.inference_mode():
            predicted_N = self._model.eval()(self._inputs_N + self._trial.noise * noise_N).argmax(1)
        return Measurements({"probe_accuracy": (predicted_N == self._labels_N).double().mean().item()})


ENTRIES = [
    Dataset("stripes", "own_parts:load_stripes", content=("stripes.npz",)),
    Network("one_hidden", "own_parts:build_one_hidden", OneHiddenFields, takes=frozenset({"images"})),
    Method("cutout", "own_parts:Cutout", CutoutFields, changes=frozenset({"input"})),
    Task("probe", "own_parts:Probe", ProbeFields, chooses=(), metrics=(Metric("probe_accuracy", PERCENT, "higher"),)),
]
