from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from mixup_study.spec.trial import METHOD_PARAMETERS, MethodName, Trial
from mixup_study.vicinity import METHODS, Draws

CPU = torch.device("cpu")


def trial(method: MethodName, **parameters: Any) -> Trial:
    return Trial(dataset="digits", model="preact_resnet18", epochs=1, batch_size=1, lr=0.1, method=method, **parameters)


def batch(size: int, classes: int = 5, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    images = torch.randn(size, 2, 3, 3, generator=generator, dtype=dtype)
    labels = torch.randint(classes, (size,), generator=generator)
    return images, F.one_hot(labels, classes).to(dtype)


def test_every_name_of_the_specification_has_a_distribution() -> None:
    assert set(METHODS) == set(get_args(MethodName)) == set(METHOD_PARAMETERS)


def test_erm_returns_the_minibatch_itself() -> None:
    images, targets = batch(7)
    sampled = METHODS["erm"](trial("erm")).sample(images, targets, Draws.for_epoch(0, 0, CPU))
    assert sampled[0] is images
    assert sampled[1] is targets


def test_mixup_with_alpha_zero_does_no_work() -> None:
    images, targets = batch(7)
    draws = Draws.for_epoch(0, 0, CPU)
    state = draws.partners.get_state()
    sampled = METHODS["mixup"](trial("mixup", alpha=0.0)).sample(images, targets, draws)
    assert sampled[0] is images
    assert sampled[1] is targets
    assert torch.equal(draws.partners.get_state(), state)


def test_mixup_combines_the_minibatch_with_a_permutation_of_itself() -> None:
    images, targets = batch(16)
    mixed_images, mixed_targets = METHODS["mixup"](trial("mixup", alpha=1.0)).sample(
        images, targets, Draws.for_epoch(0, 0, CPU)
    )
    draws = Draws.for_epoch(0, 0, CPU)
    lam = draws.interpolation.beta(1.0, 1.0)
    permutation = torch.randperm(16, generator=draws.partners)
    torch.testing.assert_close(mixed_images, lam * images + (1 - lam) * images[permutation])
    torch.testing.assert_close(mixed_targets, lam * targets + (1 - lam) * targets[permutation])


def test_the_loss_on_mixed_targets_is_the_two_term_formula() -> None:
    images, targets = batch(32)
    labels = targets.argmax(1)
    draws = Draws.for_epoch(3, 1, CPU)
    lam = draws.interpolation.beta(0.4, 0.4)
    permutation = torch.randperm(32, generator=draws.partners)
    mixed_images, mixed_targets = METHODS["mixup"](trial("mixup", alpha=0.4)).sample(
        images, targets, Draws.for_epoch(3, 1, CPU)
    )
    logits = mixed_images.flatten(1)[:, :5] * 3
    two_terms = lam * F.cross_entropy(logits, labels) + (1 - lam) * F.cross_entropy(logits, labels[permutation])
    torch.testing.assert_close(F.cross_entropy(logits, mixed_targets), two_terms, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_lambda_is_drawn_from_the_beta_distribution(alpha: float) -> None:
    mixup = METHODS["mixup"](trial("mixup", alpha=alpha))
    draws = Draws.for_epoch(0, 0, CPU)
    images = torch.tensor([0.0, 1.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    targets = torch.eye(2, dtype=torch.float64)
    lams = []
    while len(lams) < 4000:
        mixed, _ = mixup.sample(images, targets, draws)
        if mixed[0].item() != 0:  # the permutation swapped the two: entry 1 is lambda
            lams.append(mixed[1].item())
    found = np.array(lams)
    assert found.mean() == pytest.approx(0.5, abs=0.02)
    assert found.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


@given(size=st.integers(1, 40), alpha=st.floats(0, 100), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 1000))
def test_virtual_examples_keep_shape_and_dtype_and_their_targets_are_probabilities(
    size: int, alpha: float, seed: int, epoch: int
) -> None:
    images, targets = batch(size, dtype=torch.float32)
    mixup = METHODS["mixup"](trial("mixup", alpha=alpha))
    mixed_images, mixed_targets = mixup.sample(images, targets, Draws.for_epoch(seed, epoch, CPU))
    assert mixed_images.shape == images.shape
    assert mixed_targets.shape == targets.shape
    assert mixed_images.dtype == mixed_targets.dtype == torch.float32
    assert (mixed_targets >= 0).all()
    torch.testing.assert_close(mixed_targets.sum(1), torch.ones(size))
    again = mixup.sample(images, targets, Draws.for_epoch(seed, epoch, CPU))
    assert torch.equal(again[0], mixed_images)
