from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError
from mixup_study.study.study import Study
from mixup_study.study.trial import Trial
from tests.networks.small import input_of, smallest

Loader = Callable[..., Study]

TASKS, MODELS = CATALOGUE.names("task"), CATALOGUE.names("model")
LABELLED, IMAGES, TABLES, DENSITIES = (
    [name for name, entry in CATALOGUE.data_sets.items() if feature in entry.provides]
    for feature in ("labels", "images", "table", "density")
)

DIGITS: dict[str, Any] = {"dataset": "digits", "model": "preact_resnet18"}
IRIS: dict[str, Any] = {"dataset": "iris", "model": "mlp"}
GAN: dict[str, Any] = {"task": "gan", "dataset": "gaussian_ring", "model": "mlp"}
MIXUP: dict[str, Any] = {"method": "mixup", "alpha": 1}


def trial(**fields: Any) -> Trial:
    return Trial(**{"epochs": 4, "batch_size": 50, "lr": 0.1} | fields)


def refusal(**fields: Any) -> tuple[str, str]:
    """Return the one field of a trial that is refused, and why."""
    with pytest.raises(ValidationError) as caught:
        trial(**fields)
    (found,) = caught.value.errors()
    assert "\n" not in found["msg"]
    return str(found["loc"][0]), found["msg"]


# Combinations.


@pytest.mark.parametrize("dataset", CATALOGUE.data_sets)
def test_every_data_set_can_be_learnt_in_one_task_by_some_model(dataset: str) -> None:
    files = dict.fromkeys(CATALOGUE.data_sets[dataset].naming_fields, "own")

    def fits(task: str, model: str) -> bool:
        try:
            trial(task=task, dataset=dataset, model=model, **files)
        except ValidationError:
            return False
        return True

    fitting = {pair for pair in itertools.product(TASKS, MODELS) if fits(*pair)}
    if dataset in DENSITIES:
        assert fitting == {("gan", "mlp")}
    else:
        (inputs,) = CATALOGUE.data_sets[dataset].provides - {"labels", "streamed"}
        taken = (name for name, entry in CATALOGUE.networks.items() if not entry.takes or inputs in entry.takes)
        assert fitting == {("classification", name) for name in taken}


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        (IRIS | {"task": "gan"}, "dataset", "task gan does not train on it; expected one of " + ", ".join(DENSITIES)),
        (
            {"dataset": "gaussian_grid", "model": "mlp"},
            "dataset",
            f"task classification does not train on it; expected one of {', '.join(LABELLED)}",
        ),
        (
            IRIS | {"model": "preact_resnet18"},
            "model",
            "it takes images or spectrograms, which data set iris has not; expected mlp",
        ),
        (
            GAN | {"model": "preact_resnet18"},
            "model",
            "it takes images or spectrograms, which data set gaussian_ring has not; expected mlp",
        ),
        *(
            (GAN | given, "method", "task gan does not train with it; expected one of erm, mixup")
            for given in (
                {"method": "dirichlet_mixup", "alpha": 1, "ways": 2},
                {"method": "mix_inputs", "alpha": 1},
                {"method": "latent_mixup", "alpha": 1, "layer": 1},
                {"method": "label_smoothing", "label_smoothing": 0.1},
                {"method": "gaussian_noise", "sigma": 0.1},
            )
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(fields: dict[str, Any], field: str, reason: str) -> None:
    assert refusal(**fields) == (field, reason)


def test_a_seed_of_what_is_not_drawn_must_stay_at_its_default() -> None:
    reason = (
        "nothing is drawn by it: there is no label noise, train_size takes all examples, and validation none of them by"
        " this seed"
    )
    assert refusal(**DIGITS, data_seed=1) == ("data_seed", reason)
    assert refusal(**IRIS, validation=0.2, data_seed=1) == ("data_seed", reason)  # it is drawn by split_seed
    for drawn in ({"label_noise": 0.2}, {"train_size": 100}, {"validation": 0.1}):
        assert trial(**DIGITS, **drawn, data_seed=1).data_seed == 1


FOREIGN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    *(("task classification", DIGITS, {"discriminator_steps": steps}) for steps in (1, 6)),
    *(
        ("task gan", GAN | MIXUP, given)
        for given in (
            {"train_size": 100},
            {"label_noise": 0.2},
            {"data_seed": 1},
            {"precision": "bfloat16"},
            {"workers": 2},
        )
    ),
    *(("data set gaussian_ring", GAN | MIXUP, given) for given in ({"dropout": 0.5}, {"same_class": True})),
    ("data set digits", DIGITS, {"split_seed": 0}),
    ("data set gaussian_ring", GAN, {"split_seed": 0}),
    *(
        (f"data set {fields['dataset']}", fields | MIXUP, given)
        for fields in (IRIS, GAN)
        for given in ({"neighbours": 5},)
    ),
    ("data set iris", IRIS, {"memory_format": "channels_last"}),
    ("task gan", GAN, {"memory_format": "channels_last"}),
    ("model preact_resnet18", DIGITS, {"depth": 3}),
    ("optimizer adam", DIGITS | {"optimizer": "adam"}, {"momentum": 0.5}),
]
"""What does not take a field, the fields of a trial of it, and another value of that field than the default."""


@pytest.mark.parametrize(("choice", "fields", "given"), FOREIGN, ids=str)
def test_a_field_that_means_nothing_must_stay_at_its_default(
    choice: str, fields: dict[str, Any], given: dict[str, Any]
) -> None:
    (name,) = given
    found, reason = refusal(**fields, **given)
    assert (found, reason.partition("; expected method: ")[0]) == (name, f"{choice} does not take it")
    assert trial(**fields, **{name: CATALOGUE.fields[name].default}) == trial(**fields)


def test_a_wrong_choice_is_told_once_and_not_for_every_field_that_hangs_on_it() -> None:
    field, _ = refusal(dataset="imagenett", model="mlp", split_seed=1, memory_format="channels_last")
    assert field == "dataset"
    assert refusal(**IRIS | {"task": "regression"}, discriminator_steps=1)[0] == "task"


def test_a_study_is_refused_in_the_line_of_the_field(load: Loader, small_study: str) -> None:
    text = small_study.replace("  dataset: digits\n", "  dataset: iris\n").split("published:")[0]
    with pytest.raises(InputError) as caught:
        load(text)
    assert str(caught.value).endswith(
        "small.yaml:4: trial.model: 'preact_resnet18': it takes images or spectrograms, which data set iris has not;"
        " expected mlp"
    )


# Layers.


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((name, smallest(name)) for name in CATALOGUE.networks),
        *(("mlp", {"width": 2, "depth": depth}) for depth in (2, 5)),
        ("wide_resnet", {"widen_factor": 1, "depth": 22}),
        ("densenet_bc", {"growth_rate": 2, "depth": 22}),
    ],
)
def test_a_network_has_the_layers_that_the_rules_count(name: str, size: dict[str, int]) -> None:
    dataset, shape = input_of(name)
    network = CATALOGUE.networks[name].load()(trial(dataset=dataset, model=name, **size), shape, 10)
    assert len(network.stages) == CATALOGUE.networks[name].count_layers(size)
