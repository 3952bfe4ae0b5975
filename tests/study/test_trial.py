from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.study import Study
from mixup_study.study.trial import Trial

MIXUP: dict[str, Any] = {
    "dataset": "digits",
    "model": "preact_resnet18",
    "method": "mixup",
    "alpha": 1,
    "epochs": 4,
    "batch_size": 50,
    "lr": 0.1,
}

GAN: dict[str, Any] = {"task": "gan", "dataset": "gaussian_ring", "model": "mlp"}
OTHERS: dict[str, dict[str, Any]] = {
    "task": GAN,
    "dataset": {"dataset": "cifar10"},
    "train_size": {"train_size": 100},
    "label_noise": {"label_noise": 0.2},
    "validation": {"validation": 0.1},
    "data_seed": {"label_noise": 0.2, "data_seed": 1},
    "split_seed": {"dataset": "iris", "model": "mlp", "split_seed": 0},
    "augment": {"augment": False},
    "model": {"model": "mlp"},
    "width": {"width": 8},
    "depth": {"model": "mlp", "depth": 3},
    "dropout": {"dropout": 0.5},
    "widen_factor": {"model": "wide_resnet", "widen_factor": 4},
    "units": {"dataset": "speech_commands", "model": "vgg11", "units": 8},
    "channels": {"dataset": "speech_commands", "model": "speech_lenet", "channels": 8},
    "file": {"dataset": "npz", "file": "a.npz"},
    "test_share": {"dataset": "npz", "file": "a.npz", "test_share": 0.2},
    "flip": {"dataset": "npz", "file": "a.npz", "flip": True},
    "folder": {"dataset": "image_folder", "folder": "a"},
    "image_size": {"dataset": "image_folder", "folder": "a", "image_size": 32},
    "file_digest": {"dataset": "npz", "file": "a.npz", "file_digest": "0123456789abcdef"},
    "mix": {"dataset": "speech_commands", "mix": "waveform"},
    "growth_rate": {"model": "densenet_bc", "growth_rate": 12},
    "method": {"method": "erm", "alpha": None},
    "alpha": {"alpha": 2},
    "warmup_epochs": {"warmup_epochs": 2},
    "ways": {"method": "dirichlet_mixup", "ways": 3},
    "same_class": {"same_class": True},
    "neighbours": {"neighbours": 5},
    "layer": {"method": "latent_mixup", "layer": 2},
    "label_smoothing": {"method": "mix_inputs", "label_smoothing": 0.1},
    "sigma": {"method": "gaussian_noise", "alpha": None, "sigma": 0.1},
    "epochs": {"epochs": 5},
    "batch_size": {"batch_size": 51},
    "workers": {"workers": 2},
    "discriminator_steps": GAN | {"discriminator_steps": 1},
    "optimizer": {"optimizer": "adam"},
    "lr": {"lr": 0.2},
    "momentum": {"momentum": 0.8},
    "weight_decay": {"weight_decay": 5e-4},
    "milestones": {"milestones": [2, 3]},
    "lr_factor": {"lr_factor": 0.2},
    "precision": {"precision": "bfloat16"},
    "memory_format": {"memory_format": "channels_last"},
    "fused": {"fused": False},
    "nesterov": {"nesterov": True},
    "norm_decay": {"norm_decay": False},
    "lr_warmup_epochs": {"lr_warmup_epochs": 2},
    "lr_warmup_from": {"lr_warmup_epochs": 3, "lr_warmup_from": 0.01},
    "mix_across_workers": {"mix_across_workers": False},
    "micro_batch": {"micro_batch": 10},
    "width_per_group": {"model": "resnet50", "width_per_group": 8},
    "seed": {"seed": 1},
}
"""Another valid value of every field; a method brings the hyper-parameters it needs."""


def trial(**fields: Any) -> Trial:
    return Trial(**MIXUP | fields)


OF_EVALUATIONS = {"source", "attacker", "pairs", "lambdas", "pairs_seed", "epsilon", "steps"}


def test_all_fields_are_tried() -> None:
    assert set(OTHERS) | OF_EVALUATIONS == set(CATALOGUE.fields)


@pytest.mark.parametrize("field", OTHERS)
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
    assert Trial(**json.loads(json.dumps(averaging.to_dict()))) == averaging
    assert averaging.trial_id != trial().trial_id


def test_defaults_given_explicitly_do_not_change_the_id() -> None:
    defaults = {name: field.default for name, field in CATALOGUE.fields.items() if not field.required}
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
    assert list(flat) == list(CATALOGUE.fields)
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
        {"nestrov": True},
        {"lr_warmup_from": 0.1},
        {"micro_batch": 0},
        {"method": "latent_mixup", "layer": 1, "micro_batch": 10},
        {"dataset": "patches_jpeg", "neighbours": 3},
    ],
    ids=str,
)
def test_a_trial_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        trial(**fields)


def test_a_trial_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        trial().epochs = 5


def test_a_milestone_beyond_the_last_epoch_is_fine() -> None:
    assert trial(milestones=[2, 100]).milestones == (2, 100)


def test_equal_ids_mean_equal_trials() -> None:
    trials = [trial(), *(trial(**others) for others in OTHERS.values())]
    for one, other in itertools.combinations(trials, 2):
        assert (one.trial_id == other.trial_id) == (one == other)


# Methods.

PARAMETERS: dict[str, Any] = {
    "alpha": 1.0,
    "ways": 3,
    "same_class": True,
    "neighbours": 5,
    "layer": 2,
    "label_smoothing": 0.1,
    "sigma": 0.1,
}
"""A value of every hyper-parameter that only some methods take."""

METHODS: dict[str, tuple[set[str], set[str], set[str]]] = {
    "erm": (set(), set(), set()),
    "mixup": ({"alpha"}, {"same_class", "neighbours"}, {"input", "target"}),
    "dirichlet_mixup": ({"alpha", "ways"}, set(), {"input", "target"}),
    "mix_inputs": ({"alpha"}, {"same_class", "neighbours", "label_smoothing"}, {"input"}),
    "latent_mixup": ({"alpha", "layer"}, set(), {"input", "target"}),
    "label_smoothing": ({"label_smoothing"}, set(), {"target"}),
    "gaussian_noise": ({"sigma"}, set(), {"input"}),
}
"""What each method needs, what it takes besides, and what it changes."""

NEEDED = [(method, name) for method, (needed, _, _) in METHODS.items() for name in sorted(needed)]
OPTIONAL = [(method, name) for method, (_, optional, _) in METHODS.items() for name in sorted(optional)]
FOREIGN = [
    (method, name)
    for method, (needed, optional, _) in METHODS.items()
    for name in PARAMETERS
    if name not in needed | optional
]


def of_method(method: str, **fields: Any) -> Trial:
    """Return a trial of ``method`` with what it needs, and these fields."""
    needed = {name: PARAMETERS[name] for name in METHODS[method][0]}
    shared = {name: value for name, value in MIXUP.items() if name != "alpha"}
    return Trial(**shared | needed | {"method": method} | fields)


def problem(method: str, **fields: Any) -> tuple[str, str]:
    """Return which field of a trial is refused, and why."""
    with pytest.raises(ValidationError) as caught:
        of_method(method, **fields)
    (found,) = caught.value.errors()
    return str(found["loc"][0]), found["msg"]


def test_every_method_is_known_here() -> None:
    assert METHODS.keys() == CATALOGUE.methods.keys()
    assert len(NEEDED) + len(OPTIONAL) + len(FOREIGN) == len(METHODS) * len(PARAMETERS)


@pytest.mark.parametrize(("method", "name"), NEEDED)
def test_what_a_method_needs_must_be_given(method: str, name: str) -> None:
    assert problem(method, **{name: None}) == (name, f"expected a value: method {method} needs it")


@pytest.mark.parametrize(("method", "name"), OPTIONAL)
def test_what_a_method_takes_besides_may_be_given(method: str, name: str) -> None:
    assert getattr(of_method(method, **{name: PARAMETERS[name]}), name) == PARAMETERS[name]
    assert of_method(method, **{name: PARAMETERS[name]}).trial_id != of_method(method).trial_id


@pytest.mark.parametrize(("method", "name"), FOREIGN)
def test_what_a_method_does_not_take_is_refused(method: str, name: str) -> None:
    found, reason = problem(method, **{name: PARAMETERS[name]})
    assert found == name
    assert reason.partition("; expected method: ")[0] == f"method {method} does not take it"


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_does_not_take_may_be_given_as_nothing(method: str) -> None:
    nothing = {name: None for at, name in FOREIGN if at == method and name != "same_class"}
    assert of_method(method, **nothing, same_class=False).trial_id == of_method(method).trial_id


@pytest.mark.parametrize("method", METHODS)
def test_a_method_changes_inputs_targets_or_both(method: str) -> None:
    assert of_method(method).changes == METHODS[method][2]


def test_smoothing_changes_the_target_too() -> None:
    assert of_method("mix_inputs", label_smoothing=0.1).changes == {"input", "target"}


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("mixup", {"alpha": 0}),
        ("mixup", {"alpha": 1e6}),
        ("mixup", {"alpha": math.inf}),
        ("dirichlet_mixup", {"alpha": math.inf, "ways": 2}),
        ("dirichlet_mixup", {"ways": 1000}),
        ("mixup", {"neighbours": 1}),
        ("mixup", {"neighbours": 100_000}),
        ("label_smoothing", {"label_smoothing": 0}),
        ("label_smoothing", {"label_smoothing": 1}),
        ("gaussian_noise", {"sigma": 0}),
        ("gaussian_noise", {"sigma": 1e6}),
        ("latent_mixup", {"layer": 1}),
    ],
    ids=str,
)
def test_the_ends_of_a_range_belong_to_it(method: str, fields: dict[str, Any]) -> None:
    found = of_method(method, **fields)
    assert {name: getattr(found, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        *(("mixup", "alpha", value) for value in (-0.1, 1.1e6, -math.inf, math.nan, "1")),
        *(("dirichlet_mixup", "ways", value) for value in (1, 0, 1001, 2.0)),
        *(("mixup", "neighbours", value) for value in (0, -1, 100_001, 2.0)),
        *(("mixup", "same_class", value) for value in (1, "yes", None)),
        *(("latent_mixup", "layer", value) for value in (0, -1, 1.0)),
        *(("label_smoothing", "label_smoothing", value) for value in (-0.1, 1.1, math.nan, math.inf)),
        *(("gaussian_noise", "sigma", value) for value in (-0.1, 1.1e6, math.nan, math.inf)),
    ],
)
def test_beyond_the_ends_of_a_range_is_refused(method: str, name: str, value: Any) -> None:
    assert problem(method, **{name: value})[0] == name


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("preact_resnet18", "1, 2, 3, 4, 5"),
        ("mlp", "1, 2, 3"),
        ("wide_resnet", "1, 2, 3, 4"),
        ("densenet_bc", "1, 2, 3, 4"),
    ],
)
def test_a_layer_is_one_that_the_model_has(model: Any, names: str) -> None:
    for layer in range(1, CATALOGUE.networks[model].count_layers({"depth": 2}) + 1):
        assert of_method("latent_mixup", model=model, layer=layer).layer == layer
    expected = f"expected one of {names}, the layers of {model}"
    assert problem("latent_mixup", model=model, layer=CATALOGUE.networks[model].count_layers({"depth": 2}) + 1) == (
        "layer",
        expected,
    )


def test_a_components_version_enters_the_ids_of_its_own_trials_above_1() -> None:
    def raise_version(kind: str, **fields: Any) -> str:
        raised = trial(**fields)
        component = getattr(raised.components, kind)
        raised.__dict__["components"] = replace(raised.components, **{kind: replace(component, version=2)})
        return raised.trial_id

    ids = [trial().trial_id, *(raise_version(kind) for kind in ("task", "dataset", "network", "method", "optimizer"))]
    assert len(set(ids)) == len(ids)
    assert trial().components.revisions == {}
