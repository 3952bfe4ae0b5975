from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mixup_study.data import labelled
from mixup_study.networks import preact_resnet
from mixup_study.study.trial import Trial
from mixup_study.training.optimizers import learning_rate
from mixup_study.training.task import TrainingDiverged, TrialResult
from mixup_study.training.tasks.classification import Classification
from mixup_study.vicinity import VirtualBatch
from tests.training.alone import ALONE, train_alone

CPU = torch.device("cpu")
FOLDER = Path("/dev/null")


def trial(**fields: Any) -> Trial:
    small = {"train_size": 130, "label_noise": 0.5, "width": 2, "epochs": 2, "batch_size": 32, "lr": 0.1}
    return Trial(**{"dataset": "digits", "model": "preact_resnet18", **small, **fields})


def trained(trial: Trial) -> TrialResult:
    return train_alone(trial)


def numbers(measured: TrialResult) -> list[Any]:
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in measured.epochs]
    return [measured.measurements, rows]


METHODS = [
    {},
    {"dropout": 0.3},
    {"method": "mixup", "alpha": 1.0},
    {"method": "mixup", "alpha": 8.0, "dropout": 0.3},
    {"method": "mixup", "alpha": 1.0, "neighbours": 3, "same_class": True},
    {"method": "mixup", "alpha": 1.0, "same_class": True},
    {"method": "mix_inputs", "alpha": 1.0, "label_smoothing": 0.1},
    {"method": "latent_mixup", "alpha": 1.0, "layer": 5},
    {"method": "latent_mixup", "alpha": 1.0, "layer": 2, "precision": "bfloat16"},
    {"method": "dirichlet_mixup", "alpha": 1.0, "ways": 3},
    {"method": "gaussian_noise", "sigma": 0.2},
    {"method": "label_smoothing", "label_smoothing": 0.1},
    {"model": "mlp"},
    {"precision": "bfloat16"},
    {"memory_format": "channels_last", "fused": False},
]


@pytest.mark.parametrize("fields", METHODS, ids=str)
def test_the_same_trial_trained_twice_is_bit_identical(fields: dict[str, Any]) -> None:
    first = trained(trial(**fields))
    torch.rand(7)  # what else the process drew must not matter
    trained(trial(seed=5))
    assert numbers(trained(trial(**fields))) == numbers(first)


def test_mixup_with_alpha_zero_is_erm() -> None:
    assert numbers(trained(trial(method="mixup", alpha=0.0))) == numbers(trained(trial()))


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "mixup", "alpha": 1.0},
        {"method": "mixup", "alpha": 1.0, "same_class": True, "neighbours": 3},
        {"method": "mix_inputs", "alpha": 1.0},
        {"method": "latent_mixup", "alpha": 1.0, "layer": 2},
        {"method": "dirichlet_mixup", "alpha": 1.0, "ways": 3},
    ],
    ids=str,
)
def test_nothing_is_mixed_before_the_warmup_is_over(fields: dict[str, Any]) -> None:
    losses, erm, mixed = (
        [row["train_loss"] for row in trained(trial(epochs=3, **own)).epochs]
        for own in (fields | {"warmup_epochs": 2}, {}, fields)
    )
    assert losses[:2] == erm[:2]
    assert losses[2] not in (erm[2], mixed[2])
    assert mixed[0] != erm[0]


def test_the_validation_error_is_that_on_the_part_held_out() -> None:
    held_out = trial(validation=0.2, data_seed=1)
    run = Classification(held_out, ALONE)
    assert run.data.validation is not None
    assert [run.examples, len(run.data.validation.labels_N)] == [104, 26]
    rows = [run.run_epoch(epoch) for epoch in range(held_out.epochs)]
    with torch.no_grad():
        logits_NK = run.model.eval()(run.data.normalised(run.data.validation.inputs_N))
    last = (logits_NK.argmax(1) != run.data.validation.labels_N).double().mean().item()
    measured = trained(held_out)
    assert rows[-1]["validation_error"] == measured.measurements["validation_error_last"] == last
    assert measured.measurements["validation_error_best"] == min(row["validation_error"] for row in rows)
    assert trained(trial()).measurements["validation_error_last"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1},
        {"data_seed": 1},
        {"label_noise": 0.4},
        {"augment": False},
        {"dropout": 0.5},
        {"method": "mixup", "alpha": 1.0},
        {"method": "mixup", "alpha": 1.0, "neighbours": 3},
        {"method": "latent_mixup", "alpha": 1.0, "layer": 3},
        {"method": "gaussian_noise", "sigma": 0.2},
        {"method": "label_smoothing", "label_smoothing": 0.1},
        {"model": "mlp"},
        {"weight_decay": 0.01},
        {"momentum": 0.5},
        {"lr": 0.2},
        {"milestones": [1]},
        {"batch_size": 16},
        {"train_size": 140},
        {"width": 3},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_every_hyper_parameter_has_an_effect(fields: dict[str, Any]) -> None:
    assert numbers(trained(trial(**fields))) != numbers(trained(trial()))


def test_every_epoch_is_reported_as_it_ends_and_recorded() -> None:
    told: list[dict[str, Any]] = []
    measured = train_alone(trial(epochs=3, milestones=[1, 2]), report=told.append)
    assert measured.epochs == told
    assert [row["epoch"] for row in told] == [1, 2, 3]
    assert [row["lr"] for row in told] == pytest.approx([0.1, 0.01, 0.001])
    assert measured.measurements["test_error_last"] == told[-1]["test_error"]
    assert all(row["seconds"] > 0 for row in told)
    assert measured.seconds > sum(row["seconds"] for row in told)


def test_the_learning_rate_falls_after_each_milestone() -> None:
    falling = trial(milestones=[100, 150], epochs=200)
    assert [learning_rate(falling, epoch) for epoch in (0, 99, 100, 149, 150, 199)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )


def test_an_epoch_visits_every_example_once_and_keeps_the_smaller_last_minibatch() -> None:
    run = Classification(trial(), ALONE)
    assert [len(minibatch.inputs_B) for minibatch in run.minibatches(0)] == [32, 32, 32, 32, 2]
    assert run.order(0).sort().values.tolist() == list(range(130))
    assert not torch.equal(run.order(0), run.order(1))


@pytest.mark.parametrize("values", [1, 2 * 32 * 64, 2**22])
def test_minibatches_are_the_same_however_many_are_gathered_at_once(
    values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Classification(trial(), ALONE)
    images = run.inputs.epoch(run.trial.seed, 3)
    monkeypatch.setattr(labelled, "GATHERED_VALUES", values)
    for index, minibatch in zip(run.order(3).split(32), run.minibatches(3), strict=True):
        assert torch.equal(minibatch.index_B, index)
        assert torch.equal(minibatch.inputs_B, images[index])
        assert torch.equal(minibatch.targets_BK, run.targets(index))


@pytest.mark.parametrize("method", [{}, {"method": "mixup", "alpha": 1.0}, {"dropout": 0.5}], ids=str)
def test_all_methods_learn_from_the_same_corrupted_labels(method: dict[str, Any]) -> None:
    plain = Classification(trial(), ALONE)
    other = Classification(trial(seed=9, **method), ALONE)
    assert torch.equal(plain.labels_N, other.labels_N)
    assert torch.equal(plain.replaced_N, other.replaced_N)
    assert torch.equal(plain.data.test_labels_N, other.data.test_labels_N)


def test_test_labels_stay_clean() -> None:
    clean = Classification(trial(label_noise=0.0), ALONE)
    noisy = Classification(trial(label_noise=1.0), ALONE)
    assert torch.equal(clean.data.test_labels_N, noisy.data.test_labels_N)
    assert not torch.equal(clean.labels_N, noisy.labels_N)


def test_a_step_is_plain_sgd_on_the_mean_cross_entropy() -> None:
    fields = {"momentum": 0.0, "weight_decay": 0.1, "width": 2, "fused": False}
    run = Classification(trial(**fields), ALONE)
    reference = Classification(trial(**fields), ALONE)
    images = torch.randn(8, 1, 8, 8)
    labels = torch.arange(8)
    run.model.train()
    loss_sum = run.step(VirtualBatch(images, F.one_hot(labels, 10).float()), 8)
    reference.model.train()
    loss = F.cross_entropy(reference.model(images), labels)
    parameters = list(reference.model.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.data -= 0.1 * (gradient + 0.1 * parameter.data)
    assert loss_sum.item() / 8 == pytest.approx(loss.item(), rel=1e-5)
    for found, expected in zip(run.model.parameters(), parameters, strict=True):
        torch.testing.assert_close(found, expected)


def test_errors_are_measured_in_evaluation_mode_on_images_as_they_are() -> None:
    run = Classification(trial(dropout=0.9, train_size=None), ALONE)
    run.train_epoch(0)
    once, again = (run.predict(run.data.train_inputs_N, run.labels_N) for _ in range(2))
    assert torch.equal(once.class_N, again.class_N)
    assert once.class_N.shape == once.rank_N.shape == (1437,)  # more than one chunk
    run.model.eval()
    with torch.no_grad():
        logits = run.model(run.data.normalised(run.data.train_inputs_N))
    assert torch.equal(once.class_N, logits.argmax(1))
    assert torch.equal(once.rank_N, (logits.argsort(1, descending=True) == run.labels_N[:, None]).int().argmax(1))


def test_a_loss_that_is_not_finite_ends_the_trial_and_names_the_epoch() -> None:
    with pytest.raises(TrainingDiverged, match=r"the training loss of epoch \d+ is (nan|inf)"):
        trained(trial(lr=1e30, epochs=5))


def test_the_training_loss_of_mixup_is_the_mean_over_virtual_examples() -> None:
    loss = trained(trial(method="mixup", alpha=1.0, epochs=1, lr=1e-9)).epochs[0]["train_loss"]
    assert loss == pytest.approx(math.log(10), rel=0.2)  # an untrained network on ten classes


def test_the_learning_rate_rises_by_steps_and_then_falls_at_the_milestones() -> None:
    warm = trial(epochs=4, lr=0.4, lr_warmup_epochs=2, lr_warmup_from=0.1, milestones=[3])
    rates = [learning_rate(warm, epoch, share) for epoch in range(4) for share in (0, 0.5)]
    assert rates == pytest.approx([0.1, 0.175, 0.25, 0.325, 0.4, 0.4, 0.04, 0.04])
    assert learning_rate(warm, 0) == pytest.approx(0.25)  # at its end
    run = Classification(warm, ALONE)
    taken: list[float] = []
    step = run.step

    def listened(*arguments: Any) -> Any:
        taken.append(run.optimizer.param_groups[0]["lr"])
        return step(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "step", listened)
        run.train_epoch(0)
    assert taken == pytest.approx([0.1 + 0.15 * number / 5 for number in range(5)])


def test_nesterov_and_the_decay_of_norms_are_pytorchs() -> None:
    usual = Classification(trial(), ALONE).optimizer
    assert (len(usual.param_groups), usual.param_groups[0]["nesterov"]) == (1, False)
    run = Classification(trial(nesterov=True, norm_decay=False, weight_decay=0.1), ALONE)
    others, norms = run.optimizer.param_groups
    assert (others["nesterov"], others["weight_decay"], norms["weight_decay"]) == (True, 0.1, 0.0)
    named = {id(parameter): name for name, parameter in run.model.named_parameters()}
    assert len(others["params"]) + len(norms["params"]) == len(named)
    scales = {id(parameter) for parameter in norms["params"]}
    expected = {
        id(parameter)
        for module in run.model.modules()
        if isinstance(module, nn.BatchNorm2d)
        for parameter in (module.weight, module.bias)
    }
    assert scales == expected


class Normless(nn.Module):
    """A network without BatchNorm, in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10)).double()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(images.double())
        return logits


@pytest.mark.parametrize("micro_batch", [1, 7, 32, 100])
def test_pieces_of_a_minibatch_add_up_to_its_gradient(micro_batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preact_resnet, "build_preact_resnet18", lambda trial, shape, classes: Normless())
    whole, pieces = (Classification(trial(**fields), ALONE) for fields in ({}, {"micro_batch": micro_batch}))
    losses = [run.train_epoch(0) for run in (whole, pieces)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    for one, other in zip(whole.model.parameters(), pieces.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
