from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from mixup_study.study.document import Resources
from mixup_study.study.study import Study, StudyFile

Loader: TypeAlias = Callable[..., Study]

CORRUPT_LABELS = Path(__file__).parents[2] / "studies" / "corrupt_labels.yaml"


PICK = "  pick: {lowest: test_error_last}\n"
ABLATION = Path(__file__).parents[2] / "studies" / "ablation.yaml"


def ablation(profile: str, *overrides: str) -> Study:
    return StudyFile(ABLATION, overrides).load(profile)


def corrupt_labels(profile: str, *overrides: str) -> Study:
    return StudyFile(CORRUPT_LABELS, overrides).load(profile)


def values(study: Study, field: str, arm: str | None = None) -> list[Any]:
    """Return a field's distinct values, in the order of the study."""
    return list(dict.fromkeys(getattr(cell.trial, field) for cell in study.cells if arm in (None, cell.arm)))


# The study of the paper's Table 2.


def test_table_2_is_63_trials() -> None:
    study = corrupt_labels("paper")
    assert Counter(cell.arm for cell in study.cells) == {
        "ERM": 3,
        "ERM + dropout": 12,
        "mixup": 12,
        "mixup + dropout": 36,
    }
    assert len(study.trials) == 63


def test_table_2_searches_what_section_3_4_searches() -> None:
    study = corrupt_labels("paper")
    assert values(study, "label_noise") == [0.2, 0.5, 0.8]
    assert values(study, "dropout", "ERM + dropout") == [0.5, 0.7, 0.8, 0.9]
    assert values(study, "alpha", "mixup") == [1, 2, 8, 32]
    assert values(study, "alpha", "mixup + dropout") == [1, 2, 4, 8]
    assert values(study, "dropout", "mixup + dropout") == [0.3, 0.5, 0.7]
    assert values(study, "method", "ERM + dropout") == ["erm"]
    assert values(study, "method", "mixup + dropout") == ["mixup"]


def test_table_2_trains_as_the_paper_does() -> None:
    trial = corrupt_labels("paper").cells[0].trial
    assert (trial.dataset, trial.model, trial.epochs, trial.batch_size) == ("cifar10", "preact_resnet18", 200, 128)
    assert (trial.lr, trial.momentum, trial.weight_decay) == (0.1, 0.9, 1e-4)
    assert (trial.milestones, trial.lr_factor) == ((100, 150), 0.1)


def test_the_quick_profile_is_24_trials_of_digits() -> None:
    study = corrupt_labels("quick")
    assert Counter(cell.arm for cell in study.cells) == {
        "ERM": 3,
        "ERM + dropout": 6,
        "mixup": 9,
        "mixup + dropout": 6,
    }
    assert values(study, "dataset") == ["digits"]


def test_a_profile_changes_what_it_names_and_nothing_else() -> None:
    paper, quick = corrupt_labels("paper"), corrupt_labels("quick")
    assert values(quick, "epochs") == [40]
    assert values(quick, "weight_decay") == values(paper, "weight_decay")
    assert values(quick, "label_noise") == values(paper, "label_noise")
    assert values(quick, "method", "mixup") == ["mixup"]  # the arm's other keys stay
    assert (quick.resources.cpus, quick.resources.gpus) == (paper.resources.cpus, 0)
    assert quick.table == paper.table
    assert quick.published == paper.published


def test_the_profiles_of_table_2_share_no_trial() -> None:
    assert not corrupt_labels("paper").trials.keys() & corrupt_labels("quick").trials.keys()


def test_the_profiles_are_the_file_as_it_stands_and_its_overlays() -> None:
    assert StudyFile(CORRUPT_LABELS).profiles == ("paper", "quick")


# The study of the paper's Table 5.


def test_table_5_is_22_arms_at_two_weight_decays() -> None:
    study = ablation("paper")
    found = Counter((cell.arm, cell.trial.weight_decay) for cell in study.cells)
    assert len({arm for arm, _ in found}) == 22
    assert {decay for _, decay in found} == {1e-4, 5e-4}
    assert set(found.values()) == {1}
    assert len(study.cells) == len(study.trials) == 44


def test_table_5_trains_as_the_paper_does() -> None:
    study = ablation("paper")
    for field, expected in {
        "dataset": "cifar10",
        "train_size": None,
        "augment": True,
        "model": "preact_resnet18",
        "width": 64,
        "epochs": 200,
        "batch_size": 128,
        "lr": 0.1,
        "momentum": 0.9,
        "milestones": (100, 150),
        "lr_factor": 0.1,
    }.items():
        assert values(study, field) == [expected]


MIXED = {"alpha": 1.0}


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("ERM", {"method": "erm"}),
        ("mixup / AC + RP", {"method": "mixup"} | MIXED),
        ("mixup / AC + KNN", {"method": "mixup", "neighbours": 200} | MIXED),
        *(
            (
                f"mix labels and latent representations / layer {layer}",
                {"method": "latent_mixup", "layer": layer} | MIXED,
            )
            for layer in range(1, 6)
        ),
        (
            "mix inputs only / SC + KNN (SMOTE)",
            {"method": "mix_inputs", "same_class": True, "neighbours": 200} | MIXED,
        ),
        ("mix inputs only / AC + KNN", {"method": "mix_inputs", "neighbours": 200} | MIXED),
        ("mix inputs only / SC + RP", {"method": "mix_inputs", "same_class": True} | MIXED),
        ("mix inputs only / AC + RP", {"method": "mix_inputs"} | MIXED),
        *(
            (f"label smoothing / ε={epsilon}", {"method": "label_smoothing", "label_smoothing": epsilon})
            for epsilon in (0.05, 0.1, 0.2)
        ),
        *(
            (
                f"mix inputs + label smoothing / ε={epsilon}",
                {"method": "mix_inputs", "label_smoothing": epsilon} | MIXED,
            )
            for epsilon in (0.05, 0.1, 0.2, 0.4)
        ),
        *((f"Gaussian noise / σ={sigma}", {"method": "gaussian_noise", "sigma": sigma}) for sigma in (0.05, 0.1, 0.2)),
    ],
)
def test_an_arm_of_table_5_does_what_its_name_says(arm: str, expected: dict[str, Any]) -> None:
    trials = [cell.trial for cell in ablation("paper").cells if cell.arm == arm]
    names = ("method", "alpha", "ways", "same_class", "neighbours", "layer", "label_smoothing", "sigma")
    rest = dict.fromkeys(names) | {"same_class": False}
    assert [{name: getattr(trial, name) for name in names} for trial in trials] == [rest | expected] * 2


def test_table_5_in_quick_is_the_same_cells_of_digits_at_four_seeds() -> None:
    paper, quick = ablation("paper"), ablation("quick")
    assert len(quick.cells) == len(quick.trials) == 176
    found = Counter((cell.arm, cell.trial.weight_decay) for cell in quick.cells)
    assert found == {(cell.arm, cell.trial.weight_decay): 4 for cell in paper.cells}
    assert (values(quick, "dataset"), values(quick, "train_size")) == (["digits"], [300])
    assert values(quick, "seed") == [0, 1, 2, 3]
    assert (quick.resources.gpus, quick.published, quick.table) == (0, paper.published, paper.table)


def test_nearest_neighbours_in_quick_are_six() -> None:
    near = {cell.arm: cell.trial.neighbours for cell in ablation("quick").cells if cell.trial.neighbours is not None}
    assert near == {
        "mixup / AC + KNN": 6,
        "mix inputs only / SC + KNN (SMOTE)": 6,
        "mix inputs only / AC + KNN": 6,
    }


# Expanding.


def test_a_study_of_no_paper_calls_the_file_as_it_stands_full(load: Loader, small_study: str) -> None:
    study = load(small_study)
    assert study.profile == "full"
    assert len(study.trials) == 6


def test_trials_come_in_the_order_of_the_file(load: Loader, small_study: str) -> None:
    found = [(cell.arm, cell.trial.seed, cell.trial.alpha) for cell in load(small_study).cells]
    assert found == [
        ("ERM", 0, None),
        ("ERM", 1, None),
        ("mixup", 0, 1.0),
        ("mixup", 0, 2.0),
        ("mixup", 1, 1.0),
        ("mixup", 1, 2.0),
    ]


def test_an_arms_value_wins_over_the_grid(load: Loader, small_study: str) -> None:
    study = load(small_study.replace("ERM: {}", "ERM: {seed: 7}"))
    assert values(study, "seed", "ERM") == [7]
    assert values(study, "seed", "mixup") == [0, 1]


def test_the_grid_wins_over_what_trials_share(load: Loader, small_study: str) -> None:
    study = load(small_study.replace("seed: [0, 1]", "epochs: [2, 3]"))
    assert values(study, "epochs") == [2, 3]


def test_a_grid_may_name_one_value(load: Loader, small_study: str) -> None:
    assert values(load(small_study.replace("seed: [0, 1]", "seed: 5")), "seed") == [5]


def test_a_list_of_milestones_is_one_value(load: Loader, small_study: str) -> None:
    study = load(small_study.replace("ERM: {}", "ERM: {milestones: [2, 3]}"))
    assert values(study, "milestones", "ERM") == [(2, 3)]


def test_a_list_of_lists_of_milestones_is_alternatives(load: Loader, small_study: str) -> None:
    study = load(small_study.replace("ERM: {}", "ERM: {milestones: [[2, 3], [1], []]}"))
    assert values(study, "milestones", "ERM") == [(2, 3), (1,), ()]


def test_arms_may_share_a_trial(load: Loader, small_study: str) -> None:
    study = load(small_study.replace("ERM: {}", "ERM: {}\n  baseline: {dropout: 0.0}"))
    assert len(study.cells) == 8
    assert len(study.trials) == 6


def test_a_cell_knows_which_fields_its_arm_sets(load: Loader, small_study: str) -> None:
    settings = {cell.arm: cell.settings for cell in load(small_study).cells}
    assert settings == {"ERM": (), "mixup": ("alpha",)}


def test_the_same_file_gives_the_same_trials(load: Loader, small_study: str) -> None:
    assert load(small_study).trials == load(small_study).trials


def test_a_number_may_be_written_with_an_exponent_and_no_point(load: Loader, small_study: str) -> None:
    assert values(load(small_study.replace("lr: 0.1", "lr: 1e-1")), "lr") == [0.1]


@pytest.mark.parametrize("infinity", [".inf", "+.inf", ".Inf", "1e400"])
def test_alpha_may_be_infinite(load: Loader, small_study: str, infinity: str) -> None:
    study = load(small_study.replace("alpha: [1, 2]", f"alpha: [1, {infinity}]"))
    assert values(study, "alpha", "mixup") == [1.0, math.inf]
    assert len(study.trials) == 6


# The table.


def test_a_table_without_pick_is_fine_where_every_arm_has_one_setting(load: Loader, small_study: str) -> None:
    text = small_study.replace(PICK, "").replace("alpha: [1, 2]", "alpha: 1")
    assert len(load(text, "trial.label_noise=0.5", "grid.data_seed=[0, 1]").trials) == 8


@pytest.mark.parametrize("where", ["  rows: [label_noise, alpha, arm]", "  rows: [label_noise, arm]\n  across: alpha"])
def test_settings_that_have_cells_of_their_own_need_no_pick(load: Loader, small_study: str, where: str) -> None:
    text = small_study.replace(PICK, "").replace("  rows: [label_noise, arm]", where).split("published:")[0]
    assert len(load(text).trials) == 6


@pytest.mark.parametrize("across", ["null", "weight_decay", "milestones"])
def test_a_tables_keys_are_its_rows_and_the_field_across(load: Loader, small_study: str, across: str) -> None:
    text = small_study.split("published:")[0].replace("  title: Small", f"  title: Small\n  across: {across}")
    assert load(text).table.keys == ("label_noise", "arm", *([] if across == "null" else [across]))


def test_merge_keys_of_yaml_work(load: Loader, small_study: str) -> None:
    study = load(small_study.replace("ERM: {}", "ERM: &erm {dropout: [0.5, 0.7]}\n  wide: {<<: *erm, width: 8}"))
    assert values(study, "dropout", "wide") == [0.5, 0.7]
    assert values(study, "width", "wide") == [8]


# Profiles.


def test_null_in_a_profile_removes_an_arm(load: Loader, small_study: str) -> None:
    text = small_study.replace("trial: {epochs: 1}", "arms: {mixup: null}")
    assert {cell.arm for cell in load(text, profile="short").cells} == {"ERM"}
    assert {cell.arm for cell in load(text).cells} == {"ERM", "mixup"}


def test_null_in_a_profile_removes_an_arms_key(load: Loader, small_study: str) -> None:
    text = small_study.replace("ERM: {}", "ERM: {dropout: 0.5, width: 8}")
    study = load(text.replace("trial: {epochs: 1}", "arms: {ERM: {dropout: null}}"), profile="short")
    assert (values(study, "dropout", "ERM"), values(study, "width", "ERM")) == ([0.0], [8])


def test_null_in_a_mapping_that_only_the_profile_has_is_not_there(load: Loader, small_study: str) -> None:
    alone = small_study.replace("grid:\n  seed: [0, 1]\n", "")
    assert alone != small_study
    text = alone.replace("trial: {epochs: 1}", "grid: {label_noise: [0.2], seed: null}")
    assert values(load(text, profile="short"), "seed") == [0]


def test_a_baseline_that_is_removed_is_none(load: Loader, small_study: str) -> None:
    text = small_study.replace("  rows: [label_noise, arm]", "  rows: [label_noise, arm]\n  baseline: ERM")
    assert load(text).table.baseline == "ERM"
    assert load(text, "arms.ERM=null").table.baseline is None


@pytest.mark.parametrize(
    ("override", "as_in_paper"),
    [
        ("resources.cpus=2", True),
        ("trial.precision=bfloat16", True),
        ("grid.seed=[1, 2]", True),
        ("arms.mixup=null", True),
        ("trial.epochs=1", False),
        ("arms.mixup.alpha=[1, 3]", False),
    ],
)
def test_a_study_is_as_in_the_paper_whatever_it_runs_on(
    load: Loader, small_study: str, override: str, as_in_paper: bool
) -> None:
    text = f"paper: {{table: 2}}\n{small_study}"
    assert load(text).as_in_paper
    assert load(text, override).as_in_paper is as_in_paper
    assert not load(text, profile="short").as_in_paper
    assert not load(small_study).as_in_paper


def test_a_profile_adds_arms_and_replaces_lists(load: Loader, small_study: str) -> None:
    text = small_study.replace(
        "    trial: {epochs: 1}", "    grid: {seed: [9]}\n    arms: {wide: {width: 128}, mixup: {alpha: 3}}"
    )
    study = load(text, profile="short")
    assert [cell.arm for cell in study.cells] == ["ERM", "mixup", "wide"]
    assert values(study, "seed") == [9]
    assert values(study, "alpha", "mixup") == [3.0]


def test_a_mistake_in_a_profile_does_not_hinder_the_others(load: Loader, small_study: str) -> None:
    text = small_study.replace("trial: {epochs: 1}", "trial: {epochs: 0}")
    assert len(load(text).trials) == 6


# --set.


@pytest.mark.parametrize(
    ("assignment", "field", "expected"),
    [
        ("trial.epochs=5", "epochs", [5]),
        ("trial.lr=1e-4", "lr", [1e-4]),
        ("trial.lr=1", "lr", [1.0]),
        ("arms.mixup.alpha=.inf", "alpha", [None, math.inf]),
        ("arms.mixup.alpha=[1, .inf]", "alpha", [None, 1.0, math.inf]),
        ("arms.ERM={method: mixup, alpha: 3, same_class: true}", "same_class", [True, False]),
        ("arms.ERM={method: mixup, alpha: 3, neighbours: 6}", "neighbours", [6, None]),
        ("trial.augment=false", "augment", [False]),
        ("trial.dataset=cifar100", "dataset", ["cifar100"]),
        ("trial.milestones=[1, 2]", "milestones", [(1, 2)]),
        ("trial.train_size=null", "train_size", [None]),
        ("grid.seed=[3, 4, 5]", "seed", [3, 4, 5]),
        ("grid.seed=3", "seed", [3]),
        ("grid.label_noise=[0.0, 0.5]", "label_noise", [0.0, 0.5]),
        (" trial.epochs = 5", "epochs", [5]),
    ],
)
def test_set_overrides_with_the_type_yaml_gives(
    load: Loader, small_study: str, assignment: str, field: str, expected: list[Any]
) -> None:
    found = values(load(small_study.replace("  epochs: 4", "  epochs: 4\n  train_size: 9"), assignment), field)
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_the_last_set_of_a_key_counts(load: Loader, small_study: str) -> None:
    study = load(small_study, "trial.epochs=5", "trial.width=8", "trial.epochs=6")
    assert (values(study, "epochs"), values(study, "width")) == ([6], [8])


def test_set_comes_after_the_profile(load: Loader, small_study: str) -> None:
    assert values(load(small_study, profile="short"), "epochs") == [1]
    assert values(load(small_study, "trial.epochs=7", profile="short"), "epochs") == [7]


def test_set_reaches_an_arm_whose_name_has_spaces() -> None:
    study = corrupt_labels("paper", "arms.ERM + dropout.dropout=[0.1]")
    assert values(study, "dropout", "ERM + dropout") == [0.1]
    assert len(study.cells) == 63 - 9


def test_set_reaches_an_arm_whose_name_has_dots(load: Loader, small_study: str) -> None:
    text = small_study.replace("ERM: {}", "ERM: {}\n  p 0.5: {dropout: 0.5}\n  p 0.5.b: {dropout: 0.6}")
    study = load(text, "arms.p 0.5.dropout=0.7", "arms.p 0.5.b.dropout=0.8")
    assert values(study, "dropout", "p 0.5") == [0.7]
    assert values(study, "dropout", "p 0.5.b") == [0.8]


def test_set_adds_an_arm(load: Loader, small_study: str) -> None:
    study = load(small_study, "arms.wide={width: 128}", "arms.dropped.dropout=0.5")
    assert values(study, "width", "wide") == [128]
    assert values(study, "dropout", "dropped") == [0.5]


def test_set_to_null_removes_a_key(load: Loader, small_study: str) -> None:
    assert {cell.arm for cell in load(small_study, "arms.mixup=null").cells} == {"ERM"}
    assert values(load(small_study, "grid.seed=null"), "seed") == [0]


def test_set_adds_a_mapping_the_file_leaves_out(load: Loader, small_study: str) -> None:
    study = load(small_study.replace("grid:\n  seed: [0, 1]\n", ""), "grid.seed=[4]")
    assert values(study, "seed") == [4]


def test_set_changes_the_slot_without_changing_the_trials(load: Loader, small_study: str) -> None:
    study = load(small_study, "resources.gpus=0.5")
    assert study.resources.gpus == 0.5
    assert study.trials.keys() == load(small_study).trials.keys()


def test_a_study_remembers_its_overrides(load: Loader, small_study: str) -> None:
    assert load(small_study, "trial.epochs=5", "grid.seed=1").overrides == ("trial.epochs=5", "grid.seed=1")


@pytest.mark.parametrize("removed", ["by an override", "by a profile"])
def test_an_arm_with_published_numbers_can_be_removed(load: Loader, small_study: str, removed: str) -> None:
    if removed == "by an override":
        study = load(small_study, "arms.ERM=null")
    else:
        study = load(small_study.replace("trial: {epochs: 1}", "arms: {ERM: null}"), profile="short")
    assert {cell.arm for cell in study.cells} == {"mixup"}


def test_an_arm_may_have_no_milestones(load: Loader, small_study: str) -> None:
    study = load(small_study, "trial.milestones=[2]", "arms.ERM.milestones=[]")
    assert {(cell.arm, cell.trial.milestones) for cell in study.cells} == {("ERM", ()), ("mixup", (2,))}


def test_merge_keys_share_what_they_name_and_own_keys_win(load: Loader, small_study: str) -> None:
    text = small_study.replace("ERM: {}", "ERM: &base {lr: 0.5, momentum: 0.5}").replace(
        "{method: mixup,", "{<<: *base, lr: 0.2, method: mixup,"
    )
    found = {(cell.arm, cell.trial.lr, cell.trial.momentum) for cell in load(text).cells}
    assert found == {("ERM", 0.5, 0.5), ("mixup", 0.2, 0.5)}


@pytest.mark.parametrize(
    ("slot", "cpus", "gpus", "fitting"),
    [
        ({}, 2, 0, 2),
        ({"cpus": 0.5}, 2, 0, 4),
        ({"cpus": 3}, 2, 0, 0),
        ({"gpus": 1}, 16, 4, 4),
        ({"gpus": 2}, 16, 5, 2),
        ({"gpus": 0.5}, 16, 1, 2),
        ({"gpus": 0.5}, 1, 1, 1),
        ({"gpus": 0.4}, 16, 2, 4),
        ({"gpus": 0.6}, 16, 4, 4),
        ({"gpus": 0.5}, 16, 0, 0),
    ],
)
def test_a_share_of_a_gpu_lies_on_one_gpu(slot: dict[str, float], cpus: float, gpus: float, fitting: int) -> None:
    assert Resources(**slot).fitting(cpus, gpus) == fitting
