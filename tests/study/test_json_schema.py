from __future__ import annotations

import json
import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mixup_study.study.json_schema import study_schema
from mixup_study.study.source import parse, read

REPOSITORY = Path(__file__).parents[2]
STUDIES = sorted((REPOSITORY / "studies").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(study_schema())


@pytest.fixture
def tree(small_study: str) -> dict[Any, Any]:
    return parse(small_study, "small.yaml").tree


def claims(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"text": "A claim", "section": "3.4", "compare": [comparison]}]


def test_it_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(study_schema())


def test_the_published_schema_is_the_one_the_code_gives() -> None:
    published = json.loads((REPOSITORY / "docs" / "study.schema.json").read_text(encoding="utf-8"))
    assert published == study_schema(), "run python -m mixup_study.schema docs/study.schema.json"


def test_the_studies_are_found() -> None:
    assert {"ablation", "corrupt_labels"} <= {path.stem for path in STUDIES}


EXTENDING = {
    "extends": "small.yaml",
    "name": "larger",
    "paper": {"exact": True},
    "trial": {"lr": None, "epochs": 3},
    "arms": {"ERM": None, "mixup": {"alpha": None}},
    "profiles": {"short": None, "long": {"arms": {"ERM": None}}},
    "resources": {"gpus": None},
    "table": {"title": "Larger", "pick": None, "baseline": "ERM"},
    "claims": None,
}


def test_what_extends_a_study_lists_what_differs(validator: Draft202012Validator) -> None:
    validator.validate(EXTENDING)
    validator.validate({"extends": "small.yaml"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"extends": None},
        {"extends": ""},
        {"name": None},
        {"trail": {}},
        {"trial": {"epochs": "3"}},
        {"table": {"x": 1}},
    ],
    ids=str,
)
def test_it_refuses_what_no_study_can_be_extended_by(validator: Draft202012Validator, wrong: dict[str, Any]) -> None:
    assert not validator.is_valid({**EXTENDING, **wrong})


def test_only_what_extends_a_study_removes_keys(tree: dict[Any, Any], validator: Draft202012Validator) -> None:
    assert not validator.is_valid({**tree, "arms": None})
    assert not validator.is_valid({**tree, "claims": None})


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_is_valid(path: Path, validator: Draft202012Validator) -> None:
    validator.validate(read(path).tree)


def test_the_small_study_is_valid(tree: dict[Any, Any], validator: Draft202012Validator) -> None:
    validator.validate(tree)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.update(arms={"mixup": {"method": "mixup", "alpha": [1, 2.5], "seed": 3}}),
        lambda tree: tree.update(arms={"ERM": {"milestones": [1, 2]}}),
        lambda tree: tree.update(arms={"ERM": {"milestones": [[1, 2], [3]]}}),
        lambda tree: tree.update(arms={"ERM": {"precision": ["float32", "bfloat16"], "augment": [True, False]}}),
        lambda tree: tree["grid"].update(dropout=0.5),
        lambda tree: tree["profiles"]["short"].update(arms={"mixup": None, "ERM": {"dropout": None}}),
        lambda tree: tree["profiles"]["short"].update(trial={"train_size": None}, grid=None),
        lambda tree: tree["table"].update(across="weight_decay", modified=True),
        lambda tree: tree["table"].update(across=None),
        lambda tree: tree["table"].pop("pick"),
        lambda tree: tree["table"]["columns"][0].update(mark_lowest=True),
        lambda tree: tree["table"].update(pick={"highest": "modes_covered_last"}),
        lambda tree: tree.update(arms={"averaging": {"method": "mixup", "alpha": [1, math.inf]}}),
        lambda tree: tree.update(arms={"SC": {"method": "mix_inputs", "same_class": [True, False], "neighbours": 6}}),
        lambda tree: tree.update(arms={"latent": {"method": "latent_mixup", "layer": [1, 5]}}),
        lambda tree: tree["published"][0].update(weight_decay=1e-4, layer=1),
        lambda tree: tree.update(claims=claims({"lower": "mixup", "than": ["ERM", {"arm": "mixup", "alpha": 2}]})),
        lambda tree: tree.update(claims=claims({"rising": ["mixup", "ERM"], "where": {"alpha": "highest"}, "by": -1})),
        lambda tree: tree.update(claims=claims({"higher": "mixup", "than": "ERM", "accuracy": True, "times": 2.65})),
    ],
    ids=[
        "list axes",
        "milestones",
        "lists of milestones",
        "lists of names",
        "one value in the grid",
        "null",
        "no grid",
        "across and modified",
        "nothing across",
        "no pick",
        "a mark",
        "a pick of the highest",
        "an infinite alpha",
        "partners",
        "layers",
        "published hyper-parameters",
        "a claim",
        "a claim of an order",
        "a claim of a ratio",
    ],
)
def test_it_accepts(change: Callable[[Any], None], tree: dict[Any, Any], validator: Draft202012Validator) -> None:
    change(tree)
    validator.validate(tree)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.update(colour="red"),
        lambda tree: tree["trial"].update(dropuot=0.5),
        lambda tree: tree["grid"].update(seeds=[1]),
        lambda tree: tree["arms"]["ERM"].update(beta=1),
        lambda tree: tree["resources"].update(cpu=1),
        lambda tree: tree["table"].update(order="up"),
        lambda tree: tree["table"]["columns"][0].update(decimal=1),
        lambda tree: tree["table"]["pick"].update(greatest="test_error_last"),
        lambda tree: tree["published"][0].update(error=1),
        lambda tree: tree["profiles"]["short"].update(table={}),
        lambda tree: tree["profiles"]["short"]["trial"].update(epoch=1),
        lambda tree: tree.update(paper={"page": 3}),
    ],
    ids=[
        *("study", "trial", "grid", "arm", "resources", "table", "column", "pick", "published", "profile"),
        *("profile's trial", "paper"),
    ],
)
def test_it_refuses_an_unknown_key(
    change: Callable[[Any], None], tree: dict[Any, Any], validator: Draft202012Validator
) -> None:
    change(tree)
    assert not validator.is_valid(tree)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("epochs", 0), ("epochs", 1.5), ("dropout", 1.0), ("lr", 0), ("dataset", "cifar"), ("augment", "yes")),
        *(("method", "cutout"), ("alpha", -1), ("ways", 1), ("ways", 1001), ("neighbours", 0), ("neighbours", 100_001)),
        *(("layer", 0), ("label_smoothing", 1.1), ("label_smoothing", -0.1), ("same_class", 1)),
        *(("sigma", value) for value in (-1, 2e6)),
    ],
)
@pytest.mark.parametrize("where", ["trial", "grid"])
def test_it_refuses_a_value_out_of_range(
    where: str, key: str, value: Any, tree: dict[Any, Any], validator: Draft202012Validator
) -> None:
    tree[where][key] = value
    assert not validator.is_valid(tree)
    if where == "grid":
        tree[where][key] = [value]
        assert not validator.is_valid(tree)


@pytest.mark.parametrize(("key", "value"), [("across", "weight_dcay"), ("across", ["width"]), ("modified", "yes")])
def test_it_refuses_a_table_that_cannot_be(
    key: str, value: Any, tree: dict[Any, Any], validator: Draft202012Validator
) -> None:
    tree["table"][key] = value
    assert not validator.is_valid(tree)


@pytest.mark.parametrize(
    "comparison",
    [
        {"lower": "mixup"},
        {"lower": "mixup", "higher": "mixup", "than": "ERM"},
        {"rising": ["mixup", "ERM"], "than": "ERM"},
        {"rising": ["mixup"]},
        {"lower": "mixup", "than": {"alpha": 2}},
        {"lower": "mixup", "than": "ERM", "where": {"seed": 0}},
        {"lower": "mixup", "than": "ERM", "minus": {"metric": "error"}},
        {"lower": "mixup", "then": "ERM", "than": "ERM"},
        {"higher": "mixup", "than": "ERM", "times": 0},
        {"higher": "mixup", "than": "ERM", "times": 2, "by": 1},
        {"higher": "mixup", "than": "ERM", "times": 2, "minus": {"metric": "test_error_best"}},
        {"rising": ["mixup", "ERM"], "times": 2},
    ],
)
def test_it_refuses_a_claim_that_compares_nothing(
    comparison: dict[str, Any], tree: dict[Any, Any], validator: Draft202012Validator
) -> None:
    tree["claims"] = claims({"lower": "mixup", "than": "ERM"})
    assert validator.is_valid(tree)
    tree["claims"] = claims(comparison)
    assert not validator.is_valid(tree)


@pytest.mark.parametrize("key", ["name", "arms", "table"])
def test_it_asks_for(key: str, tree: dict[Any, Any], validator: Draft202012Validator) -> None:
    del tree[key]
    assert not validator.is_valid(tree)


def test_it_asks_for_an_arm(tree: dict[Any, Any], validator: Draft202012Validator) -> None:
    tree["arms"] = {}
    assert not validator.is_valid(tree)


def test_it_asks_for_a_value_in_every_list(tree: dict[Any, Any], validator: Draft202012Validator) -> None:
    for key in ("grid", "arms"):
        changed = deepcopy(tree)
        (changed["grid"] if key == "grid" else changed["arms"]["ERM"])["seed"] = []
        assert not validator.is_valid(changed)


def test_the_schema_knows_the_ranges_of_every_field() -> None:
    definitions = study_schema()["$defs"]
    variable = {"$ref": "#/$defs/variable"}
    assert definitions["field_alpha"]["anyOf"] == [{"minimum": 0, "type": "number"}, variable]
    share = {"anyOf": [{"minimum": 0, "maximum": 1, "type": "number"}, variable]}
    assert share in definitions["field_label_smoothing"]["anyOf"]


def test_variables_stand_for_numbers_lists_and_names(validator: Draft202012Validator, tree: dict[Any, Any]) -> None:
    tree["variables"] = {"epochs": 4, "seeds": [0, 1], "metric": "test_error_last"}
    tree["trial"]["epochs"], tree["grid"]["seed"] = "${epochs}", "${seeds}"
    tree["table"]["columns"][0]["metric"] = "${metric}"
    tree["resources"] = {"cpus": "${epochs}"}
    tree["profiles"] = {"short": {"variables": {"epochs": 1}}}
    assert validator.is_valid(tree)
    for path, wrong in [("variables", {"a b": 1}), ("variables", {"a": {}}), ("retries", "${a b}"), ("retries", "5")]:
        assert not validator.is_valid({**tree, path: wrong}), wrong
