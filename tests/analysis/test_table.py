from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mixup_study.analysis.table import Records, summarise, table_rows
from mixup_study.study.expand import Cell
from mixup_study.study.study import Study
from mixup_study.views.study_table import study_sheet
from tests.fixtures import findings_of

Loader = Callable[..., Study]
Measure = Callable[[Study, Callable[[Cell], Any]], Records]
Entries = Callable[..., list[dict[str, str]]]


# Rows.


def test_rows_come_in_the_order_of_the_file_with_outer_values_together(load: Loader, paper_study: str) -> None:
    keys = [tuple(row.keys.values()) for row in table_rows(load(paper_study), {})]
    assert keys == [(0.8, "mixup"), (0.8, "ERM"), (0.2, "mixup"), (0.2, "ERM")]


def test_rows_may_put_the_arm_first(load: Loader, paper_study: str) -> None:
    text = paper_study.replace("rows: [label_noise, arm]", "rows: [arm, label_noise]")
    keys = [tuple(row.keys.values()) for row in table_rows(load(text), {})]
    assert keys == [("mixup", 0.8), ("mixup", 0.2), ("ERM", 0.8), ("ERM", 0.2)]


def test_each_value_across_is_a_row_of_its_own(load: Loader, one_arm: str) -> None:
    text = one_arm.replace("rows: [label_noise, arm]", "rows: [arm]\n  across: weight_decay")
    found = [(row.keys, row.total) for row in table_rows(load(text, "grid.weight_decay=[5e-4, 1e-4]"), {})]
    assert found == [({"arm": "mixup", "weight_decay": 5e-4}, 4), ({"arm": "mixup", "weight_decay": 1e-4}, 4)]


# The setting shown.


def test_the_setting_of_the_lowest_mean_over_seeds_is_shown(load: Loader, measure: Measure, one_arm: str) -> None:
    study = load(one_arm)
    errors = {(2.0, 0): 0.10, (2.0, 1): 0.50, (8.0, 0): 0.20, (8.0, 1): 0.30}
    records = measure(study, lambda cell: errors[cell.trial.alpha or 0, cell.trial.seed])
    (row,) = table_rows(study, records)
    assert row.setting == {"alpha": 8.0}
    best, final = row.measured
    assert best is not None
    assert final is not None
    assert final.mean == pytest.approx(0.25)
    assert final.count == 2
    assert final.deviation == pytest.approx(0.1 / 2**0.5)
    assert best.mean == pytest.approx(0.125)


def test_the_pick_may_differ_from_the_columns(load: Loader, measure: Measure, one_arm: str, entries: Entries) -> None:
    study = load(one_arm.replace("{lowest: test_error_last}", "{lowest: train_error_real}"))
    records = measure(
        study,
        lambda cell: {
            "test_error_last": 0.1 if cell.trial.alpha == 2 else 0.9,
            "train_error_real": 1 / (cell.trial.alpha or 1),
        },
    )
    (found,) = entries(study, records)
    assert (found["setting"], found["last"]) == ("α=8", "90.00 ± 0.00")


def test_a_setting_of_every_seed_goes_before_a_better_one_with_seeds_missing(
    load: Loader, measure: Measure, one_arm: str, entries: Entries
) -> None:
    study = load(one_arm)
    records = measure(study, lambda cell: 0.9 if cell.trial.alpha == 8 else 0.1 if cell.trial.seed == 0 else None)
    (found,) = entries(study, records)
    assert (found["setting"], found["last"], found["trials"]) == ("α=8", "90.00 ± 0.00", "3/4")


def test_with_no_setting_of_every_seed_the_best_of_what_there_is_is_shown(
    load: Loader, measure: Measure, one_arm: str, entries: Entries
) -> None:
    study = load(one_arm)
    records = measure(study, lambda cell: 0.1 * (cell.trial.alpha or 0) if cell.trial.seed == 0 else None)
    (found,) = entries(study, records)
    assert (found["setting"], found["last"], found["trials"]) == ("α=2", "20.00", "2/4")


def test_of_two_equal_settings_the_first_of_the_file_is_shown(
    load: Loader, measure: Measure, one_arm: str, entries: Entries
) -> None:
    study = load(one_arm)
    (found,) = entries(study, measure(study, lambda cell: 0.5))
    assert found["setting"] == "α=2"


def test_failed_trials_are_counted_and_not_used(load: Loader, measure: Measure, one_arm: str, entries: Entries) -> None:
    study = load(one_arm)
    records = measure(study, lambda cell: "failed" if cell.trial.alpha == 2 else 0.5)
    (found,) = entries(study, records)
    assert (found["setting"], found["last"], found["trials"]) == ("α=8", "50.00 ± 0.00", "2/4, 2 failed")


def test_a_failed_seed_leaves_its_setting_incomplete(
    load: Loader, measure: Measure, one_arm: str, entries: Entries
) -> None:
    study = load(one_arm)
    records = measure(study, lambda cell: 0.5 if cell.trial.alpha == 2 else "failed" if cell.trial.seed else 0.1)
    (found,) = entries(study, records)
    assert (found["setting"], found["last"], found["trials"]) == ("α=2", "50.00 ± 0.00", "3/4, 1 failed")


def test_a_row_of_failed_trials_alone_is_missing(
    load: Loader, measure: Measure, paper_study: str, entries: Entries
) -> None:
    study = load(paper_study)
    found = entries(study, measure(study, lambda cell: "failed"))
    assert (found[2]["setting"], found[2]["last"]) == ("missing (α=8)", "– (6.125)")
    assert found[2]["trials"] == "0/4, 4 failed"


def test_a_field_that_an_arm_sets_to_one_value_is_part_of_the_setting(
    load: Loader, measure: Measure, one_arm: str, entries: Entries
) -> None:
    study = load(one_arm.replace("alpha: [2, 8]", "alpha: 2, dropout: 0.5"))
    (found,) = entries(study, measure(study, lambda cell: 0.5))
    assert found["setting"] == "α=2, p=0.5"


def test_a_field_that_differs_in_the_grid_is_part_of_the_setting(
    load: Loader, measure: Measure, one_arm: str, entries: Entries
) -> None:
    study = load(one_arm, "grid.weight_decay=[1e-4, 5e-4]")
    (found,) = entries(study, measure(study, lambda cell: cell.trial.weight_decay))
    assert found["setting"] == "α=2, weight_decay=0.0001"


def test_arms_that_share_a_trial_both_show_it(
    load: Loader, measure: Measure, paper_study: str, entries: Entries
) -> None:
    study = load(
        paper_study.replace("  ERM: {}", "  ERM: {}\n  baseline: {dropout: 0.0}"),
        "grid.seed=0",
        "grid.label_noise=0",
    )
    assert len(study.trials) == 3
    records = measure(study, lambda cell: 0.5 if cell.trial.method == "erm" else None)
    found = {row["method"]: row for row in entries(study, records)}
    assert found["ERM"]["last"] == "50.00"
    assert found["baseline"]["last"] == "50.00"
    assert [found[arm]["trials"] for arm in ("ERM", "baseline", "mixup")] == ["1/1", "1/1", "0/2"]
    assert "1 of 3 trials done" in study_sheet(findings_of(study, records)).caption


# Statistics.


def test_a_statistic_of_nothing_is_none() -> None:
    assert summarise([]) is None
