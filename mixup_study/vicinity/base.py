"""The interface of vicinal distributions (section 2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mixup_study.study.seeds import stream_seed
from mixup_study.study.trial import Trial


@dataclass(frozen=True)
class Draws:
    """The random numbers that a vicinal distribution may use in one epoch, one stream a purpose."""

    interpolation: np.random.Generator
    """Draws lambda, or Dirichlet weights."""
    partners: torch.Generator
    """Draws which examples are mixed; lives on the device of the inputs."""
    noise: torch.Generator
    """Draws noise that is added to inputs; lives on their device."""
    mixing: bool = True
    """False in an epoch in which nothing is mixed yet."""

    @classmethod
    def for_epoch(cls, seed: int, epoch: int, device: torch.device, warmup_epochs: int = 0, rank: int = 0) -> Draws:
        """Return the streams of one epoch; the same arguments give the same numbers on every worker.

        Nothing is mixed in the first ``warmup_epochs``. Workers that mix their own part of a minibatch each give their
        ``rank``, by which their partners and noise differ; lambda does not.
        """

        partners, noise = (_generator(seed, purpose, epoch, device, rank) for purpose in ("partners", "noise"))
        return cls(_interpolation(seed, epoch), partners, noise, mixing=epoch >= warmup_epochs)

    def state(self) -> dict[str, Any]:
        """Return how far the streams are."""
        return {
            "interpolation": self.interpolation.bit_generator.state,
            "partners": self.partners.get_state(),
            "noise": self.noise.get_state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Have the streams go on from what ``state`` returned."""
        self.interpolation.bit_generator.state = state["interpolation"]
        self.partners.set_state(state["partners"])
        self.noise.set_state(state["noise"])

    def lam(self, alpha: float) -> float:
        """Return lambda ~ Beta(alpha, alpha): 1/2 for infinity, 1 without a draw for 0 and where nothing is mixed."""
        if alpha == 0 or not self.mixing:
            return 1.0
        return 0.5 if math.isinf(alpha) else float(self.interpolation.beta(alpha, alpha))

    def permutation(self, size: int) -> Tensor:
        """Return a random permutation of ``size`` rows, (size,), on the device of the inputs."""
        return torch.randperm(size, generator=self.partners, device=self.partners.device)


@dataclass(frozen=True)
class PairDraws:
    """Draws of one minibatch, made beforehand: all that mixing with a permutation of the minibatch needs.

    Both are tensors, so that the same minibatches of many trials can be mixed at once (``torch.func.vmap``).
    """

    given_lam: Tensor
    """(), float64."""
    given_permutation_B: Tensor

    def lam(self, alpha: float) -> Tensor:
        """Return the lambda that was drawn."""
        return self.given_lam

    def permutation(self, size: int) -> Tensor:
        """Return the permutation that was drawn; the rows in their order where lambda is 1."""
        return self.given_permutation_B


def pair_draws(trial: Trial, epoch: int, sizes: Sequence[int], device: torch.device) -> tuple[np.ndarray, list[Tensor]]:
    """Return the lambdas (steps,) and the permutations that ``Draws`` gives a trial's minibatches of an epoch.

    ``sizes`` are those of the minibatches. Where lambda is 1 nothing is permuted, and no permutation drawn.
    """
    if not trial.alpha or epoch < trial.warmup_epochs:
        return np.ones(len(sizes)), [torch.arange(size, device=device) for size in sizes]
    interpolation, partners = _interpolation(trial.seed, epoch), _generator(trial.seed, "partners", epoch, device)
    lam_S = np.full(len(sizes), 0.5)
    if not math.isinf(trial.alpha):
        lam_S = interpolation.beta(trial.alpha, trial.alpha, len(sizes))
    return lam_S, [
        torch.arange(size, device=device) if lam == 1 else torch.randperm(size, generator=partners, device=device)
        for lam, size in zip(lam_S.tolist(), sizes, strict=True)
    ]


def _interpolation(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng(stream_seed(seed, "lambda", epoch))


def _generator(seed: int, purpose: str, epoch: int, device: torch.device, rank: int = 0) -> torch.Generator:
    return torch.Generator(device).manual_seed(stream_seed(seed, purpose, epoch, *([rank] if rank else [])))


@dataclass(frozen=True)
class Examples:
    """The training set as it was before any epoch, and a folder to keep in what was found out about it."""

    inputs_N: Tensor
    """As stored: images as uint8 (N, H, W, C)."""
    labels_N: Tensor
    """int64, as trained on: with their noise."""
    std: tuple[float, ...]
    """Per channel, that of the normalisation, of pixels scaled to [0, 1]."""
    folder: Path


@dataclass(frozen=True)
class Minibatch:
    """A minibatch of training examples, of which a data-parallel worker holds its part.

    The parts are contiguous, as ``Tensor.tensor_split`` makes them. What is drawn is drawn for the whole minibatch, so
    that it does not depend on the number of workers.
    """

    inputs_B: Tensor
    """float, augmented and normalised, of this worker's part."""
    targets_BK: Tensor
    """One-hot labels of this worker's part."""
    index_B: Tensor
    """Rows of the training set, of the whole minibatch."""
    look_up: Callable[[Tensor], tuple[Tensor, Tensor]]
    """Returns inputs and targets, as this epoch sees them, of any rows (N,) of the training set."""
    rank: int = 0
    workers: int = 1

    def part(self, values_B: Tensor) -> Tensor:
        """Return this worker's part of values of the whole minibatch."""
        return values_B if self.workers == 1 else values_B.tensor_split(self.workers)[self.rank]

    def take(self, order_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of this worker's part of the whole minibatch in another order."""
        if self.workers == 1:
            return self.inputs_B.index_select(0, order_B), self.targets_BK.index_select(0, order_B)
        return self.look_up(self.index_B[self.part(order_B)])

    def find_labels(self) -> Tensor:
        """Return the labels of the whole minibatch, (B,)."""
        targets_BK = self.targets_BK if self.workers == 1 else self.look_up(self.index_B)[1]
        return targets_BK.argmax(1)


@dataclass(frozen=True)
class LatentMix:
    """What to do to a network's hidden representation of a minibatch."""

    layer: int
    """The input of this stage, counted from 1."""
    lam: float
    partner_B: Tensor
    """Rows of the representation."""

    def __call__(self, latent_B: Tensor) -> Tensor:
        """Return the representation (B, …) mixed with that of the partners."""
        return mix(latent_B, latent_B.index_select(0, self.partner_B), self.lam)


@dataclass(frozen=True)
class VirtualBatch:
    """Virtual examples: inputs and targets of the shapes given; ``latent`` is done in the network, where set."""

    inputs_B: Tensor
    targets_BK: Tensor
    """Each row is a probability vector."""
    latent: LatentMix | None = None

    def split(self, size: int | None) -> list[VirtualBatch]:
        """Return the same in pieces of at most ``size`` examples, whole for None; not where ``latent`` is set."""
        if size is None or size >= len(self.inputs_B):
            return [self]
        pieces = zip(self.inputs_B.split(size), self.targets_BK.split(size), strict=True)
        return [VirtualBatch(inputs_B, targets_BK) for inputs_B, targets_BK in pieces]


class VicinalDistribution(Protocol):
    """Turns a minibatch of training examples into virtual ones."""

    def sample(self, minibatch: Minibatch, draws: Draws) -> VirtualBatch:
        """Return one virtual example for each of this worker's part of the minibatch."""


def mix(own: Tensor, other: Tensor, lam: float | Tensor) -> Tensor:
    """Return lambda own + (1 - lambda) other; for lambda = 1 that is ``own`` to the bit."""
    weight = 1 - lam
    return torch.lerp(own, other, weight.to(own.dtype) if isinstance(weight, Tensor) else weight)


def is_one(lam: float | Tensor) -> bool:
    """Return whether lambda is known to be 1, so that there is nothing to mix; of many at once it is not known."""
    return not isinstance(lam, Tensor) and lam == 1
