"""What a study file expands to: settings that go with a grid's value, and the models that evaluations need."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError
from mixup_study.study.plan import GridPlan
from mixup_study.study.study import Study, StudyFile

GRID = """\
name: networks
trial: {dataset: digits, epochs: 200, batch_size: 50, lr: 0.1, milestones: [100, 150]}
grid:
  model:
    preact_resnet18: {}
    mlp: {milestones: [60, 120], width: [8, 16]}
  seed: [0, 1]
arms:
  ERM: {}
  long: {milestones: [190]}
table: {title: t, rows: [model, width], across: arm, columns: [{title: error, metric: test_error_last}]}
"""
EVALUATIONS = """\
name: adversarial
trial: {task: attack, epsilon: 8, dataset: digits, model: mlp, epochs: 3, batch_size: 50, lr: 0.1}
grid:
  steps: [1, 10]
  width: {8: {}, 16: {epochs: 5}}
  seed: [0, 1]
models:
  ERM: {}
  ERM A: {seed: 100}
  mixup: {method: mixup, alpha: 1}
  mixup A: {like: mixup, seed: 100}
arms:
  white: {source: mixup}
  black: {source: mixup, attacker: ERM A}
  itself: {source: {like: mixup, alpha: 2}, attacker: mixup A}
profiles:
  short:
    trial: {epochs: 1}
    models: {mixup: {alpha: 4}}
table: {title: t, rows: [arm, width, steps], columns: [{title: error, metric: adversarial_error}]}
"""


def load(folder: Path, text: str, profile: str = "full", *overrides: str) -> Study:
    file = folder / "study.yaml"
    file.write_text(text, encoding="utf-8")
    return StudyFile(file, overrides).load(profile)


def test_settings_go_with_a_value_of_the_grid(tmp_path: Path) -> None:
    study = load(tmp_path, GRID)
    trials = [cell.trial for cell in study.cells if cell.arm == "ERM" and cell.trial.seed == 0]
    assert [(trial.model, trial.width, trial.milestones) for trial in trials] == [
        ("preact_resnet18", 64, (100, 150)),
        ("mlp", 8, (60, 120)),
        ("mlp", 16, (60, 120)),
    ]


def test_what_an_arm_sets_itself_wins(tmp_path: Path) -> None:
    study = load(tmp_path, GRID)
    assert {cell.trial.milestones for cell in study.cells if cell.arm == "long"} == {(190,)}
    wide = load(tmp_path, GRID.replace("long: {milestones: [190]}", "long: {model: mlp}"))
    assert {(cell.trial.width, cell.trial.milestones) for cell in wide.cells if cell.arm == "long"} == {
        (64, (100, 150))
    }


def test_models_are_composed_like_arms_of_what_the_evaluation_does_not_take(tmp_path: Path) -> None:
    study = load(tmp_path, EVALUATIONS)
    assert len(study.trials) == 3 * 2 * 2 * 2
    for cell in study.cells:
        source, attacker = cell.trial.source, cell.trial.attacker
        assert (source.task, source.method, source.dataset) == ("classification", "mixup", "digits")
        assert source.epochs == (5 if source.width == 16 else 3)
        assert source.alpha == (2 if cell.arm == "itself" else 1)
        assert cell.trial.epsilon == 8
        if cell.arm == "white":
            assert attacker is None
        else:
            assert attacker.method == ("erm" if cell.arm == "black" else "mixup")
            assert (attacker.seed, attacker.width) == (100, source.width)  # its own seed wins over the grid's
    assert {cell.trial.seed for cell in study.cells} == {0, 1}  # that of the source
    assert {cell.trial.width for cell in study.cells} == {8, 16}


def test_a_model_is_the_trial_that_another_study_trains(tmp_path: Path) -> None:
    attacked = load(tmp_path, EVALUATIONS).cells[0].trial.source
    training = load(
        tmp_path,
        "name: n\ntrial: {dataset: digits, model: mlp, epochs: 3, batch_size: 50, lr: 0.1, width: 8}\n"
        "arms: {mixup: {method: mixup, alpha: 1}}\n"
        "table: {title: t, rows: [arm], columns: [{title: e, metric: test_error_last}]}\n",
    )
    assert attacked.trial_id in training.trials


def test_profiles_and_overrides_reach_the_models(tmp_path: Path) -> None:
    sources = [cell.trial.source for cell in load(tmp_path, EVALUATIONS, "short").cells if cell.arm == "white"]
    assert {(source.alpha, source.epochs) for source in sources} == {(4, 1), (4, 5)}
    study = load(tmp_path, EVALUATIONS, "full", "models.mixup.alpha=16", "grid.seed=5")
    assert {cell.trial.source.alpha for cell in study.cells if cell.arm == "white"} == {16}
    assert {cell.trial.seed for cell in study.cells} == {5}


@pytest.mark.parametrize(
    ("text", "old", "new", "problem"),
    [
        (
            GRID,
            "{milestones: [60, 120], width",
            "{milestones: [60, 120], seed",
            ":6: grid.model.mlp.seed: it stands elsewhere too",
        ),
        (GRID, "    mlp:", "    mlpp:", ":4: grid.model: 'mlpp': expected 'preact_resnet18'"),
        (GRID, "width: [8, 16]}", "wdth: 8}", ":6: grid.model.mlp.wdth: 8: unknown key"),
        (GRID, "width: [8, 16]}", "width: []}", ":6: grid.model.mlp.width: []: expands to nothing"),
        (GRID, "preact_resnet18: {}", "preact_resnet18: 3", ":5: grid.model.preact_resnet18: 3: expected the fields"),
        (GRID, "long: {mil", "long: {model: {mlp: 3}, mil", ":10: arms.long.model.mlp: 3: expected the fields"),
        (GRID, "long: {mil", "long: {model: {mlp: {width: 3}}, mil", ":10: arms.long.model.mlp.width: it stands"),
        (EVALUATIONS, "white: {source: mixup}", "white: {source: mixpu}", ":13: arms.white.source: 'mixpu': expected"),
        (EVALUATIONS, "white: {source: mixup}", "white: {source: 3}", ":13: arms.white.source: 3: expected the name"),
        (EVALUATIONS, "{like: mixup, seed", "{like: mixup A, seed", ":11: models.mixup A.like: 'mixup A': a model is"),
        (EVALUATIONS, "{like: mixup, seed", "{like: mix, seed", ":11: models.mixup A.like: 'mix': expected one of"),
        (EVALUATIONS, "alpha: 1}", "alpha: -1}", ":10: models.mixup.alpha: -1: expected a value ≥ 0"),
        (EVALUATIONS, "  ERM A: {seed", "  ERM A: {sead", ":9: models.ERM A.sead: 100: unknown key"),
        (EVALUATIONS, "epsilon: 8", "epsilon: 0", ":2: trial.epsilon: 0: expected a value > 0"),
        (EVALUATIONS, "model: mlp, epochs: 3", "model: mlp, epohcs: 3", ":2: trial.epohcs: 3: unknown key"),
        (EVALUATIONS, "attacker: ERM A", "attacker: mixup", ":14: arms.black.attacker: 'mixup': it is source itself"),
        (EVALUATIONS, "batch_size: 50, ", "", "batch_size: missing; expected a value"),
    ],
)
def test_a_mistake_is_named_where_it_was_written(tmp_path: Path, text: str, old: str, new: str, problem: str) -> None:
    assert text.count(old) == 1
    with pytest.raises(InputError) as error:
        load(tmp_path, text.replace(old, new))
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_models_are_called_by_their_names_and_what_tells_them_apart(tmp_path: Path) -> None:
    plan = GridPlan(load(tmp_path, EVALUATIONS), 1)
    models = [label for trial_id, label in plan.labels.items() if trial_id in plan.needed]
    assert "model mixup, width=8, epochs=3, seed=0" in models
    assert "model ERM A, width=16, epochs=5" in models
    assert sum(label.startswith("model for ") for label in models) == 4  # its source has no name
    assert len(models) == len(plan.needed) == 2 * 2 + 2 + 2 * 2 + 2


NESTED = """\
name: nested
trial: {dataset: digits, batch_size: 50, lr: 0.1}
grid:
  model:
    preact_resnet18: &both {width: 4, epochs: {3: {milestones: [2]}, 6: {milestones: [4, 5]}}}
    wide_resnet: {depth: 10, epochs: 3, milestones: [2]}
arms:
  ERM: {}
  mixup: {method: mixup, model: {preact_resnet18: {alpha: 0.2}, wide_resnet: {alpha: [0.4, 1]}}}
table:
  title: Nested
  rows: [model, epochs]
  across: arm
  columns: [{title: last, metric: test_error_last}]
  pick: {lowest: test_error_last}
"""


def test_fields_beside_a_value_may_have_fields_beside_theirs_and_an_arm_adds_its_own(tmp_path: Path) -> None:
    study = load(tmp_path, NESTED)
    found = [
        (cell.arm, cell.trial.model, cell.trial.epochs, cell.trial.milestones, cell.trial.alpha) for cell in study.cells
    ]
    assert found == [
        ("ERM", "preact_resnet18", 3, (2,), None),
        ("ERM", "preact_resnet18", 6, (4, 5), None),
        ("ERM", "wide_resnet", 3, (2,), None),
        ("mixup", "preact_resnet18", 3, (2,), 0.2),
        ("mixup", "preact_resnet18", 6, (4, 5), 0.2),
        ("mixup", "wide_resnet", 3, (2,), 0.4),
        ("mixup", "wide_resnet", 3, (2,), 1.0),
    ]
    assert {cell.trial.width for cell in study.cells if cell.trial.model == "preact_resnet18"} == {4}
    assert all("model" not in cell.settings for cell in study.cells)


def test_a_claim_may_name_what_a_model_within_an_arm_has(tmp_path: Path) -> None:
    claims = "claims: [{text: A, section: '1', compare: [{higher: {arm: itself, alpha: 2}, than: white}]}]\n"
    assert len(load(tmp_path, EVALUATIONS + claims).claims) == 1
    with pytest.raises(InputError, match=r"alpha: 3"):
        load(tmp_path, EVALUATIONS + claims.replace("alpha: 2", "alpha: 3"))


@pytest.mark.parametrize("text", [GRID, EVALUATIONS])
def test_a_trial_lists_the_fields_that_it_departs_in(tmp_path: Path, text: str) -> None:
    for trial in load(tmp_path, text).trials.values():
        departures = {name: getattr(trial, name) for name in CATALOGUE.fields if trial.departs(name)}
        assert trial.list_departures() == departures


def test_the_paper_profile_of_imagenet_is_table_1() -> None:
    study = StudyFile(Path("studies/imagenet.yaml")).load("paper")
    assert len(study.trials) == 14
    alphas = {(trial.model, trial.alpha) for trial in study.trials.values() if trial.method == "mixup"}
    assert alphas == {("resnet50", 0.2), ("resnet101", 0.2), ("resnext101_32x4d", 0.4), ("resnext101_64x4d", 0.4)}
    assert {trial.milestones for trial in study.trials.values() if trial.epochs == 200} == {(60, 120, 180)}
    assert sum(trial.model == "resnext101_64x4d" for trial in study.trials.values()) == 2
    assert study.as_in_paper
