from __future__ import annotations

import pytest
import torch

from mixup_study.data.label_noise import corrupt

LABELS = torch.arange(100_000) % 10


@pytest.mark.parametrize("probability", [0.2, 0.5, 0.8])
def test_each_label_is_replaced_with_the_probability(probability: float) -> None:
    _, replaced = corrupt(LABELS, 10, probability, seed=0)
    # five standard deviations of a binomial share
    assert replaced.double().mean().item() == pytest.approx(probability, abs=5 * (0.25 / len(LABELS)) ** 0.5)


def test_replacements_are_uniform_over_all_classes_whatever_the_true_label() -> None:
    noisy, replaced = corrupt(LABELS, 10, 0.8, seed=0)
    counts = torch.zeros(10, 10)
    counts.index_put_((LABELS[replaced], noisy[replaced]), torch.ones(1), accumulate=True)
    expected = counts.sum(1, keepdim=True) / 10
    chi_squared = ((counts - expected) ** 2 / expected).sum().item()
    assert chi_squared < 150  # 90 degrees of freedom: exceeded with a chance of about 1e-4


def test_a_tenth_of_the_replaced_labels_keep_their_class_by_chance() -> None:
    noisy, replaced = corrupt(LABELS, 10, 0.5, seed=1)
    kept = (noisy == LABELS)[replaced].double().mean().item()
    assert kept == pytest.approx(0.1, abs=0.01)


def test_labels_that_are_not_replaced_stay() -> None:
    noisy, replaced = corrupt(LABELS, 10, 0.5, seed=0)
    assert torch.equal(noisy[~replaced], LABELS[~replaced])


def test_without_noise_nothing_is_replaced_and_with_certainty_everything() -> None:
    assert not corrupt(LABELS, 10, 0.0, seed=0)[1].any()
    assert corrupt(LABELS, 10, 1.0, seed=0)[1].all()


def test_the_draw_depends_on_the_seed_and_the_probability_alone() -> None:
    first = corrupt(LABELS, 10, 0.5, seed=3)
    torch.manual_seed(12345)
    again = corrupt(LABELS, 10, 0.5, seed=3)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], corrupt(LABELS, 10, 0.5, seed=4)[1])
