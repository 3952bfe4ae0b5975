from __future__ import annotations

import torch

from mixup_study.training.tasks import measures

PREDICTED = torch.tensor([0, 1, 2, 0, 1, 2, 2, 0])
TRAINED_ON = torch.tensor([0, 1, 1, 0, 2, 2, 0, 1])
REPLACED = torch.tensor([False, False, False, False, False, True, True, True])


def test_error_is_the_share_of_wrong_predictions() -> None:
    assert measures.error(PREDICTED, TRAINED_ON) == 4 / 8


def test_memorisation_counts_real_and_corrupted_examples_apart_against_the_labels_trained_on() -> None:
    found = measures.memorisation(PREDICTED, TRAINED_ON, REPLACED)
    assert found == {"train_error_real": 2 / 5, "train_error_corrupted": 2 / 3}


def test_without_corrupted_examples_there_is_no_error_on_them() -> None:
    found = measures.memorisation(PREDICTED, TRAINED_ON, torch.zeros(8, dtype=torch.bool))
    assert found == {"train_error_real": 4 / 8, "train_error_corrupted": None}


def test_over_epochs_gives_best_last_and_the_median_of_the_last_ten() -> None:
    errors = [0.01, 0.9, *[0.1 * step for step in range(1, 10)], 0.95]
    assert measures.over_epochs([{"test_error": error} for error in errors]) == {
        "test_error_best": 0.01,
        "test_error_last": 0.95,
        "test_error_median10": (0.1 * 5 + 0.1 * 6) / 2,
        "test_top5_error_last": None,
        **dict.fromkeys(("validation_error_best", "validation_error_last", "validation_error_median10")),
    }
    rows = [{"test_error": error, "test_top5_error": error / 2} for error in (0.3, 0.2, 0.4)]
    measured = measures.over_epochs(rows)
    assert (measured["test_error_median10"], measured["test_top5_error_last"]) == (0.3, 0.2)
    measured = measures.over_epochs([{"test_error": 0.5, "validation_error": error} for error in (0.3, 0.1, 0.4)])
    names = ("validation_error_best", "validation_error_median10", "validation_error_last", "test_error_best")
    assert [measured[name] for name in names] == [0.1, 0.3, 0.4, 0.5]


def test_the_rank_of_a_label_is_the_number_of_larger_logits() -> None:
    logits = torch.tensor([[0.1, 0.5, 0.3], [2.0, 2.0, -1.0], [float("nan"), 0.0, 1.0]])
    assert measures.rank_labels(logits, torch.tensor([2, 1, 0])).tolist() == [1, 0, 3]
    assert measures.rank_labels(logits.expand(2, 3, 3), torch.tensor([[1, 2, 2], [0, 0, 1]])).tolist() == [
        [0, 2, 1],
        [2, 0, 2],
    ]


def test_a_top5_error_is_that_of_labels_ranked_fifth_or_lower() -> None:
    ranks = torch.tensor([0, 4, 5, 9])
    assert measures.top5_error(ranks, 10) == 2 / 4
    assert measures.top5_error(ranks, 9) is None
