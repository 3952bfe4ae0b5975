from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from mixup_study.catalogue import CATALOGUE
from mixup_study.data.densities import NEAR, STANDARD_DEVIATION, Density

DENSITIES: dict[str, Density] = {
    name: entry.load() for name, entry in CATALOGUE.data_sets.items() if "density" in entry.provides
}


def drawn(density: Density, count: int, seed: int = 0) -> Tensor:
    return density.sample(count, torch.Generator().manual_seed(seed))


def test_the_ring_has_eight_modes_evenly_around_the_unit_circle() -> None:
    modes = DENSITIES["gaussian_ring"].modes_M2.tolist()
    assert len(modes) == 8
    assert [math.hypot(*mode) for mode in modes] == pytest.approx([1] * 8)
    angles = sorted(math.degrees(math.atan2(y, x)) % 360 for x, y in modes)
    assert [later - earlier for earlier, later in itertools.pairwise(angles)] == pytest.approx([45] * 7, abs=1e-4)


def test_the_grid_has_five_modes_a_side_on_a_square() -> None:
    modes = {(x, y) for x, y in DENSITIES["gaussian_grid"].modes_M2.tolist()}
    assert modes == set(itertools.product([-1.0, -0.5, 0.0, 0.5, 1.0], repeat=2))


@pytest.mark.parametrize("name", DENSITIES)
def test_every_mode_is_drawn_equally_often_and_equally_wide(name: str) -> None:
    density = DENSITIES[name]
    points = drawn(density, 50_000)
    assert points.shape == (50_000, 2)
    assert points.dtype == torch.float32
    mode_N = torch.cdist(points, density.modes_M2).argmin(dim=1)
    share = 50_000 / len(density.modes_M2)
    for mode, centre in enumerate(density.modes_M2):
        offsets = points[mode_N == mode] - centre
        assert len(offsets) == pytest.approx(share, abs=5 * math.sqrt(share))
        assert offsets.mean(dim=0).tolist() == pytest.approx([0, 0], abs=5 * STANDARD_DEVIATION / math.sqrt(share))
        assert offsets.std(dim=0).tolist() == pytest.approx([STANDARD_DEVIATION] * 2, rel=0.1)


@pytest.mark.parametrize("name", DENSITIES)
def test_the_same_seed_draws_the_same_points(name: str) -> None:
    density = DENSITIES[name]
    assert torch.equal(drawn(density, 100, seed=3), drawn(density, 100, seed=3))
    assert not torch.equal(drawn(density, 100, seed=3), drawn(density, 100, seed=4))


@pytest.mark.parametrize("name", DENSITIES)
def test_a_point_is_near_a_mode_within_three_standard_deviations(name: str) -> None:
    density = DENSITIES[name]
    points = density.modes_M2.repeat(20, 1) + 2 * STANDARD_DEVIATION * torch.randn(
        20 * len(density.modes_M2), 2, generator=torch.Generator().manual_seed(0)
    )
    within, beyond = 0, 0
    for (x, y), near in zip(points.tolist(), density.near(points).tolist(), strict=True):
        distances = [math.hypot(x - a, y - b) for a, b in density.modes_M2.tolist()]
        assert near == [distance <= NEAR * STANDARD_DEVIATION for distance in distances]
        within, beyond = within + any(near), beyond + (not any(near))
    assert within > 50
    assert beyond > 10


@pytest.mark.parametrize("name", DENSITIES)
def test_nearly_all_that_a_density_draws_is_near_exactly_one_mode(name: str) -> None:
    near = DENSITIES[name].near(drawn(DENSITIES[name], 20_000))
    assert near.sum(dim=1).max().item() == 1
    assert near.any(dim=1).double().mean().item() == pytest.approx(1 - math.exp(-(NEAR**2) / 2), abs=0.003)
    assert near.any(dim=0).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30, 100.0])
def test_what_a_generator_draws_far_away_is_near_no_mode(value: float) -> None:
    for density in DENSITIES.values():
        assert not density.near(torch.full((64, 2), value)).any()
