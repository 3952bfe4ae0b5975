from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mixup_study.cluster.job import Job
from mixup_study.spec.study import Resources, Study
from mixup_study.spec.trial import FIELDS, Trial

MIXUP: dict[str, Any] = {
    "dataset": "digits",
    "model": "preact_resnet18",
    "method": "mixup",
    "alpha": 1,
    "epochs": 4,
    "batch_size": 50,
    "lr": 0.1,
}

OTHERS: dict[str, dict[str, Any]] = {
    "dataset": {"dataset": "cifar10"},
    "train_size": {"train_size": 100},
    "label_noise": {"label_noise": 0.2},
    "data_seed": {"data_seed": 1},
    "augment": {"augment": False},
    "model": {"model": "mlp"},
    "width": {"width": 8},
    "dropout": {"dropout": 0.5},
    "method": {"method": "erm", "alpha": None},
    "alpha": {"alpha": 2},
    "ways": {"method": "dirichlet_mixup", "ways": 3},
    "same_class": {"same_class": True},
    "neighbours": {"neighbours": 5},
    "layer": {"method": "latent_mixup", "layer": 2},
    "label_smoothing": {"method": "mix_inputs", "label_smoothing": 0.1},
    "sigma": {"method": "gaussian_noise", "alpha": None, "sigma": 0.1},
    "epochs": {"epochs": 5},
    "batch_size": {"batch_size": 51},
    "workers": {"workers": 2},
    "lr": {"lr": 0.2},
    "momentum": {"momentum": 0.8},
    "weight_decay": {"weight_decay": 5e-4},
    "milestones": {"milestones": [2, 3]},
    "lr_factor": {"lr_factor": 0.2},
    "precision": {"precision": "bfloat16"},
    "memory_format": {"memory_format": "channels_last"},
    "fused": {"fused": False},
    "seed": {"seed": 1},
}
"""Another valid value of every field; a method brings the hyper-parameters it needs."""


def trial(**fields: Any) -> Trial:
    return Trial(**MIXUP | fields)


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_changes_the_id(field: str) -> None:
    assert trial(**OTHERS[field]).trial_id != trial().trial_id


def test_no_two_of_these_trials_share_an_id() -> None:
    ids = [trial(**others).trial_id for others in OTHERS.values()]
    assert len(set(ids)) == len(ids)


def test_the_id_of_a_recorded_trial_stays_what_it_was() -> None:
    recorded = trial(
        alpha=8.0, label_noise=0.5, dropout=0.3, milestones=[100, 150], precision="bfloat16", epochs=200, seed=3
    )
    assert recorded.trial_id == "e8366d14f7c7da9a"


def test_the_order_of_the_keys_does_not_change_the_id() -> None:
    backwards = Trial(**dict(reversed(list((MIXUP | OTHERS["milestones"]).items()))))
    assert backwards.trial_id == trial(**OTHERS["milestones"]).trial_id


def test_infinity_survives_the_way_to_a_worker() -> None:
    averaging = trial(alpha=math.inf)
    job = Job(trials=(averaging,), resources=Resources(), results="r", data=Path("d"), code_version="1")
    assert Job.model_validate_json(job.model_dump_json()).trials == (averaging,)
    assert averaging.trial_id != trial().trial_id


def test_defaults_given_explicitly_do_not_change_the_id() -> None:
    defaults = {name: field.default for name, field in Trial.model_fields.items() if not field.is_required()}
    assert len(defaults) > 10
    assert Trial(**defaults | MIXUP).trial_id == trial().trial_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"alpha": 1}, {"alpha": 1.0}),
        ({"lr": 1}, {"lr": 1.0}),
        ({"label_noise": 0}, {"label_noise": 0.0}),
        ({"label_noise": 0.0}, {"label_noise": -0.0}),
        ({"alpha": 0.0}, {"alpha": -0.0}),
        ({"weight_decay": 1e-4}, {"weight_decay": 0.0001}),
        ({"milestones": [1, 2]}, {"milestones": (1, 2)}),
    ],
)
def test_two_ways_to_write_a_number_are_one_trial(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert trial(**one) == trial(**other)
    assert trial(**one).trial_id == trial(**other).trial_id


def test_an_id_is_sixteen_hexadecimal_digits() -> None:
    assert len(trial().trial_id) == 16
    assert set(trial().trial_id) <= set("0123456789abcdef")


@pytest.mark.parametrize("others", OTHERS.values(), ids=OTHERS)
def test_the_flat_fields_make_the_same_trial_again(others: dict[str, Any]) -> None:
    flat = trial(**others).flat()
    assert tuple(flat) == FIELDS
    assert Trial(**flat).trial_id == trial(**others).trial_id


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: small", "name: another"),
        ("  ERM: {}", "  Baseline: {}"),
        ("  short:", "  quick:"),
        ("resources: {cpus: 1}", "resources: {cpus: 4, gpus: 1}"),
        ("  dataset: digits\n  model: preact_resnet18", "  model: preact_resnet18\n  dataset: digits"),
        ("{method: mixup, alpha: [1, 2]}", "{alpha: [1.0, 2.0], method: mixup}"),
        ("  title: Small", "  title: Large"),
    ],
    ids=["study's name", "arm's label", "profile's name", "resources", "key order", "arm's key order", "title"],
)
def test_what_stands_around_a_trial_does_not_change_its_id(
    load: Callable[..., Study], small_study: str, old: str, new: str
) -> None:
    bare = small_study.split("published:")[0]
    assert old in bare
    profile = "quick" if "quick" in new else "short"
    before, after = load(bare, profile="short"), load(bare.replace(old, new), profile=profile)
    assert list(before.trials) == list(after.trials)


@pytest.mark.parametrize(
    "fields",
    [
        {"dropout": 1.0},
        {"alpha": -1},
        {"alpha": None},
        {"alpha": float("nan")},
        {"alpha": 1e7},
        {"lr": 0},
        {"lr": "0.1"},
        {"lr": True},
        {"epochs": 2.0},
        {"augment": 1},
        {"label_noise": 1.01},
        {"seed": -1},
        {"seed": 2**63},
        {"milestones": [3, 2]},
        {"milestones": [2, 2]},
        {"milestones": [1.0]},
        {"milestones": ["1"]},
        {"method": "erm"},
        {"method": "cutout", "alpha": None},
        {"nesterov": True},
    ],
    ids=str,
)
def test_a_trial_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        trial(**fields)


def test_a_trial_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        trial().epochs = 5  # type: ignore[misc]


def test_a_milestone_beyond_the_last_epoch_is_fine() -> None:
    assert trial(milestones=[2, 100]).milestones == (2, 100)


def test_equal_ids_mean_equal_trials() -> None:
    trials = [trial(), *(trial(**others) for others in OTHERS.values())]
    for one, other in itertools.combinations(trials, 2):
        assert (one.trial_id == other.trial_id) == (one == other)
