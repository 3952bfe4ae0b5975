"""What every vicinal distribution has in common, and the equations of each on tensors small enough to follow."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from mixup_study.catalogue import CATALOGUE
from mixup_study.networks.mlp import MLP
from mixup_study.study.trial import Trial
from mixup_study.vicinity import Draws, Examples, Minibatch, VicinalDistribution, VirtualBatch
from mixup_study.vicinity.base import mix

CPU = torch.device("cpu")
CLASSES = 3
Made = tuple[VicinalDistribution, Minibatch]

EVERY: dict[str, dict[str, Any]] = {
    "ERM": {"method": "erm"},
    "mixup AC + RP": {"method": "mixup", "alpha": 1.0},
    "mixup SC + RP": {"method": "mixup", "alpha": 1.0, "same_class": True},
    "mixup AC + KNN": {"method": "mixup", "alpha": 1.0, "neighbours": 2},
    "mixup SC + KNN": {"method": "mixup", "alpha": 1.0, "neighbours": 2, "same_class": True},
    "mixup of averages": {"method": "mixup", "alpha": math.inf},
    "3-way mixup": {"method": "dirichlet_mixup", "alpha": 1.0, "ways": 3},
    "5-way averages": {"method": "dirichlet_mixup", "alpha": math.inf, "ways": 5},
    "inputs AC + RP": {"method": "mix_inputs", "alpha": 1.0},
    "inputs SC + RP": {"method": "mix_inputs", "alpha": 1.0, "same_class": True},
    "inputs AC + KNN": {"method": "mix_inputs", "alpha": 1.0, "neighbours": 2},
    "SMOTE": {"method": "mix_inputs", "alpha": 1.0, "neighbours": 2, "same_class": True},
    "inputs + smoothing": {"method": "mix_inputs", "alpha": 1.0, "label_smoothing": 0.4},
    "latent": {"method": "latent_mixup", "alpha": 1.0, "layer": 2},
    "smoothing": {"method": "label_smoothing", "label_smoothing": 0.1},
    "noise": {"method": "gaussian_noise", "sigma": 0.2},
}
"""Every distribution in every way that studies can ask for it."""
MIXING = [name for name, fields in EVERY.items() if "alpha" in fields]
every = pytest.mark.parametrize("name", EVERY)


class Set:
    """A small training set: per class, images around a value of its own."""

    def __init__(self, folder: Path, per_class: int = 4, classes: int = CLASSES) -> None:
        generator = torch.Generator().manual_seed(per_class)
        self.labels_N = torch.arange(classes).repeat(per_class)
        noise = torch.randint(0, 60, (len(self.labels_N), 3, 2, 1), generator=generator)
        self.images_NHWC = (noise + 60 * self.labels_N[:, None, None, None]).to(torch.uint8)
        self.targets_NK = F.one_hot(self.labels_N, classes).double()
        self.examples = Examples(self.images_NHWC, self.labels_N, (0.5,), folder)

    def look_up(self, index_M: Tensor) -> tuple[Tensor, Tensor]:
        return self.images_NHWC[index_M].permute(0, 3, 1, 2).double() / 255, self.targets_NK[index_M]

    def minibatch(
        self, index_B: Tensor, dtype: torch.dtype = torch.float64, workers: int = 1, rank: int = 0
    ) -> Minibatch:
        def look_up(index_M: Tensor) -> tuple[Tensor, Tensor]:
            images, targets = self.look_up(index_M)
            return images.to(dtype), targets.to(dtype)

        return Minibatch(*look_up(index_B.tensor_split(workers)[rank]), index_B, look_up, rank, workers)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Set:
    return Set(tmp_path_factory.mktemp("data"))


@pytest.fixture
def make(data: Set) -> Callable[..., VicinalDistribution]:
    """Makes a distribution of EVERY, with other parameters where given."""

    def made(name: str, **parameters: Any) -> VicinalDistribution:
        fields = {"dataset": "digits", "model": "preact_resnet18", "epochs": 1, "batch_size": 1, "lr": 0.1}
        trial = Trial(**fields | EVERY[name] | parameters)
        return build(trial, data.examples)

    return made


Make = Callable[..., VicinalDistribution]


def build(trial: Trial, examples: Examples) -> VicinalDistribution:
    distribution: VicinalDistribution = CATALOGUE.methods[trial.method].load()(trial, examples)
    return distribution


def draws(seed: int = 0, epoch: int = 0) -> Draws:
    return Draws.for_epoch(seed, epoch, CPU)


def nearest(data: Set, row: int, k: int, same_class: bool) -> set[int]:
    """The k nearest neighbours by the definition, one distance at a time."""
    image = data.images_NHWC[row].double()
    rows = [
        other
        for other in range(len(data.labels_N))
        if other != row and (not same_class or data.labels_N[other] == data.labels_N[row])
    ]
    return set(sorted(rows, key=lambda other: ((data.images_NHWC[other].double() - image).norm().item(), other))[:k])


# All of them.


def test_every_name_of_the_specification_has_a_distribution() -> None:
    assert {fields["method"] for fields in EVERY.values()} == set(CATALOGUE.methods)


@every
@given(rows=st.lists(st.integers(0, 11), min_size=1, max_size=30), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0))
def test_shapes_and_dtypes_are_kept_and_targets_are_probabilities(
    name: str, rows: list[int], seed: int, epoch: int
) -> None:
    data = _shared_set()
    trial = Trial(dataset="digits", model="preact_resnet18", epochs=1, batch_size=1, lr=0.1, **EVERY[name])
    distribution = build(trial, data.examples)
    minibatch = data.minibatch(torch.tensor(rows), torch.float32)
    found = distribution.sample(minibatch, draws(seed, epoch))
    assert found.inputs_B.shape == minibatch.inputs_B.shape
    assert found.targets_BK.shape == minibatch.targets_BK.shape
    assert found.inputs_B.dtype == found.targets_BK.dtype == torch.float32
    assert found.inputs_B.isfinite().all()
    assert (found.targets_BK >= 0).all()
    torch.testing.assert_close(found.targets_BK.sum(1), torch.ones(len(rows)))
    again = distribution.sample(minibatch, draws(seed, epoch))
    assert torch.equal(again.inputs_B, found.inputs_B)
    assert torch.equal(again.targets_BK, found.targets_BK)


_SETS: list[Set] = []


def _shared_set() -> Set:
    """A set whose neighbours are found anew each time: hypothesis takes no fixtures that change."""
    if not _SETS:
        _SETS.append(Set(Path("/dev/null")))
    return _SETS[0]


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("ERM", "smoothing")])
def test_the_epoch_and_the_seed_change_what_is_drawn(name: str, data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(12))

    def drawn(seed: int, epoch: int) -> list[float]:
        found = make(name).sample(minibatch, draws(seed, epoch))
        latent = [] if found.latent is None else found.latent.partner_B.tolist()
        return [*found.inputs_B.flatten().tolist(), *found.targets_BK.flatten().tolist(), *latent]

    assert drawn(0, 0) != drawn(0, 1)
    assert drawn(0, 0) != drawn(1, 0)


@every
def test_the_minibatch_itself_is_left_as_it_was(name: str, data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(12))
    before = minibatch.inputs_B.clone(), minibatch.targets_BK.clone()
    make(name).sample(minibatch, draws())
    assert torch.equal(minibatch.inputs_B, before[0])
    assert torch.equal(minibatch.targets_BK, before[1])


@pytest.mark.parametrize("name", [name for name in MIXING if EVERY[name].get("label_smoothing") is None])
def test_alpha_zero_is_the_minibatch_itself_and_draws_nothing(name: str, data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(12))
    used, unused = draws(), draws()
    found = make(name, alpha=0.0).sample(minibatch, used)
    assert found.inputs_B is minibatch.inputs_B
    assert found.targets_BK is minibatch.targets_BK
    assert found.latent is None
    assert torch.equal(used.partners.get_state(), unused.partners.get_state())
    assert used.interpolation.random() == unused.interpolation.random()


@given(st.lists(st.floats(-(2.0**90), 2.0**90, width=32), min_size=1), st.randoms(use_true_random=False))
def test_lambda_one_returns_the_batch_to_the_bit(values: list[float], random: Any) -> None:
    own = torch.tensor(values)
    other = torch.tensor(random.sample(values, len(values)))
    assert torch.equal(mix(own, other, 1.0), own)


@pytest.mark.parametrize("name", [name for name in MIXING if "3-way" not in name and "5-way" not in name])
def test_an_infinite_alpha_is_lambda_one_half(name: str, data: Set, make: Make) -> None:
    assert draws().lam(math.inf) == 0.5
    found = make(name, alpha=math.inf).sample(data.minibatch(torch.arange(12)), draws())
    if found.latent is not None:
        assert found.latent.lam == 0.5
    assert set((found.targets_BK * 2).unique().tolist()) <= {0.0, 1.0, 2.0} or "smoothing" in name


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_lambda_is_drawn_from_the_beta_distribution(alpha: float) -> None:
    source = draws()
    found = np.array([source.lam(alpha) for _ in range(4000)])
    assert found.mean() == pytest.approx(0.5, abs=0.02)
    assert found.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


# Each by its equation.


def test_erm_returns_the_minibatch_itself(data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(7))
    found = make("ERM").sample(minibatch, draws())
    assert found.inputs_B is minibatch.inputs_B
    assert found.targets_BK is minibatch.targets_BK


def test_mixup_combines_the_minibatch_with_a_permutation_of_itself(data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(12))
    found = make("mixup AC + RP").sample(minibatch, draws())
    source = draws()
    lam = source.interpolation.beta(1.0, 1.0)
    order = torch.randperm(12, generator=source.partners)
    images, targets = minibatch.inputs_B, minibatch.targets_BK
    torch.testing.assert_close(found.inputs_B, lam * images + (1 - lam) * images[order])
    torch.testing.assert_close(found.targets_BK, lam * targets + (1 - lam) * targets[order])


def test_the_loss_on_mixed_targets_is_the_two_term_formula(data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(12))
    found = make("mixup AC + RP", alpha=0.4).sample(minibatch, draws(3, 1))
    source = draws(3, 1)
    lam = source.lam(0.4)
    order = torch.randperm(12, generator=source.partners)
    labels = data.labels_N
    logits = found.inputs_B.flatten(1)[:, :CLASSES] * 3
    two_terms = lam * F.cross_entropy(logits, labels) + (1 - lam) * F.cross_entropy(logits, labels[order])
    torch.testing.assert_close(F.cross_entropy(logits, found.targets_BK), two_terms, rtol=1e-12, atol=1e-12)


def partners(found: VirtualBatch, minibatch: Minibatch, lam: float, data: Set) -> list[int]:
    """Which rows of the training set the images were mixed with, by solving for them."""
    others = (found.inputs_B - lam * minibatch.inputs_B) / (1 - lam)
    whole, _ = data.look_up(torch.arange(len(data.labels_N)))
    distance = (others[:, None] - whole[None]).flatten(2).abs().amax(2)
    assert (distance.amin(1) < 1e-9).all()
    return distance.argmin(1).tolist()


@pytest.mark.parametrize("epoch", range(5))
@pytest.mark.parametrize("name", ["mixup SC + RP", "inputs SC + RP"])
def test_sc_rp_permutes_the_minibatch_within_its_classes(name: str, epoch: int, data: Set, make: Make) -> None:
    index = torch.tensor([0, 3, 6, 9, 1, 4, 2])
    minibatch = data.minibatch(index)
    found = make(name).sample(minibatch, draws(epoch=epoch))
    rows = partners(found, minibatch, draws(epoch=epoch).lam(1.0), data)
    assert sorted(rows) == sorted(index.tolist())
    assert torch.equal(data.labels_N[rows], data.labels_N[index])
    torch.testing.assert_close(found.targets_BK, minibatch.targets_BK)


def test_sc_rp_draws_every_permutation_of_a_class_alike(data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.tensor([0, 1, 3, 6]))
    source = draws()
    counts: dict[tuple[int, ...], int] = {}
    distribution = make("inputs SC + RP", alpha=math.inf)
    for _ in range(1200):
        found = distribution.sample(minibatch, source)
        rows = tuple(partners(found, minibatch, 0.5, data))
        counts[rows] = counts.get(rows, 0) + 1
    assert len(counts) == 6
    assert all(row[1] == 1 for row in counts)
    assert min(counts.values()) > 140


@pytest.mark.parametrize("same_class", [False, True])
@pytest.mark.parametrize("method", ["mixup", "inputs"])
def test_knn_mixes_with_each_of_the_nearest_neighbours(method: str, same_class: bool, data: Set, make: Make) -> None:
    name = {"mixup": "mixup AC + KNN", "inputs": "inputs AC + KNN"}[method]
    index = torch.tensor([0, 1, 2, 11, 11])
    minibatch = data.minibatch(index)
    source = draws()
    distribution = make(name, alpha=math.inf, same_class=same_class)
    seen: list[set[int]] = [set() for _ in index]
    for _ in range(60):
        rows = partners(distribution.sample(minibatch, source), minibatch, 0.5, data)
        for found, row in zip(seen, rows, strict=True):
            found.add(row)
    assert seen == [nearest(data, row, 2, same_class) for row in index.tolist()]
    if same_class:
        assert all(
            data.labels_N[row] == data.labels_N[own] for own, rows in zip(index, seen, strict=True) for row in rows
        )


def test_knn_mixes_labels_of_neighbours_of_another_class(tmp_path: Path) -> None:
    data = Set(tmp_path)
    data.examples.labels_N.copy_(torch.arange(12) % CLASSES)
    images = torch.zeros(12, 3, 2, 1, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.tensor([0, 10, 90, 100, 110, 120, 130, 140, 150, 160, 170, 180])
    data.images_NHWC.copy_(images)
    trial = Trial(
        dataset="digits",
        model="preact_resnet18",
        epochs=1,
        batch_size=1,
        lr=0.1,
        method="mixup",
        alpha=math.inf,
        neighbours=1,
    )
    found = build(trial, data.examples).sample(data.minibatch(torch.tensor([0, 1])), draws())
    assert found.targets_BK.tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0]]
    assert (found.inputs_B[:, 0, 0, 0] * 255).tolist() == pytest.approx([5, 5])


class Lambda:
    """An interpolation stream that always draws one value."""

    def __init__(self, value: float) -> None:
        self.value = value

    def beta(self, a: float, b: float) -> float:
        return self.value


@pytest.mark.parametrize(("lam", "own"), [(0.51, True), (0.5, True), (0.49, False), (0.0, False), (0.999, True)])
@pytest.mark.parametrize("name", ["inputs AC + RP", "inputs AC + KNN", "inputs + smoothing"])
def test_inputs_only_have_the_target_of_the_closer_example(
    name: str, lam: float, own: bool, data: Set, make: Make
) -> None:
    minibatch = data.minibatch(torch.arange(12))
    source = draws()
    fixed = Draws(Lambda(lam), source.partners, source.noise)
    found = make(name).sample(minibatch, fixed)
    rows = partners(found, minibatch, lam, data)
    expected = minibatch.targets_BK if own else data.targets_NK[rows]
    assert found.targets_BK.argmax(1).tolist() == expected.argmax(1).tolist()
    if "smoothing" in name:
        assert found.targets_BK.amax(1).tolist() == pytest.approx([1 - 0.4 * 2 / 3] * 12)
    else:
        assert torch.equal(found.targets_BK, expected)


@pytest.mark.parametrize("epsilon", [0.05, 0.1, 0.2, 0.4, 1.0])
def test_smoothing_gives_epsilon_over_k_to_wrong_classes(epsilon: float, data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.tensor([2, 0]))
    found = make("smoothing", label_smoothing=epsilon).sample(minibatch, draws())
    wrong, right = epsilon / 3, 1 - epsilon * 2 / 3
    torch.testing.assert_close(found.targets_BK, torch.tensor([[wrong, wrong, right], [right, wrong, wrong]]).double())
    assert found.inputs_B is minibatch.inputs_B
    logits = torch.randn(2, 3, dtype=torch.float64)
    theirs = F.cross_entropy(logits, torch.tensor([2, 0]), label_smoothing=epsilon)
    torch.testing.assert_close(F.cross_entropy(logits, found.targets_BK), theirs)


def test_smoothing_by_zero_is_erm(data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(3))
    assert make("smoothing", label_smoothing=0.0).sample(minibatch, draws()).targets_BK is minibatch.targets_BK


@pytest.mark.parametrize("sigma", [0.05, 0.2])
def test_noise_is_gaussian_with_standard_deviation_sigma(sigma: float, data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(12).repeat(500))
    found = make("noise", sigma=sigma).sample(minibatch, draws())
    noise = (found.inputs_B - minibatch.inputs_B).flatten()
    assert noise.mean().item() == pytest.approx(0, abs=sigma / 30)
    assert noise.std().item() == pytest.approx(sigma, rel=0.02)
    assert (noise.abs() < sigma).double().mean().item() == pytest.approx(0.6827, abs=0.01)
    assert found.targets_BK is minibatch.targets_BK


def test_noise_of_sigma_zero_is_erm(data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(3))
    assert make("noise", sigma=0.0).sample(minibatch, draws()).inputs_B is minibatch.inputs_B


@pytest.mark.parametrize("ways", [2, 3, 5])
def test_dirichlet_mixup_is_the_weighted_sum_of_permutations(ways: int, data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(12))
    found = make("3-way mixup", ways=ways, alpha=2.0).sample(minibatch, draws())
    source = draws()
    weights = source.interpolation.dirichlet([2.0] * ways)
    orders = [torch.arange(12), *(torch.randperm(12, generator=source.partners) for _ in range(ways - 1))]
    for mine, theirs in ((found.inputs_B, minibatch.inputs_B), (found.targets_BK, minibatch.targets_BK)):
        torch.testing.assert_close(mine, sum(w * theirs[order] for w, order in zip(weights, orders, strict=True)))


def test_an_infinite_alpha_gives_dirichlet_mixup_equal_weights(data: Set, make: Make) -> None:
    found = make("5-way averages").sample(data.minibatch(torch.arange(12)), draws())
    torch.testing.assert_close((found.targets_BK * 5).round(), found.targets_BK * 5)


# Hidden layers.


def two_stages() -> MLP:
    torch.manual_seed(0)
    return MLP(6, CLASSES, width=5, depth=2).double()


def test_latent_mixup_leaves_images_alone_and_mixes_targets_as_mixup_does(data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(12))
    found = make("latent").sample(minibatch, draws())
    assert found.inputs_B is minibatch.inputs_B
    torch.testing.assert_close(found.targets_BK, make("mixup AC + RP").sample(minibatch, draws()).targets_BK)
    assert found.latent is not None
    assert found.latent.layer == 2


def test_latent_mixup_at_layer_1_of_a_linear_stem_equals_mixing_inputs(data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(12))
    network = two_stages()
    latent = make("latent", layer=1).sample(minibatch, draws())
    inputs = make("mixup AC + RP").sample(minibatch, draws())
    assert latent.latent is not None
    logits = network(latent.inputs_B, latent.latent.layer, latent.latent)
    torch.testing.assert_close(logits, network(inputs.inputs_B), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_latent_mixup_mixes_the_input_of_the_stage_it_names(layer: int, data: Set, make: Make) -> None:
    minibatch = data.minibatch(torch.arange(12))
    network = two_stages()
    found = make("latent", layer=layer, model="mlp").sample(minibatch, draws())
    assert found.latent is not None
    x = network.stem(minibatch.inputs_B)
    for number, stage in enumerate(network.stages, start=1):
        if number == layer:
            x = found.latent.lam * x + (1 - found.latent.lam) * x[found.latent.partner_B]
        x = stage(x)
    torch.testing.assert_close(network(found.inputs_B, layer, found.latent), x)


@pytest.mark.parametrize(("size", "workers"), [(12, 2), (11, 3), (5, 4), (7, 1)])
def test_latent_pairs_stay_with_their_worker(size: int, workers: int, data: Set, make: Make) -> None:
    rows = torch.arange(size).tensor_split(workers)
    for rank, part in enumerate(rows):
        minibatch = data.minibatch(torch.arange(size), workers=workers, rank=rank)
        found = make("latent").sample(minibatch, draws())
        assert found.latent is not None
        assert sorted(found.latent.partner_B.tolist()) == list(range(len(part)))
        mixed = found.latent(data.targets_NK[part])
        torch.testing.assert_close(found.targets_BK, mixed)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "latent"])
@pytest.mark.parametrize(("size", "workers"), [(12, 2), (11, 3), (5, 4)])
def test_workers_share_what_one_would_make_of_the_minibatch(
    name: str, size: int, workers: int, data: Set, make: Make
) -> None:
    distribution, rows = make(name), torch.arange(size)
    whole = distribution.sample(data.minibatch(rows), draws())
    parts = [distribution.sample(data.minibatch(rows, workers=workers, rank=rank), draws()) for rank in range(workers)]
    torch.testing.assert_close(torch.cat([part.inputs_B for part in parts]), whole.inputs_B)
    torch.testing.assert_close(torch.cat([part.targets_BK for part in parts]), whole.targets_BK)


def test_workers_that_mix_their_own_part_share_lambda_alone(data: Set, make: Make) -> None:
    streams = [Draws.for_epoch(0, 0, CPU, rank=rank) for rank in range(3)]
    assert len({source.lam(1.0) for source in streams}) == 1
    assert len({tuple(source.permutation(20).tolist()) for source in streams}) == 3
    assert torch.equal(draws().permutation(20), Draws.for_epoch(0, 0, CPU, rank=0).permutation(20))
