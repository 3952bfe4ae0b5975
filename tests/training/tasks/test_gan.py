from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mixup_study.data.densities import GAUSSIAN_GRID, GAUSSIAN_RING, NEAR
from mixup_study.store.record import TrialRecord
from mixup_study.study.seeds import stream_seed
from mixup_study.study.trial import Trial
from mixup_study.training.checkpoint import Stopped
from mixup_study.training.task import TrainingDiverged, TrialResult
from mixup_study.training.tasks import gan
from mixup_study.training.tasks.gan import GAN, KEPT, is_kept
from mixup_study.vicinity.base import Draws
from tests.fixtures import PROVENANCE
from tests.training.alone import ALONE, CPU, train_alone
from tests.training.test_checkpoint import Memory, Run, numbers

MIXUP: dict[str, Any] = {"method": "mixup", "alpha": 0.2}


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an epoch be of twelve generator steps, so that a trial of three keeps samples of 10 and of 36."""
    monkeypatch.setattr(gan, "STEPS", 12)


def trial(**fields: Any) -> Trial:
    small = {"width": 8, "epochs": 3, "batch_size": 8, "discriminator_steps": 2, "optimizer": "adam", "lr": 1e-3}
    return Trial(**{"task": "gan", "dataset": "gaussian_ring", "model": "mlp", "weight_decay": 0.0, **small, **fields})


def points(count: int, seed: int) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))


def everything(measured: TrialResult) -> list[Any]:
    return [numbers(measured), {name: column.tolist() for name, column in measured.points.items()}]


def test_the_discriminator_of_erm_tells_real_from_generated() -> None:
    run = GAN(trial(), ALONE)
    real, fake = points(8, 0), 3 * points(8, 1)
    loss = run.discriminator_loss(real, fake, None)
    took_for_real, took_fake_for_real = (run.discriminator(each).sigmoid() for each in (real, fake))
    torch.testing.assert_close(loss, -took_for_real.log().mean() - (1 - took_fake_for_real).log().mean())


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.5, 1.0])
def test_the_discriminator_of_mixup_tells_how_much_is_real(lam: float) -> None:
    run = GAN(trial(**MIXUP), ALONE)
    real, fake = points(8, 0), 3 * points(8, 1)
    loss = run.discriminator_loss(real, fake, lam)
    share = run.discriminator(lam * real + (1 - lam) * fake).sigmoid()
    torch.testing.assert_close(loss, -(lam * share.log() + (1 - lam) * (1 - share).log()).mean())


@pytest.mark.parametrize(("lam", "expected"), [(None, 1000.0), (0.25, 750.0)])
def test_a_discriminator_that_is_sure_has_a_finite_loss(lam: float | None, expected: float) -> None:
    run = GAN(trial(), ALONE)
    for weights in run.discriminator.parameters():
        torch.nn.init.zeros_(weights)
    torch.nn.init.constant_(list(run.discriminator.parameters())[-1], 1000.0)
    loss = run.discriminator_loss(points(8, 0), points(8, 1), lam)
    loss.backward()
    assert loss.item() == pytest.approx(expected)
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in run.discriminator.parameters())


def plainly(trial: Trial, epoch: int, run: GAN) -> list[float]:
    """Train ``run`` for an epoch as section 3.7 tells it; return the mean losses of its players."""
    players = [run.discriminator, run.generator]
    weights = [list(player.parameters()) for player in players]
    adams = [torch.optim.Adam(own, lr=trial.lr) for own in weights]
    totals = [0.0, 0.0]

    def bce(logits: Tensor, target: float) -> Tensor:
        return F.binary_cross_entropy(logits.sigmoid(), torch.full_like(logits, target))

    def step(player: int, loss: Tensor, share: float) -> None:
        for weight, gradient in zip(weights[player], torch.autograd.grad(loss, weights[player]), strict=True):
            weight.grad = gradient
        adams[player].step()
        totals[player] += loss.item() * share

    size, turns = trial.batch_size, trial.discriminator_steps
    draws = Draws.for_epoch(trial.seed, epoch, CPU)
    stream = torch.Generator().manual_seed(stream_seed(trial.seed, "data", epoch))
    real = iter(trial.components.dataset.load().sample(gan.STEPS * turns * size, stream).split(size))
    noise = iter(torch.randn(gan.STEPS * (turns + 1), size, 2, generator=draws.noise))
    for _ in range(gan.STEPS):
        for _ in range(turns):
            x, g = next(real), run.generator(next(noise))
            if trial.alpha is None or epoch < trial.warmup_epochs:
                loss = bce(run.discriminator(x), 1) + bce(run.discriminator(g), 0)
            else:
                lam = draws.lam(trial.alpha)
                loss = bce(run.discriminator(lam * x + (1 - lam) * g), lam)
            step(0, loss, 1 / (gan.STEPS * turns))
        step(1, bce(run.discriminator(run.generator(next(noise))), 1), 1 / gan.STEPS)
    return totals


@pytest.mark.parametrize(
    "fields",
    [{}, MIXUP, MIXUP | {"warmup_epochs": 6}, {"discriminator_steps": 1}, {"dataset": "gaussian_grid"}],
    ids=str,
)
def test_an_epoch_is_turns_of_the_players_each_on_its_own_loss_and_weights(fields: dict[str, Any]) -> None:
    run, plain = GAN(trial(**fields), ALONE), GAN(trial(**fields), ALONE)
    row = run.run_epoch(5)
    losses = plainly(trial(**fields), 5, plain)
    assert [row["discriminator_loss"], row["generator_loss"]] == pytest.approx(losses, rel=1e-5)
    for player, expected in ((run.discriminator, plain.discriminator), (run.generator, plain.generator)):
        torch.testing.assert_close(player.state_dict(), expected.state_dict())


def test_mixup_with_alpha_zero_is_erm() -> None:
    assert everything(train_alone(trial(method="mixup", alpha=0.0))) == everything(train_alone(trial()))


@pytest.mark.parametrize(
    ("last", "kept"),
    [(20_000, [10, 100, 1000, 10_000, 20_000]), (10_000, [10, 100, 1000, 10_000]), (200, [10, 100, 200]), (5, [5])],
)
def test_samples_are_kept_at_powers_of_ten_and_at_the_last_iteration(last: int, kept: list[int]) -> None:
    assert [iteration for iteration in range(1, last + 1) if is_kept(iteration, last)] == kept


class OfTheData(GAN):
    """Its generator has learnt everything."""

    def sample(self, count: int, purpose: str) -> Tensor:
        return self._density.sample(count, torch.Generator().manual_seed(0))


class OfTwoModes(GAN):
    """Of its samples, a quarter is near each of two modes, and half lies between modes."""

    def sample(self, count: int, purpose: str) -> Tensor:
        between = torch.tensor([0.25, 0.25])
        places = torch.stack([self._density.modes_M2[0], between, self._density.modes_M2[1], between])
        return places.repeat(count // 4, 1)


@pytest.mark.parametrize(("dataset", "modes"), [("gaussian_ring", 8), ("gaussian_grid", 25)])
def test_a_generator_of_the_data_covers_every_mode(dataset: str, modes: int) -> None:
    row = OfTheData(trial(dataset=dataset), ALONE).run_epoch(0)
    assert row["modes_covered"] == modes
    assert row["near_modes"] == pytest.approx(1 - np.exp(-(NEAR**2) / 2), abs=0.01)


@pytest.mark.parametrize("dataset", ["gaussian_ring", "gaussian_grid"])
def test_covered_modes_and_samples_near_one_are_counted(dataset: str) -> None:
    row = OfTwoModes(trial(dataset=dataset), ALONE).run_epoch(0)
    assert (row["modes_covered"], row["near_modes"]) == (2, 0.5)


@pytest.mark.parametrize(
    ("covered", "lowest", "mean"), [([8, 0, 3, 5], 3, 0.4), ([0, 8, 4, 6, 5], 4, 0.5), ([7], 7, 0.7)]
)
def test_measurements_are_of_the_last_epoch_and_of_the_second_half(
    covered: list[float], lowest: float, mean: float
) -> None:
    rows = [{"modes_covered": modes, "near_modes": modes / 10} for modes in covered]
    found = GAN(trial(), ALONE).measure(rows)
    assert found.measurements == {
        "modes_covered_last": covered[-1],
        "modes_covered_lowest": lowest,
        "near_modes_last": covered[-1] / 10,
        "near_modes_mean": pytest.approx(mean),
    }


def test_points_are_of_the_data_and_of_the_generator_at_each_kept_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gan, "STEPS", 40)
    run = GAN(trial(), ALONE)
    rows = [run.run_epoch(epoch) for epoch in range(3)]
    found = run.measure(rows)
    table = TrialRecord(trial(), "done", PROVENANCE, points=found.points).points_table().to_pandas()
    assert table["point"].tolist() == list(range(4 * KEPT))
    data, samples = table[table["kind"] == "data"], table[table["kind"] == "sample"]
    assert len(data) == KEPT
    assert data["iteration"].isna().all()
    near = GAUSSIAN_RING.near(torch.tensor(data[["x", "y"]].to_numpy()))
    assert near.any(0).all()
    assert near.any(1).double().mean().item() > 0.97
    assert samples["iteration"].value_counts(sort=False).to_dict() == {10: KEPT, 100: KEPT, 120: KEPT}
    last = samples[samples["iteration"] == 120][["x", "y"]].to_numpy()
    assert np.array_equal(last, run.sample(KEPT, "kept samples").numpy())
    assert not np.array_equal(last, samples[samples["iteration"] == 100][["x", "y"]].to_numpy())
    assert table["value"].isna().all()


def test_all_methods_begin_with_the_same_networks_and_are_shown_beside_the_same_data() -> None:
    erm, mixup = GAN(trial(), ALONE), GAN(trial(**MIXUP), ALONE)
    assert torch.equal(erm.sample(100, "kept samples"), mixup.sample(100, "kept samples"))
    assert torch.equal(erm.discriminator(points(9, 0)), mixup.discriminator(points(9, 0)))
    row = [{"modes_covered": 1.0, "near_modes": 0.1}]
    first, second = (run.measure(row).points for run in (erm, mixup))
    assert np.array_equal(first["x"], second["x"])


@pytest.mark.parametrize("fields", [{}, MIXUP, {"optimizer": "sgd"}], ids=str)
def test_the_same_trial_trained_twice_is_bit_identical(fields: dict[str, Any]) -> None:
    first = train_alone(trial(**fields))
    torch.rand(7)  # what else the process drew must not matter
    train_alone(trial(seed=5))
    assert everything(train_alone(trial(**fields))) == everything(first)


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1},
        {"dataset": "gaussian_grid"},
        {"method": "mixup", "alpha": 0.0},
        {"method": "mixup", "alpha": 1.0},
        {"method": "mixup", "alpha": float("inf")},
        {"width": 9},
        {"depth": 3},
        {"batch_size": 9},
        {"discriminator_steps": 3},
        {"optimizer": "sgd"},
        {"lr": 2e-3},
        {"milestones": [1]},
        {"weight_decay": 0.01},
    ],
    ids=str,
)
def test_every_hyper_parameter_has_an_effect(fields: dict[str, Any]) -> None:
    plain = trial(**MIXUP) if "alpha" in fields else trial()
    assert numbers(train_alone(trial(**fields))) != numbers(train_alone(plain))


@pytest.mark.parametrize("fields", [{}, MIXUP, {"optimizer": "sgd", "milestones": [2]}], ids=str)
def test_a_resumed_trial_equals_the_undisturbed_one_to_the_bit(fields: dict[str, Any]) -> None:
    file = Memory()
    for stop_after in (1, 1):
        with pytest.raises(Stopped):
            Run(file, stop_after).train(trial(**fields))
        torch.rand(5)  # what else a process drew must not matter
    last = Run(file)
    assert everything(last.train(trial(**fields))) == everything(train_alone(trial(**fields)))
    assert last.epochs == [3]
    assert not last.warnings


def test_every_epoch_is_reported_as_it_ends() -> None:
    told: list[dict[str, Any]] = []
    measured = train_alone(trial(milestones=[1]), report=lambda row: told.append(dict(row)))
    assert measured.epochs == told
    assert [row["epoch"] for row in told] == [1, 2, 3]
    assert [row["lr"] for row in told] == pytest.approx([1e-3, 1e-4, 1e-4])
    assert len({row["discriminator_loss"] for row in told}) == 3


@pytest.mark.parametrize("fields", [{}, MIXUP], ids=str)
def test_a_loss_that_is_not_finite_ends_the_trial_and_names_the_epoch(fields: dict[str, Any]) -> None:
    with pytest.raises(TrainingDiverged, match=r"^the (discriminator|generator) loss of epoch 1 is (nan|inf)$"):
        train_alone(trial(lr=1e30, **fields))


def energy_distance(one: Tensor, other: Tensor) -> float:
    within = torch.cdist(one, one).mean() + torch.cdist(other, other).mean()
    return (2 * torch.cdist(one, other).mean() - within).item()


@pytest.mark.slow
@pytest.mark.parametrize(("fields", "epochs"), [({}, 3), (MIXUP, 8)], ids=["ERM", "mixup"])
def test_a_generator_comes_closer_to_the_data(
    fields: dict[str, Any], epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gan, "STEPS", 100)
    larger = {"dataset": "gaussian_grid", "width": 64, "batch_size": 64, "discriminator_steps": 3}
    run = GAN(trial(**larger, **fields, seed=1), ALONE)
    data = GAUSSIAN_GRID.sample(1000, torch.Generator().manual_seed(0))
    before = energy_distance(run.sample(1000, "test"), data)
    for epoch in range(epochs):
        run.run_epoch(epoch)
    assert energy_distance(run.sample(1000, "test"), data) < before / 2
