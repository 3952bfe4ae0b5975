"""A field that several components declare, each with limits and a default of its own: depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from mixup_study.analysis.estimate import estimate
from mixup_study.errors import InputError
from mixup_study.store.record import TrialRecord
from mixup_study.study.explain import choose_finding
from mixup_study.study.json_schema import study_schema
from mixup_study.study.labels import cell_labels
from mixup_study.study.study import Study
from mixup_study.study.trial import Trial, check_field
from mixup_study.views.captions import what_ran
from mixup_study.views.report.effects import chart_effects
from mixup_study.views.trials_table import trials_sheet
from tests.fixtures import Measure, findings_of, make_trial

Loader = Callable[..., Study]

ON_IMAGES = ("preact_resnet18", "mlp", "wide_resnet", "densenet_bc")
NETWORKS = """\
name: networks
trial: {dataset: digits, epochs: 2, batch_size: 50, lr: 0.1}
grid: {model: [preact_resnet18, mlp, wide_resnet, densenet_bc]}
arms: {ERM: {}}
table:
  title: Networks
  rows: [model, arm]
  columns: [{title: error, metric: test_error_last}]
"""
BAD_DEPTHS = [
    ("mlp", 65, "expected a value ≤ 64, in [1, 64]"),
    ("wide_resnet", 4, "expected a value ≥ 10, in [10, 1000]"),
    ("densenet_bc", 1006, "expected a value ≤ 1000, in [10, 1000]"),
    ("wide_resnet", 29, "expected a depth of 6n + 4, as 28 or 34"),
    ("densenet_bc", 99, "expected a depth of 6n + 4, as 94 or 100"),
]


def test_a_trial_has_the_default_of_its_own_network() -> None:
    depths = {name: make_trial(model=name).depth for name in ON_IMAGES}
    assert depths == {"preact_resnet18": None, "mlp": 2, "wide_resnet": 28, "densenet_bc": 190}


@pytest.mark.parametrize("name", ["mlp", "wide_resnet", "densenet_bc"])
def test_each_networks_own_default_is_left_out_of_the_id(name: str) -> None:
    bare = make_trial(model=name)
    assert make_trial(model=name, depth=bare.depth).trial_id == bare.trial_id
    assert make_trial(model=name, depth=34).trial_id != bare.trial_id


@pytest.mark.parametrize(("model", "depth", "expected"), BAD_DEPTHS)
def test_a_bad_depth_is_refused_in_one_line_with_the_limits_of_its_network(
    load: Loader, model: str, depth: int, expected: str
) -> None:
    with pytest.raises(InputError) as refused:
        load(NETWORKS, f"grid.model={model}", f"trial.depth={depth}")
    assert str(refused.value) == f"--set trial.depth={depth}: trial.depth: {depth}: {expected}"


def test_what_any_network_accepts_is_a_value_of_the_field() -> None:
    for depth in (1, 2, 63, 64, 28, 190, 1000):
        check_field("depth", depth)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "expected a value ≥ 1, in [1, 64] or a value ≥ 10, in [10, 1000]"),
        (99, "expected a value ≤ 64, in [1, 64] or a depth of 6n + 4, as 94 or 100"),
        ("deep", "Input should be a valid integer"),
    ],
)
def test_what_none_accepts_is_refused_with_what_each_does(value: Any, expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check_field("depth", value)
    assert choose_finding(refused.value)["msg"] == expected


def test_the_schema_accepts_what_any_network_does() -> None:
    validator = Draft202012Validator({"$ref": "#/$defs/field_depth", "$defs": study_schema()["$defs"]})
    assert [depth for depth in (0, 1, 64, 190, 1000, 1001, "2") if validator.is_valid(depth)] == [1, 64, 190, 1000]


def test_captions_name_the_depth_that_is_no_default(load: Loader) -> None:
    assert "depth" not in what_ran(findings_of(load(NETWORKS), {}))
    only = ("grid.model=wide_resnet", "trial.depth=16")
    assert "wide_resnet, epochs 2, depth 16, seed 0" in what_ran(findings_of(load(NETWORKS, *only), {}))
    assert "depth 28" in what_ran(findings_of(load(NETWORKS, "grid.model=densenet_bc", "trial.depth=28"), {}))


def test_what_follows_from_the_network_is_no_setting_of_the_trial(load: Loader, measure: Measure) -> None:
    study = load(NETWORKS)
    assert list(cell_labels(study).values()) == [f"model {name}, ERM" for name in ON_IMAGES]
    findings = findings_of(study, measure(study, lambda cell: 0.5))
    assert trials_sheet(findings).headings == ["trial_id", "arm", "model", "state", "seconds"]
    assert chart_effects(findings) == {}


def test_a_trial_is_not_described_by_what_its_network_does_not_take(load: Loader) -> None:
    narrow = "arms: {narrow: {model: preact_resnet18, width: 8}, ERM: {model: wide_resnet}}"
    study = load(NETWORKS.replace("arms: {ERM: {}}", narrow).replace("rows: [model, arm]", "rows: [arm]"))
    assert list(cell_labels(study).values()) == ["narrow, model=preact_resnet18, width=8", "ERM, model=wide_resnet"]
    sheet = trials_sheet(findings_of(study, {}))
    assert sheet.headings[2:5] == ["model", "width", "state"]
    assert [row[3] for row in sheet.texts()] == ["8", ""]


def test_claims_name_the_default_of_the_arms_own_network(load: Loader) -> None:
    arms = "arms: {ERM: {}, mixup: {method: mixup, alpha: 1}}"
    claim = '\nclaims: [{text: Better, section: "3.2", compare: [{lower: mixup, than: ERM, where: {depth: %d}}]}]\n'
    every = "[preact_resnet18, mlp, wide_resnet, densenet_bc]"
    for model, depth in (("wide_resnet", 28), ("densenet_bc", 190), ("mlp", 2)):
        text = NETWORKS.replace("arms: {ERM: {}}", arms).replace(every, model)
        load(text + claim % depth)
        with pytest.raises(InputError, match=f"no trial has it; expected one of {depth}$"):
            load(text + claim % 34)


def test_the_estimate_goes_by_trials_of_the_same_depth(record: Callable[..., TrialRecord]) -> None:
    def trial(**fields: Any) -> Trial:
        return make_trial(model="wide_resnet", **fields)

    took = record(trial(), train_seconds=10).trials_table().to_pylist()
    assert estimate([trial(seed=5)], took, 0).startswith("estimate: 10 s of training")
    assert estimate([trial(depth=10)], took, 0).startswith("estimate: none")
