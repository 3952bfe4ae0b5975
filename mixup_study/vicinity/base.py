"""The interface of vicinal distributions (section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mixup_study.spec.seeds import stream_seed


@dataclass(frozen=True)
class Draws:
    """The random numbers that a vicinal distribution may use in one epoch, one stream a purpose."""

    interpolation: np.random.Generator
    """Draws lambda."""
    partners: torch.Generator
    """Draws which examples are mixed; lives on the device of the images."""

    @classmethod
    def for_epoch(cls, seed: int, epoch: int, device: torch.device) -> Draws:
        """Return the streams of one epoch; the same arguments give the same numbers on every worker."""
        return cls(
            np.random.default_rng(stream_seed(seed, "lambda", epoch)),
            torch.Generator(device).manual_seed(stream_seed(seed, "partners", epoch)),
        )


class VicinalDistribution(Protocol):
    """Turns a minibatch of training examples into virtual ones."""

    def sample(self, images_NCHW: Tensor, targets_NK: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return virtual images and targets of the shapes given.

        ``images_NCHW`` is float, normalised; each row of ``targets_NK`` is a probability vector. The minibatch
        is the whole one, whatever the number of data-parallel workers.
        """
