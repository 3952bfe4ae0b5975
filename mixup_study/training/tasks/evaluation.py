"""What tasks have in common that evaluate trained models and learn nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mixup_study.training.task import Measurements, Row


class Evaluation(ABC):
    """A Task without epochs and without a model of its own."""

    examples = 0

    @abstractmethod
    def evaluate(self) -> Measurements:
        """Return what the trial measures."""

    def measure(self, rows: Sequence[Row]) -> Measurements:
        """Return what the trial measures; there are no rows of epochs."""
        return self.evaluate()

    def run_epoch(self, epoch: int) -> Row:
        """Never be called: there are no epochs."""
        raise AssertionError("an evaluation has no epochs")

    def model_state(self) -> Mapping[str, Tensor]:
        """Return nothing: there is no model of its own."""
        return {}

    def state(self) -> dict[str, Any]:
        """Never be called: checkpoints are saved after epochs."""
        raise AssertionError("an evaluation has no checkpoints")

    def load(self, state: dict[str, Any]) -> None:
        """Never be called: there are no checkpoints."""
        raise AssertionError("an evaluation has no checkpoints")
