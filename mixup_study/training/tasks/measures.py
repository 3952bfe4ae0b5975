"""What a trial measures: errors as fractions in [0, 1]."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from torch import Tensor


def error(predicted_N: Tensor, labels_N: Tensor) -> float:
    """Return the share of wrong predictions among one example or more."""
    return (predicted_N != labels_N).double().mean().item()


def over_epochs(test_errors: Sequence[float]) -> dict[str, float | None]:
    """Return the lowest test error, the last one, and the median of the last ten (Tables 2 and 5)."""
    return {
        "test_error_best": min(test_errors),
        "test_error_last": test_errors[-1],
        "test_error_median10": statistics.median(test_errors[-10:]),
    }


def memorisation(predicted_N: Tensor, labels_N: Tensor, replaced_N: Tensor) -> dict[str, float | None]:
    """Return the training errors on real and on corrupted examples, None where there are no such examples.

    Both count predictions against the labels trained on; ``replaced_N`` is the mask of corrupted examples,
    whatever label they drew (section 3.4).
    """
    groups = {"train_error_real": ~replaced_N, "train_error_corrupted": replaced_N}
    return {
        name: error(predicted_N[among_N], labels_N[among_N]) if among_N.any() else None
        for name, among_N in groups.items()
    }
