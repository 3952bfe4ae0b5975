"""Predictions and gradients in between training examples (Figure 2), by their definitions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mixup_study.study.trial import Trial
from mixup_study.training.task import Environment, Measurements
from mixup_study.training.tasks import between
from mixup_study.training.tasks.between import QUANTITIES, Between
from mixup_study.training.tasks.classifier import Classifier


def measure(source: Trial, environment: Environment, **fields: Any) -> Measurements:
    fields = {"pairs": 60, "lambdas": 5, **fields}
    return Between(Trial(task="between", source=source, **fields), environment).evaluate()


def test_each_lambda_has_what_its_definition_says(sources: dict[str, Trial], trained: Environment) -> None:
    trial = Trial(task="between", source=sources["ERM"], pairs=12, lambdas=5)
    task = Between(trial, trained)
    points = task.evaluate().points
    classifier = Classifier.trained(sources["ERM"], trained)
    data = classifier.data
    first, second = task._pairs()
    assert (first != second).all()
    for row, lam in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        values = []
        for i, j in zip(first.tolist(), second.tolist(), strict=True):
            x = lam * data.normalised(data.train_inputs_N[[i]]) + (1 - lam) * data.normalised(data.train_inputs_N[[j]])
            x.requires_grad_()
            logits = classifier.model(x)
            y_i, y_j = data.train_labels_N[i], data.train_labels_N[j]
            target = lam * F.one_hot(y_i, 10) + (1 - lam) * F.one_hot(y_j, 10)
            of_loss = torch.autograd.grad(F.cross_entropy(logits, target[None]), x, retain_graph=True)[0]
            of_logit = torch.autograd.grad(logits.max(), x)[0]
            missed = int(logits.argmax()) not in (int(y_i), int(y_j))
            values.append([missed, of_loss.norm().item(), of_logit.norm().item()])
        expected = np.array(values, float)
        for number, quantity in enumerate(QUANTITIES):
            place = number * 5 + row
            assert points["kind"][place] == quantity
            assert points["x"][place] == lam
            assert points["y"][place] == pytest.approx(expected[:, number].mean(), rel=1e-3, abs=1e-6)
            error = expected[:, number].std(ddof=1) / np.sqrt(12)
            assert points["value"][place] == pytest.approx(error, rel=1e-3, abs=1e-6)


def test_the_middle_and_the_mean_are_those_of_the_lambdas(sources: dict[str, Trial], trained: Environment) -> None:
    measured = measure(sources["mixup"], trained)
    for quantity in QUANTITIES:
        of_lambdas = measured.points["y"][measured.points["kind"] == quantity]
        assert measured.measurements[f"{quantity}_at_half"] == of_lambdas[2]
        assert measured.measurements[f"{quantity}_mean"] == pytest.approx(of_lambdas.mean())


def test_a_trained_network_misses_little_at_the_examples_themselves(
    sources: dict[str, Trial], trained: Environment
) -> None:
    measured = measure(sources["ERM"], trained, pairs=1000)
    misses = measured.points["y"][measured.points["kind"] == "misses"]
    assert misses[[0, -1]].max() < misses[2]


def test_the_size_of_a_batch_does_not_matter(
    sources: dict[str, Trial], trained: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measure(sources["ERM"], trained)
    monkeypatch.setattr(between, "PAIRS_BATCH", 7)
    parts = measure(sources["ERM"], trained)
    np.testing.assert_allclose(parts.points["y"], whole.points["y"], rtol=1e-4, atol=1e-6)


def test_other_pairs_by_another_seed_and_the_same_by_the_same(sources: dict[str, Trial], trained: Environment) -> None:
    once, again, other = (measure(sources["ERM"], trained, pairs_seed=seed) for seed in (0, 0, 1))
    assert once.measurements == again.measurements
    assert once.measurements != other.measurements


def test_labels_are_those_that_the_model_was_trained_with(sources: dict[str, Trial], trained: Environment) -> None:
    noisy = Trial(**sources["ERM"].to_dict() | {"label_noise": 1.0})
    environment = replace(trained, load_model=lambda trial: trained.load_model(sources["ERM"]))
    clean, corrupted = measure(sources["ERM"], trained), measure(noisy, environment)
    assert (corrupted.measurements["misses_mean"] or 0) > (clean.measurements["misses_mean"] or 0) + 0.3


def test_rows_of_a_table_are_mixed_too() -> None:
    from tests.training.alone import ALONE

    iris = Trial(dataset="iris", model="mlp", width=4, epochs=1, batch_size=16, lr=0.1)
    model = Classifier(iris, ALONE).model.state_dict()
    measured = measure(iris, replace(ALONE, load_model=lambda trial: model))
    assert measured.measurements["loss_gradient_norm_mean"] > 0
