"""Trials that need other trials' models: their ids, what they read as, and which are refused."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from mixup_study.study.trial import Trial

ERM: dict[str, Any] = {"dataset": "digits", "model": "preact_resnet18", "epochs": 4, "batch_size": 50, "lr": 0.1}
MIXUP = ERM | {"method": "mixup", "alpha": 1}
ATTACK: dict[str, Any] = {"task": "attack", "source": ERM}
BETWEEN: dict[str, Any] = {"task": "between", "source": ERM}


@pytest.mark.parametrize(
    ("evaluation", "other"),
    [
        (ATTACK, {"source": MIXUP}),
        (ATTACK, {"source": ERM | {"seed": 1}}),
        (ATTACK, {"attacker": MIXUP}),
        (ATTACK, {"epsilon": 8}),
        (ATTACK, {"steps": 10}),
        (ATTACK, {"task": "between"}),
        (BETWEEN, {"source": MIXUP}),
        (BETWEEN, {"pairs": 100}),
        (BETWEEN, {"lambdas": 11}),
        (BETWEEN, {"pairs_seed": 1}),
    ],
)
def test_every_field_changes_the_id(evaluation: dict[str, Any], other: dict[str, Any]) -> None:
    assert Trial(**evaluation | other).trial_id != Trial(**evaluation).trial_id


def test_the_source_enters_by_its_content_however_it_is_written() -> None:
    same = {"source": {**ERM, "seed": 0, "momentum": 0.9}}
    assert Trial(**ATTACK | same).trial_id == Trial(**ATTACK).trial_id
    assert Trial(**ATTACK | {"source": Trial(**ERM)}).trial_id == Trial(**ATTACK).trial_id


def test_it_travels_whole() -> None:
    trial = Trial(**ATTACK | {"attacker": MIXUP, "epsilon": 8})
    for copy in (Trial(**json.loads(json.dumps(trial.to_dict()))), pickle.loads(pickle.dumps(trial))):
        assert copy.trial_id == trial.trial_id
        assert [needed.trial_id for needed in copy.needs] == [Trial(**ERM).trial_id, Trial(**MIXUP).trial_id]


def test_it_reads_as_what_it_evaluates_but_trains_nothing() -> None:
    trial = Trial(**ATTACK | {"source": MIXUP | {"seed": 7, "workers": 4}})
    assert (trial.dataset, trial.method, trial.alpha, trial.seed) == ("digits", "mixup", 1, 7)
    assert (trial.trained_epochs, trial.processes) == (0, 1)
    flat = trial.flat()
    assert flat["source"] == trial.source.trial_id
    assert flat["dataset"] is flat["seed"] is flat["epochs"] is flat["attacker"] is None


def test_settings_are_equal_where_only_seeds_differ() -> None:
    trial = Trial(**ATTACK | {"attacker": MIXUP})
    assert trial.setting() == Trial(**ATTACK | {"source": ERM | {"seed": 3}, "attacker": MIXUP | {"seed": 4}}).setting()
    assert trial.setting() != Trial(**ATTACK | {"attacker": MIXUP | {"alpha": 2}}).setting()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"task": "attack"}, "Field required"),
        (ATTACK | {"source": None}, "expected a trial of task classification"),
        (ATTACK | {"source": ERM | {"epochs": 0}}, "greater than or equal to 1"),
        (ATTACK | {"source": {**ERM, "task": "gan", "dataset": "gaussian_ring", "model": "mlp"}}, "task gan"),
        (ATTACK | {"source": ERM | {"dataset": "iris", "model": "mlp"}}, "data set iris has none"),
        (ATTACK | {"attacker": ERM}, "source itself"),
        (ATTACK | {"attacker": ERM | {"dataset": "cifar10"}}, "trained on cifar10"),
        (ATTACK | {"source": BETWEEN}, "task between"),
        (ATTACK | {"attacker": BETWEEN}, "task between"),
        (ATTACK | {"epsilon": 0}, "greater than 0"),
        (ATTACK | {"seed": 1}, "task attack does not take it"),
        (BETWEEN | {"lambdas": 20}, "odd number"),
        (BETWEEN | {"epsilon": 8}, "task between does not take it"),
        (ERM | {"source": ERM}, "does not take it"),
    ],
)
def test_what_makes_no_evaluation_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Trial(**fields)
