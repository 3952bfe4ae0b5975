"""How the training set of a trial is made of a data set's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixup_study.data import load_labelled_set
from mixup_study.data.preparation import draw_held_out, prepare, reading_values
from mixup_study.study.trial import Trial

CPU = torch.device("cpu")
DIGITS = load_labelled_set("digits", Path("/dev/null"), CPU)


def trial(**fields: Any) -> Trial:
    return Trial(**{"dataset": "digits", "model": "mlp", "epochs": 1, "batch_size": 1, "lr": 0.1, **fields})


@given(
    labels=st.lists(st.integers(0, 5), min_size=2, max_size=60),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**63 - 1),
)
def test_of_each_class_the_same_share_is_held_out(labels: list[int], share: float, seed: int) -> None:
    labels_N = torch.tensor(labels)
    count = round(share * len(labels))
    if not 0 < count < len(labels):
        with pytest.raises(ValueError, match="expected one at least, not all"):
            draw_held_out(labels_N, share, seed)
        return
    held_N = draw_held_out(labels_N, share, seed)
    assert held_N.sum().item() == count
    assert torch.equal(held_N, draw_held_out(labels_N, share, seed))
    for label in set(labels):
        expected = count * labels.count(label) / len(labels)
        assert math.floor(expected) <= held_N[labels_N == label].sum().item() <= math.ceil(expected)


def test_every_example_is_held_out_equally_often() -> None:
    labels_N = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    draws = torch.stack([draw_held_out(labels_N, 0.3, seed) for seed in range(2000)])
    # five standard deviations of a binomial share
    torch.testing.assert_close(draws.double().mean(0), torch.full((10,), 0.3).double(), atol=0.052, rtol=0)


def test_the_validation_part_and_the_training_set_share_out_the_corrupted_examples() -> None:
    whole, replaced_N = prepare(DIGITS, trial(label_noise=0.5, train_size=1000, data_seed=3))
    held, held_replaced_N = prepare(DIGITS, trial(label_noise=0.5, train_size=1000, validation=0.1, data_seed=3))
    assert held.validation is not None
    assert len(held.validation.labels_N) == 100
    assert len(held.train_labels_N) == len(held_replaced_N) == 900
    mask_N = draw_held_out(whole.train_labels_N, 0.1, 3)
    assert torch.equal(held.validation.inputs_N, whole.train_inputs_N[mask_N])
    assert torch.equal(held.validation.labels_N, whole.train_labels_N[mask_N])
    assert torch.equal(held.train_inputs_N, whole.train_inputs_N[~mask_N])
    assert torch.equal(held.train_labels_N, whole.train_labels_N[~mask_N])
    assert torch.equal(held_replaced_N, replaced_N[~mask_N])
    assert torch.equal(held.test_inputs_N, DIGITS.test_inputs_N)


def test_another_seed_holds_out_other_examples_and_none_by_default() -> None:
    assert prepare(DIGITS, trial())[0].validation is None
    first, second = (prepare(DIGITS, trial(validation=0.2, data_seed=seed))[0].validation for seed in (0, 1))
    assert first is not None
    assert second is not None
    assert not torch.equal(first.inputs_N, second.inputs_N)


def test_a_table_holds_out_by_the_seed_of_its_split() -> None:
    def held_out(**fields: Any) -> torch.Tensor:
        asked = trial(dataset="iris", validation=0.2, **fields)
        data = load_labelled_set("iris", Path("/dev/null"), CPU, **reading_values(asked))
        prepared, _ = prepare(data, asked)
        assert prepared.validation is not None
        return prepared.validation.inputs_N

    assert torch.equal(held_out(seed=3), held_out(split_seed=3))
    assert not torch.equal(held_out(seed=3), held_out(split_seed=4))
    assert len(held_out()) == 24


def test_the_part_goes_to_the_device_with_the_rest() -> None:
    held, _ = prepare(DIGITS, trial(validation=0.2))
    moved = held.to(torch.device("meta"))
    assert moved.validation is not None
    assert {part.device.type for part in moved.validation} == {"meta"}
    assert DIGITS.to(CPU).validation is None
