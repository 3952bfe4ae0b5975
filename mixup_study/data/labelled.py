"""What every labelled data set offers, whatever its inputs are."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from mixup_study.study.seeds import stream_seed

GATHERED_VALUES = 2**22
"""Pixels, channels counted, that are augmented at a time: 16 MiB as float32."""
EVALUATED_VALUES = 2**24
"""The same of inputs that are evaluated at a time, and at most EVALUATED of them."""
EVALUATED = 1000


class Inputs(ABC):
    """Training inputs as one epoch sees them."""

    @abstractmethod
    def __getitem__(self, index_B: Tensor) -> Tensor:
        """Return the inputs at ``index_B`` as methods mix them, float32 (B, …)."""

    def read(self, parts: Sequence[Tensor], values: int) -> Iterator[Tensor]:
        """Yield the inputs at each of ``parts`` in turn; an input has so many ``values``."""
        return gather(self.__getitem__, parts, values)


def gather(look_up: Callable[[Tensor], Tensor], parts: Sequence[Tensor], values: int) -> Iterator[Tensor]:
    """Yield what ``look_up`` returns for each of ``parts``, of which an example has so many ``values``.

    Several parts are looked up at once, as far as they are small: small networks would wait for each.
    """
    together = max(1, GATHERED_VALUES // (len(parts[0]) * values))
    for first in range(0, len(parts), together):
        group = parts[first : first + together]
        yield from look_up(torch.cat(list(group))).split([len(part) for part in group])


class Augmented(Protocol):
    """Training inputs that may differ from epoch to epoch."""

    def epoch(self, seed: int, epoch: int) -> Inputs:
        """Return the training inputs of an epoch; the same (seed, epoch) gives the same."""


class Part(NamedTuple):
    """Examples that are held out of training."""

    inputs_N: Tensor
    """As stored, (N, …)."""
    labels_N: Tensor
    """int64, (N,)."""


@dataclass(frozen=True)
class LabelledSet(ABC):
    """Training, test and perhaps validation inputs with their labels, all on one device.

    Inputs are as stored, (N, …); labels are int64 in [0, classes), shape (N,).
    """

    train_inputs_N: Tensor
    train_labels_N: Tensor
    test_inputs_N: Tensor
    test_labels_N: Tensor
    classes: int
    validation: Part | None = field(default=None, kw_only=True)
    """Held out of training, to choose by; None without."""
    digest: str | None = field(default=None, kw_only=True)
    """Names the content of a data set that may differ from machine to machine; None of others."""

    @property
    def measured_parts(self) -> dict[str, Part]:
        """Return what errors are measured on, by name: ``test``, and ``validation`` where there is such a part."""
        parts = {"test": Part(self.test_inputs_N, self.test_labels_N)}
        return parts if self.validation is None else {**parts, "validation": self.validation}

    @property
    def sizes(self) -> dict[str, int]:
        """Return how many examples it has to train on and in each held-out part, by name."""
        held_out = {name: len(part.labels_N) for name, part in self.measured_parts.items()}
        return {"training": len(self.train_labels_N), **held_out}

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one input as networks take it."""

    @abstractmethod
    def normalised(self, inputs_N: Tensor) -> Tensor:
        """Return stored inputs as methods mix them, float32."""

    def read(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the same of each of ``parts``."""
        return map(self.normalised, parts)

    def pixels(self, inputs_N: Tensor) -> Tensor:
        """Return stored images as float32 pixels in [0, 255], in the shape that ``normalised_pixels`` takes."""
        return inputs_N.float()

    def normalised_pixels(self, pixels_N: Tensor) -> Tensor:
        """Return pixels as methods mix them; gradients flow through it."""
        return self.normalised(pixels_N)

    @property
    def evaluated_together(self) -> int:
        """Return how many inputs are evaluated at a time."""
        return max(1, min(EVALUATED, EVALUATED_VALUES // math.prod(self.shape)))

    @property
    def is_streamed(self) -> bool:
        """Return whether inputs are read each time that they are used, which takes long."""
        return False

    def with_loaders(self, processes: int) -> Self:
        """Return the data set with so many processes that read inputs, if it reads any; 0 reads in this process."""
        return self

    def represent(self, inputs_B: Tensor) -> Tensor:
        """Return normalised inputs, mixed or not, as networks take them: as they are, unless a data set says more."""
        return inputs_B

    def augmented(self, enabled: bool) -> Augmented:
        """Return the training inputs, augmented as suits them where ``enabled``: as a rule nothing suits them."""
        return Unaugmented(self)

    def to(self, device: torch.device) -> Self:
        """Return the same data set on ``device``."""
        return replace(
            self,
            train_inputs_N=self.train_inputs_N.to(device),
            train_labels_N=self.train_labels_N.to(device),
            test_inputs_N=self.test_inputs_N.to(device),
            test_labels_N=self.test_labels_N.to(device),
            validation=None if self.validation is None else Part(*(part.to(device) for part in self.validation)),
        )

    def subset(self, size: int | None, seed: int) -> Self:
        """Return the data set with ``size`` training examples, drawn by ``seed``; with all of them for None.

        Raises ValueError where there are fewer than ``size``.
        """
        available = len(self.train_labels_N)
        if size is None:
            return self
        if size > available:
            raise ValueError(f"train_size {size}: the data set has {available} training examples")
        generator = torch.Generator().manual_seed(stream_seed(seed, "train_size"))
        chosen_N = torch.randperm(available, generator=generator)[:size].sort().values
        chosen_N = chosen_N.to(self.train_labels_N.device)
        return replace(self, train_inputs_N=self.train_inputs_N[chosen_N], train_labels_N=self.train_labels_N[chosen_N])


@dataclass(frozen=True)
class Unaugmented(Inputs):
    """Training inputs that are the same in every epoch."""

    data: LabelledSet

    def epoch(self, seed: int, epoch: int) -> Self:
        """Return the inputs themselves."""
        return self

    def __getitem__(self, index_B: Tensor) -> Tensor:
        """Return the normalised inputs at ``index_B``."""
        return self.data.normalised(self.data.train_inputs_N[index_B])
