"""Which trials may be trained together."""

from __future__ import annotations

from typing import Any

import pytest

from mixup_study.catalogue import CATALOGUE
from mixup_study.study import packs
from mixup_study.study.packs import largest_pack, pack_key
from mixup_study.study.trial import Trial


def trial(**fields: Any) -> Trial:
    small = {"width": 16, "epochs": 2, "batch_size": 16, "lr": 1e-3, "optimizer": "adam", "weight_decay": 0.0}
    return Trial(**{"dataset": "iris", "model": "mlp", **small, **fields})


@pytest.mark.parametrize("name", CATALOGUE.fields_with("varies_in_pack"))
def test_trials_that_differ_in_what_may_vary_are_of_one_pack(name: str) -> None:
    fields: dict[str, Any] = {"method": "mixup", "alpha": 1.0, "label_noise": 0.5}
    other = {**fields, name: 0.25 if name in ("label_noise", "alpha", "weight_decay") else 3}
    assert trial(**fields) != trial(**other)
    assert pack_key(trial(**fields)) is not None
    assert pack_key(trial(**fields)) == pack_key(trial(**other))


@pytest.mark.parametrize(
    "fields",
    [
        {"dataset": "digits"},
        {"dropout": 0.1},
        {"method": "dirichlet_mixup", "alpha": 1.0, "ways": 3},
        {"method": "latent_mixup", "alpha": 1.0, "layer": 2},
        {"method": "gaussian_noise", "sigma": 0.1},
        {"method": "mixup", "alpha": 1.0, "same_class": True},
        {"precision": "bfloat16"},
        {"workers": 2},
        {"task": "gan", "dataset": "gaussian_ring"},
    ],
    ids=str,
)
def test_what_packs_cannot_do_trains_alone(fields: dict[str, Any]) -> None:
    assert pack_key(trial(**fields)) is None


@pytest.mark.parametrize("fields", [{"width": 8}, {"lr": 0.1}, {"dataset": "wine"}, {"train_size": 50}], ids=str)
def test_trials_of_other_shapes_or_steps_have_packs_of_their_own(fields: dict[str, Any]) -> None:
    assert pack_key(trial(**fields)) != pack_key(trial())


def test_wide_tables_have_smaller_packs() -> None:
    assert largest_pack(trial()) == packs.LARGEST
    wide = largest_pack(trial(dataset="arcene", width=128))
    assert 1 <= wide < 64
    assert wide * 4 * 4 * (10_000 * 128 + 128 * 128) < 1.1 * packs.BYTES
