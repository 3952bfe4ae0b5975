"""What a trial measures: errors as fractions in [0, 1]."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from torch import Tensor

TOP5_CLASSES = 10
"""Classes from which on a top-5 error is measured: among fewer it says little."""


def rank_labels(logits_NK: Tensor, labels_N: Tensor) -> Tensor:
    """Return how many classes have a larger logit than the label, int64 of the labels' shape.

    Logits have the labels' shape and one axis more. All classes are counted where the label's logit is not a number.
    """
    own_N1 = logits_NK.gather(-1, labels_N.unsqueeze(-1))
    return (~(logits_NK <= own_N1)).sum(-1)


def error(predicted_N: Tensor, labels_N: Tensor) -> float:
    """Return the share of wrong predictions among one example or more."""
    return (predicted_N != labels_N).double().mean().item()


def top5_error(rank_N: Tensor, classes: int) -> float | None:
    """Return the share of labels that are not among the five largest logits; None below TOP5_CLASSES."""
    return (rank_N >= 5).double().mean().item() if classes >= TOP5_CLASSES else None


def over_epochs(rows: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """Return the lowest test error, the last one, and the median of the last ten (Tables 2 and 5); the last top-5.

    And the same three of the validation error; None without a validation part.
    """
    measurements: dict[str, float | None] = {"test_top5_error_last": rows[-1].get("test_top5_error")}
    for name in ("test_error", "validation_error"):
        errors = [row[name] for row in rows if name in row]
        measurements[f"{name}_best"] = min(errors, default=None)
        measurements[f"{name}_last"] = errors[-1] if errors else None
        measurements[f"{name}_median10"] = statistics.median(errors[-10:]) if errors else None
    return measurements


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


def no_memorisation() -> dict[str, float | None]:
    """Return the same where the training set is not predicted: None."""
    return {"train_error_real": None, "train_error_corrupted": None}
