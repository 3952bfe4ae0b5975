from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from mixup_study.analysis.table import Records
from mixup_study.study.expand import Cell
from mixup_study.study.study import Study, StudyFile
from mixup_study.views.study_table import study_sheet
from mixup_study.views.trials_table import trials_sheet
from tests.fixtures import findings_of

Loader = Callable[..., Study]
Measure = Callable[[Study, Callable[[Cell], Any]], Records]
Entries = Callable[..., list[dict[str, str]]]

STUDIES = Path(__file__).parents[2] / "studies"

TABLE_5 = [
    ("ERM", "", "✗", "✗", 5.53, 5.18),
    ("mixup", "AC + RP", "✓", "✓", 4.24, 4.68),
    ("", "AC + KNN", "✓", "✓", 4.98, 5.26),
    ("mix labels and latent representations", "layer 1", "✓", "✓", 4.44, 4.51),
    ("", "layer 2", "✓", "✓", 4.56, 4.61),
    ("", "layer 3", "✓", "✓", 5.39, 5.55),
    ("", "layer 4", "✓", "✓", 5.95, 5.43),
    ("", "layer 5", "✓", "✓", 5.39, 5.15),
    ("mix inputs only", "SC + KNN (SMOTE)", "✓", "✗", 5.45, 5.52),
    ("", "AC + KNN", "✓", "✗", 5.43, 5.48),
    ("", "SC + RP", "✓", "✗", 5.23, 5.55),
    ("", "AC + RP", "✓", "✗", 5.17, 5.72),
    ("label smoothing", "ε=0.05", "✗", "✓", 5.25, 5.02),
    ("", "ε=0.1", "✗", "✓", 5.33, 5.17),
    ("", "ε=0.2", "✗", "✓", 5.34, 5.06),
    ("mix inputs + label smoothing", "ε=0.05", "✓", "✓", 5.02, 5.40),
    ("", "ε=0.1", "✓", "✓", 5.08, 5.09),
    ("", "ε=0.2", "✓", "✓", 4.98, 5.06),
    ("", "ε=0.4", "✓", "✓", 5.25, 5.39),
    ("Gaussian noise", "σ=0.05", "✓", "✗", 5.53, 5.04),
    ("", "σ=0.1", "✓", "✗", 6.41, 5.86),
    ("", "σ=0.2", "✓", "✗", 7.16, 7.24),
]
"""The paper's Table 5: method, specification, input and target modified, errors at weight decay 1e-4 and 5e-4."""

METHODS = itertools.accumulate((row[0] for row in TABLE_5), lambda before, method: method or before)
ARMS_OF_TABLE_5 = [f"{method} / {row[1]}" if row[1] else method for method, row in zip(METHODS, TABLE_5, strict=True)]

ACROSS = """\
name: small
trial: {dataset: digits, model: preact_resnet18, width: 8, epochs: 4, batch_size: 50, lr: 0.1}
grid: {weight_decay: [5e-4, 1e-4], seed: [0, 1]}
arms:
  mixup: {method: mixup, alpha: 8}
  ERM: {}
table:
  title: Small results
  rows: [arm]
  across: weight_decay
  columns:
    - {title: last, metric: test_error_last, mark_lowest: true}
"""
BEST = "    - {title: best, metric: test_error_best}\n"
PICK = "  pick: {lowest: test_error_last}\n"
BASELINE = "  baseline: ERM\n"
ARMS_ACROSS = ACROSS.replace("rows: [arm]", "rows: [weight_decay]").replace("across: weight_decay", "across: arm")
GAN = """\
name: small
trial:
  {task: gan, dataset: gaussian_ring, model: mlp, width: 8, epochs: 4, batch_size: 50, optimizer: adam, lr: 0.1}
grid: {seed: [0, 1]}
arms:
  ERM: {}
table:
  title: Small results
  rows: [arm]
  columns:
    - {title: modes, metric: modes_covered_last}
    - {title: near, metric: near_modes_last, decimals: 2}
published:
  - {arm: ERM, modes_covered_last: 8, near_modes_last: 95}
"""


# The paper's tables.


def test_table_2_has_the_papers_rows_and_numbers(entries: Entries) -> None:
    study = StudyFile(STUDIES / "corrupt_labels.yaml").load("paper")
    found = entries(study, {})
    assert len(found) == 12
    assert found[1]["setting"] == "missing (p=0.7)"
    assert [found[1][key] for key in ("best", "last", "real", "corrupted")] == [
        *("– (8.8)", "– (10.4)", "– (5.26)", "– (83.55)")
    ]
    assert found[11]["setting"] == "missing (α=8, p=0.3)"
    assert found[11]["real"] == "– (19.70)"
    assert [row["trials"] for row in found] == ["0/1", "0/4", "0/4", "0/12"] * 3


def test_table_5_has_the_papers_rows_ticks_and_numbers() -> None:
    sheet = study_sheet(findings_of(StudyFile(STUDIES / "ablation.yaml").load("paper"), {}))
    expected = [[*told, f"– ({low:.2f})", f"– ({high:.2f})", "0/2"] for *told, low, high in TABLE_5]
    assert sheet.texts() == expected


def test_table_5_has_the_papers_headings_and_lines() -> None:
    sheet = study_sheet(findings_of(StudyFile(STUDIES / "ablation.yaml").load("paper"), {}))
    assert list(zip(sheet.groups, sheet.headings, strict=True)) == [
        ("", "method"),
        ("", "specification"),
        ("modified", "input"),
        ("modified", "target"),
        ("weight decay", "0.0001 (paper)"),
        ("weight decay", "0.0005 (paper)"),
        ("", "trials"),
    ]
    assert sheet.breaks == {index for index, row in enumerate(TABLE_5) if index and row[0]}
    assert sheet.numeric == {4, 5, 6}
    assert sheet.caption == (
        "Table 5: Results of the ablation studies, median test error of the last 10 epochs. Profile paper (for a test):"
        " data set cifar10, preact_resnet18 of width 64, epochs 200, neighbours 200, precision bfloat16, seed 0; 0 of"
        " 44 trials done. Errors in percent. The lowest is marked. In brackets, the paper's own numbers: CIFAR-10,"
        " PreActResNet-18, 200 epochs, 200 nearest neighbours."
    )


def papers_error(cell: Cell) -> float:
    """Return what Table 5 says of a cell, as a fraction."""
    *_, low, high = TABLE_5[ARMS_OF_TABLE_5.index(cell.arm)]
    return {1e-4: low, 5e-4: high}[cell.trial.weight_decay] / 100


def test_table_5_marks_the_papers_lowest(measure: Measure) -> None:
    study = StudyFile(STUDIES / "ablation.yaml").load("paper")
    records = measure(study, lambda cell: {"test_error_median10": papers_error(cell)})
    sheet = study_sheet(findings_of(study, records))
    assert sheet.marked == {(1, 4)}
    assert [row[4] for row in sheet.texts()[:3]] == ["5.53 (5.53)", "4.24 (4.24)", "4.98 (4.98)"]


def test_table_5_in_quick_shows_means_of_four_seeds_beside_the_paper(measure: Measure) -> None:
    study = StudyFile(STUDIES / "ablation.yaml").load("quick")
    records = measure(
        study,
        lambda cell: {"test_error_median10": 10 * papers_error(cell) + (-0.01, -0.01, 0.01, 0.01)[cell.trial.seed]},
    )
    sheet = study_sheet(findings_of(study, records))
    expected = [
        [*told, f"{10 * low:.2f} ± 1.15 ({low:.2f})", f"{10 * high:.2f} ± 1.15 ({high:.2f})", "8/8"]
        for *told, low, high in TABLE_5
    ]
    assert sheet.texts() == expected
    assert sheet.marked == {(1, 4)}
    assert "of width 8, epochs 30, train size 300, augment False, neighbours 6, seed 0, 1, 2, 3;" in sheet.caption
    assert "176 of 176 trials done" in sheet.caption
    assert sheet.caption.endswith("200 nearest neighbours, which is not what was run here.")


def test_table_5_for_csv_has_a_line_for_each_arm_and_weight_decay(measure: Measure, entries: Entries) -> None:
    study = StudyFile(STUDIES / "ablation.yaml").load("paper")
    records = measure(
        study, lambda cell: None if cell.arm == "ERM" else {"test_error_median10": 2 * papers_error(cell)}
    )
    found = entries(study, records, spread=True)
    assert list(found[0]) == [
        *("arm", "weight_decay", "alpha", "same_class", "neighbours", "layer", "label_smoothing", "sigma"),
        *("test_error_median10_percent", "test_error_median10_sd", "test_error_median10_paper_percent"),
        *("done", "failed", "trials"),
    ]
    assert [(row["arm"], row["weight_decay"]) for row in found] == [
        (arm, decay) for arm in ARMS_OF_TABLE_5 for decay in ("0.0001", "0.0005")
    ]
    numbers = [number for row in TABLE_5 for number in row[4:]]
    assert [row["test_error_median10_paper_percent"] for row in found] == [f"{number:g}" for number in numbers]
    measured = [row["test_error_median10_percent"] for row in found]
    assert measured == ["", "", *(f"{2 * number:g}" for number in numbers[2:])]
    assert list(found[17].values())[:8] == [
        *("mix inputs only / SC + KNN (SMOTE)", "0.0005", "1", "True", "200", "", "", "")
    ]


# Lines and headings.


def test_a_repeated_outer_label_is_shown_once_in_percent(load: Loader, paper_study: str, entries: Entries) -> None:
    found = entries(load(paper_study), {})
    assert [row["label noise"] for row in found] == ["80%", "", "20%", ""]
    assert [row["method"] for row in found] == ["mixup", "ERM", "mixup", "ERM"]


def test_a_line_parts_the_outer_values(load: Loader, paper_study: str) -> None:
    assert study_sheet(findings_of(load(paper_study), {})).breaks == {2}


def test_columns_stand_under_their_groups(load: Loader, paper_study: str) -> None:
    sheet = study_sheet(findings_of(load(paper_study), {}))
    assert list(sheet.headings) == [
        "label noise",
        "method",
        "setting (paper)",
        "best (paper)",
        "last (paper)",
        "trials",
    ]
    assert list(sheet.groups) == ["", "", "", "Test error", "Test error", ""]


# Entries.


def test_missing_cells_are_shown_beside_the_papers_numbers(load: Loader, paper_study: str, entries: Entries) -> None:
    found = entries(load(paper_study), {})
    assert found[3] == {
        "label noise": "",
        "method": "ERM",
        "setting": "missing",
        "best": "– (12.7)",
        "last": "– (19.70)",
        "trials": "0/2",
    }


def test_mean_and_sample_deviation_are_shown_in_percent_beside_the_papers(
    load: Loader, measure: Measure, paper_study: str, entries: Entries
) -> None:
    study = load(paper_study)
    records = measure(study, lambda cell: 0.20 if cell.trial.seed == 0 else 0.30)
    found = entries(study, records)
    assert found[3]["best"] == "12.5 ± 3.5 (12.7)"
    assert found[3]["last"] == "25.00 ± 7.07 (19.70)"
    assert found[2]["setting"] == "α=2 (α=8)"


def test_one_seed_has_no_deviation(load: Loader, measure: Measure, paper_study: str, entries: Entries) -> None:
    study = load(paper_study, "grid.seed=0")
    assert entries(study, measure(study, lambda cell: 0.25))[3]["last"] == "25.00 (19.70)"


def test_a_number_the_paper_lacks_is_said_to_be_not_published(
    load: Loader, measure: Measure, paper_study: str, entries: Entries
) -> None:
    study = load(paper_study)
    found = entries(study, measure(study, lambda cell: 0.25))
    assert found[0]["best"] == "12.5 ± 0.0 (not published)"
    assert found[1]["last"] == "25.00 ± 0.00 (not published)"
    assert entries(study, {})[1]["last"] == "– (not published)"


@pytest.mark.parametrize(
    ("row", "column", "shown"),
    [(3, "best", "12.7"), (3, "last", "19.70"), (2, "best", "5.0"), (2, "last", "6.125"), (0, "last", "30.90")],
)
def test_published_numbers_keep_their_decimals(
    load: Loader, paper_study: str, entries: Entries, row: int, column: str, shown: str
) -> None:
    assert entries(load(paper_study), {})[row][column] == f"– ({shown})"


def test_without_published_numbers_there_are_no_brackets(load: Loader, measure: Measure, one_arm: str) -> None:
    study = load(one_arm)
    for records in ({}, measure(study, lambda cell: 0.25)):
        sheet = study_sheet(findings_of(study, records))
        assert "(" not in "".join([*sheet.headings, *(entry for row in sheet.texts() for entry in row)])


def test_a_measurement_that_was_not_taken_is_a_dash(
    load: Loader, measure: Measure, one_arm: str, entries: Entries
) -> None:
    study = load(one_arm, "grid.seed=0")
    (found,) = entries(study, measure(study, lambda cell: {"test_error_last": 0.25}))
    assert (found["best"], found["last"], found["trials"]) == ("–", "25.00", "2/2")


# Values across.


def test_the_values_across_are_columns_in_the_order_of_the_file(load: Loader, measure: Measure) -> None:
    study = load(ACROSS)
    records = measure(study, lambda cell: cell.trial.weight_decay * (100.0 if cell.arm == "ERM" else 200.0))
    sheet = study_sheet(findings_of(study, records))
    assert list(sheet.headings) == ["method", "0.0005", "0.0001", "trials"]
    assert list(sheet.groups) == ["", "weight decay", "weight decay", ""]
    assert sheet.texts() == [
        ["mixup", "10.0 ± 0.0", "2.0 ± 0.0", "4/4"],
        ["ERM", "5.0 ± 0.0", "1.0 ± 0.0", "4/4"],
    ]
    assert not sheet.breaks


def test_several_columns_stand_under_each_value_across(load: Loader, measure: Measure) -> None:
    study = load(ACROSS + BEST)
    records = measure(study, lambda cell: cell.trial.weight_decay * 100 if cell.arm == "ERM" else None)
    sheet = study_sheet(findings_of(study, records))
    assert list(zip(sheet.groups, sheet.headings, strict=True)) == [
        ("", "method"),
        ("weight decay 0.0005", "last"),
        ("weight decay 0.0005", "best"),
        ("weight decay 0.0001", "last"),
        ("weight decay 0.0001", "best"),
        ("", "trials"),
    ]
    assert sheet.texts() == [
        ["mixup", "–", "–", "–", "–", "0/4"],
        ["ERM", "5.0 ± 0.0", "2.5 ± 0.0", "1.0 ± 0.0", "0.5 ± 0.0", "4/4"],
    ]
    assert sheet.numeric == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(("field", "value", "heading"), [("label_noise", 0.2, "20%"), ("augment", "false", "False")])
def test_a_value_across_is_written_as_a_rows_label_is(load: Loader, field: str, value: object, heading: str) -> None:
    text = ACROSS.replace("across: weight_decay", f"across: {field}")
    study = load(text, f"grid.{field}={value}", "grid.weight_decay=0")
    assert study_sheet(findings_of(study, {})).headings[1] == heading


def test_the_setting_is_chosen_under_each_value_across(load: Loader, measure: Measure) -> None:
    study = load(ACROSS.replace("alpha: 8", "alpha: [2, 8]") + PICK)
    best = {(5e-4, 2.0): 0.2, (5e-4, 8.0): 0.1, (1e-4, 2.0): 0.3, (1e-4, 8.0): 0.4}
    records = measure(study, lambda cell: best[cell.trial.weight_decay, cell.trial.alpha] if cell.trial.alpha else None)
    sheet = study_sheet(findings_of(study, records))
    assert list(zip(sheet.groups, sheet.headings, strict=True)) == [
        ("", "method"),
        ("weight decay 0.0005", "setting"),
        ("weight decay 0.0005", "last"),
        ("weight decay 0.0001", "setting"),
        ("weight decay 0.0001", "last"),
        ("", "trials"),
    ]
    assert sheet.texts() == [
        ["mixup", "α=8", "10.0 ± 0.0", "α=2", "30.0 ± 0.0", "8/8"],
        ["ERM", "missing", "–", "missing", "–", "0/4"],
    ]
    assert sheet.numeric == {2, 4, 5}
    assert sheet.marked == {(0, 2)}


def test_published_numbers_and_settings_stand_under_their_value_across(load: Loader, measure: Measure) -> None:
    published = (
        "published:\n"
        "  - {arm: mixup, weight_decay: 1e-4, alpha: 8, test_error_last: 3.1}\n"
        "  - {arm: mixup, weight_decay: 5e-4, alpha: 2, test_error_last: 3.5}\n"
        "  - {arm: ERM, weight_decay: 1e-4, test_error_last: 5}\n"
    )
    study = load(ACROSS.replace("alpha: 8", "alpha: [2, 8]") + PICK + published)
    sheet = study_sheet(findings_of(study, measure(study, lambda cell: 0.25 if cell.trial.alpha == 2 else None)))
    assert list(sheet.headings[1:3]) == ["setting (paper)", "last (paper)"]
    assert sheet.texts() == [
        ["mixup", "α=2 (α=2)", "25.0 ± 0.0 (3.5)", "α=2 (α=8)", "25.0 ± 0.0 (3.1)", "4/8"],
        ["ERM", "missing", "– (not published)", "missing", "– (5.0)", "0/4"],
    ]
    assert sheet.numeric == {2, 4, 5}


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("milestones", ("[1]", "[1, 2]")),
        ("train_size", ("100", "200")),
        ("augment", ("true", "false")),
        ("dataset", ("digits", "cifar10")),
        ("momentum", ("0", "0.5")),
    ],
)
def test_published_numbers_are_found_by_any_field_across(load: Loader, field: str, values: tuple[str, str]) -> None:
    published = "".join(
        f"  - {{arm: ERM, {field}: {value}, test_error_last: {number}}}\n"
        for value, number in zip(values, (3.0, 4.0), strict=True)
    )
    text = ACROSS.replace("across: weight_decay", f"across: {field}") + "published:\n" + published
    study = load(text, f"grid.{field}=[{', '.join(values)}]", "grid.weight_decay=0")
    assert study_sheet(findings_of(study, {})).texts()[1][1:3] == ["– (3.0)", "– (4.0)"]


def test_an_arm_of_its_own_value_across_leaves_the_other_entries_empty(load: Loader, measure: Measure) -> None:
    study = load(ACROSS.replace("ERM: {}", "ERM: {weight_decay: 1e-3}").replace("alpha: 8", "alpha: [2, 8]") + PICK)
    sheet = study_sheet(findings_of(study, measure(study, lambda cell: 0.25)))
    blocks = ["", *("weight decay 0.0005",) * 2, *("weight decay 0.0001",) * 2, *("weight decay 0.001",) * 2, ""]
    assert list(sheet.groups) == blocks
    assert sheet.texts() == [
        ["mixup", "α=2", "25.0 ± 0.0", "α=2", "25.0 ± 0.0", "", "", "8/8"],
        ["ERM", "", "", "", "", "", "25.0 ± 0.0", "2/2"],
    ]


def test_failed_trials_are_counted_over_all_values_across(load: Loader, measure: Measure) -> None:
    study = load(ACROSS)
    sheet = study_sheet(findings_of(study, measure(study, lambda cell: "failed" if cell.trial.seed else 0.25)))
    assert sheet.texts() == [
        ["mixup", "25.0", "25.0", "2/4, 2 failed"],
        ["ERM", "25.0", "25.0", "2/4, 2 failed"],
    ]


def test_the_spread_form_has_a_line_for_each_value_across(load: Loader, measure: Measure, entries: Entries) -> None:
    study = load(ACROSS.replace("ERM: {}", "ERM: {weight_decay: 1e-4}"))
    records = measure(study, lambda cell: cell.trial.weight_decay * 100)
    found = entries(study, records, spread=True)
    assert [(row["arm"], row["weight_decay"], row["test_error_last_percent"], row["trials"]) for row in found] == [
        ("mixup", "0.0005", "5", "2"),
        ("mixup", "0.0001", "1", "2"),
        ("ERM", "0.0001", "1", "2"),
    ]


def test_without_a_pick_there_is_no_setting_column(load: Loader, one_arm: str) -> None:
    without = one_arm.replace(PICK, "").replace("alpha: [2, 8]", "alpha: 2")
    headings = [study_sheet(findings_of(load(text), {})).headings for text in (one_arm, without)]
    assert [list(found) for found in headings] == [
        ["label noise", "method", "setting", "best", "last", "trials"],
        ["label noise", "method", "best", "last", "trials"],
    ]


# Arms across.


def test_arms_across_stand_under_their_names(load: Loader, measure: Measure) -> None:
    study = load(ARMS_ACROSS)
    records = measure(study, lambda cell: cell.trial.weight_decay * (100.0 if cell.arm == "ERM" else 200.0))
    sheet = study_sheet(findings_of(study, records))
    assert list(zip(sheet.groups, sheet.headings, strict=True)) == [
        ("", "weight decay"),
        ("method", "mixup"),
        ("method", "ERM"),
        ("", "trials"),
    ]
    assert sheet.texts() == [
        ["0.0005", "10.0 ± 0.0", "5.0 ± 0.0", "4/4"],
        ["0.0001", "2.0 ± 0.0", "1.0 ± 0.0", "4/4"],
    ]
    assert sheet.marked == {(0, 2), (1, 2)}


def test_several_columns_stand_under_each_arm(load: Loader) -> None:
    sheet = study_sheet(findings_of(load(ARMS_ACROSS + BEST), {}))
    assert list(sheet.groups) == ["", "mixup", "mixup", "ERM", "ERM", ""]
    assert list(sheet.headings) == ["weight decay", "last", "best", "last", "best", "trials"]


def test_an_arm_across_that_lacks_a_row_leaves_its_entry_empty(load: Loader) -> None:
    study = load(ARMS_ACROSS.replace("ERM: {}", "ERM: {weight_decay: 5e-4}") + BASELINE)
    assert study_sheet(findings_of(study, {})).texts() == [
        ["0.0005", "–", "", "–", "0/4"],
        ["0.0001", "–", "", "", "0/2"],
    ]


# p-values.


def errors_of_a_pair(cell: Cell) -> float:
    """Return errors of which ERM's are 2 and 4 percent higher than mixup's: t = 3 with one degree of freedom."""
    return 0.2 + 0.1 * cell.trial.seed + (0.02 * (1 + cell.trial.seed) if cell.arm == "ERM" else 0)


P_OF_A_PAIR = 1 - 2 / math.pi * math.atan(3)


def test_p_stands_beside_every_arm_but_the_baseline(load: Loader, measure: Measure) -> None:
    study = load(ARMS_ACROSS + BASELINE)
    sheet = study_sheet(findings_of(study, measure(study, errors_of_a_pair)))
    assert list(sheet.groups) == ["", "mixup", "mixup", "ERM", ""]
    assert list(sheet.headings) == ["weight decay", "last", "p", "last", "trials"]
    for row in sheet.texts():
        assert list(row[1:]) == ["25.0 ± 7.1", f"{P_OF_A_PAIR:.2g}", "28.0 ± 8.5", "4/4"]
    assert sheet.numeric == {1, 2, 3, 4}
    assert sheet.marked == {(0, 1), (1, 1)}
    assert "p: paired t-test against ERM over the seeds." in sheet.caption


def test_p_stands_under_every_value_across_other_than_arms(load: Loader, measure: Measure) -> None:
    study = load(ACROSS + BASELINE)
    sheet = study_sheet(findings_of(study, measure(study, errors_of_a_pair)))
    assert list(sheet.headings) == ["method", "last", "p", "last", "p", "trials"]
    p = f"{P_OF_A_PAIR:.2g}"
    assert sheet.texts() == [
        ["mixup", "25.0 ± 7.1", p, "25.0 ± 7.1", p, "4/4"],
        ["ERM", "28.0 ± 8.5", "", "28.0 ± 8.5", "", "4/4"],
    ]


def test_a_value_across_may_be_called_as_the_baseline_is(load: Loader) -> None:
    text = ACROSS.replace("across: weight_decay", "across: dataset").replace("ERM: {}", "cifar10: {}")
    study = load(text + "  baseline: cifar10\n", "grid.dataset=[digits, cifar10]", "grid.weight_decay=0")
    assert list(study_sheet(findings_of(study, {})).headings) == ["method", "last", "p", "last", "p", "trials"]


def test_p_is_of_the_setting_shown(load: Loader, measure: Measure) -> None:
    study = load(ACROSS.replace("alpha: 8", "alpha: [2, 8]") + PICK + BASELINE, "grid.weight_decay=0")
    records = measure(study, lambda cell: 0.9 if cell.trial.alpha == 2 else errors_of_a_pair(cell))
    (mixup, _) = study_sheet(findings_of(study, records)).texts()
    assert list(mixup[1:4]) == ["α=8", "25.0 ± 7.1", f"{P_OF_A_PAIR:.2g}"]


@pytest.mark.parametrize(
    ("of_mixup", "shown"), [({}, ""), ({0: 0.25}, ""), ({0: 0.25, 1: 0.5}, "1"), ({0: 0.5, 1: 0.75}, "<0.001")]
)
def test_p_needs_two_pairs_and_is_cut_short(
    of_mixup: dict[int, float], shown: str, load: Loader, measure: Measure, entries: Entries
) -> None:
    study = load(ACROSS.replace("  across: weight_decay\n", "") + BASELINE, "grid.weight_decay=0")
    records = measure(
        study, lambda cell: 0.25 * (1 + cell.trial.seed) if cell.arm == "ERM" else of_mixup.get(cell.trial.seed)
    )
    mixup, erm = entries(study, records)
    assert (mixup["p"], erm["p"]) == (shown, "")


def test_the_spread_form_tells_p_in_full(load: Loader, measure: Measure, entries: Entries) -> None:
    study = load(ARMS_ACROSS + BASELINE)
    found = entries(study, measure(study, errors_of_a_pair), spread=True)
    told = [row["test_error_last_p"] for row in found]
    assert told[1::2] == ["", ""]
    assert [float(p) for p in told[::2]] == pytest.approx([P_OF_A_PAIR] * 2)
    assert "test_error_last_p" not in entries(load(ARMS_ACROSS), {}, spread=True)[0]


@pytest.mark.parametrize(("dataset", "corrected"), [("digits", False), ("iris", True)])
def test_the_caption_says_where_overlapping_training_sets_are_corrected_for(
    dataset: str, corrected: bool, load: Loader
) -> None:
    text = ARMS_ACROSS.replace("digits", dataset).replace("preact_resnet18", "mlp") + BASELINE
    assert ("Nadeau and Bengio" in study_sheet(findings_of(load(text), {})).caption) is corrected


# Counts.


def test_counts_are_not_percent(load: Loader, measure: Measure, entries: Entries) -> None:
    study = load(GAN)
    records = measure(study, lambda cell: {"modes_covered_last": 5.0 + 2 * cell.trial.seed, "near_modes_last": 0.5})
    (found,) = entries(study, records)
    assert (found["modes"], found["near"]) == ("6.0 ± 1.4 (8.0)", "50.00 ± 0.00 (95.00)")
    assert "Shares in percent." in study_sheet(findings_of(study, records)).caption


def test_the_spread_form_says_which_are_percent(load: Loader, measure: Measure, entries: Entries) -> None:
    study = load(GAN, "grid.seed=0")
    (found,) = entries(
        study, measure(study, lambda cell: {"modes_covered_last": 7.0, "near_modes_last": 0.5}), spread=True
    )
    assert list(found.items())[1:7] == [
        ("modes_covered_last", "7"),
        ("modes_covered_last_sd", ""),
        ("modes_covered_last_paper", "8"),
        ("near_modes_last_percent", "50"),
        ("near_modes_last_sd", ""),
        ("near_modes_last_paper_percent", "95"),
    ]


# Methods and specifications.


def test_arms_named_method_and_specification_stand_in_two_columns(load: Loader) -> None:
    arms = "mixup / α=8: {method: mixup, alpha: 8}\n  mixup / α=2: {method: mixup, alpha: 2}"
    study = load(ACROSS.replace("mixup: {method: mixup, alpha: 8}", arms))
    sheet = study_sheet(findings_of(study, {}))
    assert list(sheet.headings[:2]) == ["method", "specification"]
    assert [tuple(row[:2]) for row in sheet.texts()] == [("mixup", "α=8"), ("", "α=2"), ("ERM", "")]
    assert sheet.breaks == {2}
    assert sheet.numeric == {2, 3, 4}


def test_a_method_is_named_again_under_another_outer_value(load: Loader) -> None:
    arms = "mixup / α=8: {method: mixup, alpha: 8}\n  mixup / α=2: {method: mixup, alpha: 2}"
    text = ACROSS.replace("mixup: {method: mixup, alpha: 8}", arms).replace("rows: [arm]", "rows: [label_noise, arm]")
    sheet = study_sheet(findings_of(load(text, "grid.label_noise=[0.2, 0.5]", "arms.ERM=null"), {}))
    assert [tuple(row[:3]) for row in sheet.texts()] == [
        ("20%", "mixup", "α=8"),
        ("", "", "α=2"),
        ("50%", "mixup", "α=8"),
        ("", "", "α=2"),
    ]
    assert sheet.breaks == {2}


def test_only_a_slash_between_spaces_parts_an_arms_name(load: Loader) -> None:
    sheet = study_sheet(findings_of(load(ACROSS.replace("  mixup:", "  SC/AC:")), {}))
    assert (sheet.headings[:2], sheet.texts()[0][0]) == (["method", "0.0005"], "SC/AC")


def test_ticks_say_what_an_arm_modifies(load: Loader) -> None:
    text = ACROSS.replace("  across:", "  modified: true\n  across:").replace(
        "ERM: {}",
        "ERM: {}\n  noise: {method: gaussian_noise, sigma: 0.1}\n  ε: {method: label_smoothing, label_smoothing: 0.1}",
    )
    sheet = study_sheet(findings_of(load(text), {}))
    assert (sheet.groups[1:3], sheet.headings[1:3]) == (["modified", "modified"], ["input", "target"])
    assert [list(row[:3]) for row in sheet.texts()] == [
        ["mixup", "✓", "✓"],
        ["ERM", "✗", "✗"],
        ["noise", "✓", "✗"],
        ["ε", "✗", "✓"],
    ]
    assert sheet.numeric == {3, 4, 5}


# The lowest.


def marked(study: Study, records: Records) -> set[str]:
    """Return the entries marked in the study's table."""
    sheet = study_sheet(findings_of(study, records))
    return {sheet.texts()[row][column] for row, column in sheet.marked}


def test_the_lowest_over_all_values_across_is_marked(load: Loader, measure: Measure) -> None:
    study = load(ACROSS, "grid.seed=0")
    errors = {("mixup", 5e-4): 0.4, ("mixup", 1e-4): 0.2, ("ERM", 5e-4): 0.3, ("ERM", 1e-4): 0.5}
    records = measure(study, lambda cell: errors[cell.arm, cell.trial.weight_decay])
    assert marked(study, records) == {"20.0"}
    assert study_sheet(findings_of(study, records)).marked == {(0, 2)}


def test_the_lowest_mean_is_marked_among_equal_outer_values(load: Loader, measure: Measure) -> None:
    study = load(ACROSS.replace("rows: [arm]", "rows: [label_noise, arm]"), "grid.label_noise=[0.2, 0.5]")
    errors = {("mixup", 0.2): 0.1, ("ERM", 0.2): 0.2, ("mixup", 0.5): 0.5, ("ERM", 0.5): 0.4}
    records = measure(
        study,
        lambda cell: errors[cell.arm, cell.trial.label_noise] + 50 * cell.trial.weight_decay + 0.1 * cell.trial.seed,
    )
    sheet = study_sheet(findings_of(study, records))
    assert sheet.marked == {(0, 3), (3, 3)}
    assert (sheet.texts()[0][3], sheet.texts()[3][3]) == ("15.5 ± 7.1", "45.5 ± 7.1")


def test_equally_low_numbers_are_marked_together(load: Loader, measure: Measure) -> None:
    study = load(ACROSS, "grid.seed=0")
    records = measure(study, lambda cell: 0.3 if (cell.arm, cell.trial.weight_decay) == ("ERM", 1e-4) else 0.2)
    assert study_sheet(findings_of(study, records)).marked == {(0, 1), (0, 2), (1, 1)}


def test_what_was_not_measured_is_not_the_lowest(load: Loader, measure: Measure) -> None:
    study = load(ACROSS, "grid.seed=0")
    became = {
        ("mixup", 5e-4): None,
        ("mixup", 1e-4): "failed",
        ("ERM", 5e-4): {"test_error_best": 0.0},
        ("ERM", 1e-4): 0.5,
    }
    assert marked(study, measure(study, lambda cell: became[cell.arm, cell.trial.weight_decay])) == {"50.0"}
    assert marked(study, {}) == set()


def test_only_columns_that_ask_for_it_are_marked_each_for_itself(load: Loader, measure: Measure) -> None:
    real = "    - {title: real, metric: train_error_real, mark_lowest: true}\n"
    study = load(ACROSS + BEST + real, "grid.seed=0", "grid.weight_decay=0")
    records = measure(
        study,
        lambda cell: {
            "test_error_last": 0.1 if cell.arm == "ERM" else 0.2,
            "test_error_best": 0.05,
            "train_error_real": 0.4 if cell.arm == "ERM" else 0.3,
        },
    )
    assert marked(study, records) == {"10.0", "30.0"}


def test_a_published_row_may_be_of_all_values_of_a_key(load: Loader, measure: Measure, entries: Entries) -> None:
    published = "published:\n  - {arm: ERM, weight_decay: null, test_error_last: 7.5}\n"
    study = load(ACROSS + published, "grid.seed=0")
    row = entries(study, measure(study, lambda cell: 0.25))[1]
    assert sum("(7.5)" in text for text in row.values()) == 2


def test_the_papers_numbers_are_not_marked(load: Loader, measure: Measure) -> None:
    published = "published:\n  - {arm: ERM, weight_decay: 1e-4, test_error_last: 0.1}\n"
    study = load(ACROSS + published, "grid.seed=0")
    assert marked(study, measure(study, lambda cell: 0.2 if cell.arm == "mixup" else 0.5)) == {
        "20.0",
        "20.0 (not published)",
    }


def test_a_table_without_values_across_marks_too(load: Loader, measure: Measure, paper_study: str) -> None:
    study = load(paper_study.replace("decimals: 2}", "decimals: 2, mark_lowest: true}"), "grid.seed=0")
    records = measure(study, lambda cell: 0.3 if cell.arm == "ERM" else 0.01 * (cell.trial.alpha or 0))
    sheet = study_sheet(findings_of(study, records))
    assert sheet.marked == {(0, 4), (2, 4)}
    assert (sheet.texts()[0][4], sheet.texts()[2][4]) == ("2.00 (30.90)", "2.00 (6.125)")


def test_nothing_is_marked_in_the_spread_form(load: Loader, measure: Measure) -> None:
    study = load(ACROSS)
    records = measure(study, lambda cell: 0.2)
    assert study_sheet(findings_of(study, records)).marked
    assert not study_sheet(findings_of(study, records), spread=True).marked


# The caption.


def test_the_caption_says_what_ran(load: Loader, measure: Measure, paper_study: str) -> None:
    study = load(paper_study)
    records = measure(study, lambda cell: 0.5 if cell.arm == "ERM" else "failed" if cell.trial.seed else None)
    caption = study_sheet(findings_of(study, records, "chosen for a test")).caption
    assert caption.startswith("Table 9: Small results. Profile paper (chosen for a test): data set digits, ")
    assert "preact_resnet18 of width 8, epochs 4, seed 0, 1; 4 of 12 trials done." in caption
    assert caption.endswith("Errors in percent. In brackets, the paper's own numbers: CIFAR-10 for 200 epochs.")
    assert "--set" not in caption


def test_the_caption_says_what_was_overridden_and_that_the_paper_did_otherwise(load: Loader, paper_study: str) -> None:
    caption = study_sheet(findings_of(load(paper_study, "trial.epochs=1", "grid.seed=[3]"), {})).caption
    assert "epochs 1, seed 3; 0 of 6 trials done. Changed with --set: trial.epochs=1; grid.seed=[3]." in caption
    assert caption.endswith("CIFAR-10 for 200 epochs, which is not what was run here.")


def test_the_caption_of_another_profile_says_that_the_paper_did_otherwise(load: Loader, paper_study: str) -> None:
    study = load(paper_study + "profiles: {quick: {trial: {epochs: 1}}}\n", profile="quick")
    caption = study_sheet(findings_of(study, {})).caption
    assert "Profile quick (for a test): " in caption
    assert caption.endswith("which is not what was run here.")


def test_the_caption_names_every_data_set_width_and_length_that_ran(load: Loader, one_arm: str) -> None:
    study = load(one_arm, "grid.dataset=[digits, cifar10]", "grid.width=[8, 64]", "grid.epochs=[1, 2]")
    caption = study_sheet(findings_of(study, {})).caption
    assert "data set digits, cifar10, preact_resnet18 of width 8, 64, epochs 1, 2, seed 0, 1" in caption


def test_a_study_of_no_paper_is_called_a_table_alone(load: Loader, one_arm: str) -> None:
    study = load(one_arm.replace("paper: {table: 9, protocol: CIFAR-10 for 200 epochs}\n", ""))
    assert study_sheet(findings_of(study, {})).caption.startswith("Table: Small results. Profile full (for a test)")


def test_the_caption_hides_no_scaling_down(load: Loader, paper_study: str) -> None:
    study = load(paper_study, "trial.train_size=100")
    assert "train size 100" in study_sheet(findings_of(study, {}, "why")).caption
    assert "workers" not in study_sheet(findings_of(study, {}, "why")).caption


def test_the_caption_says_that_the_lowest_is_marked_where_it_is(load: Loader) -> None:
    assert "Errors in percent. The lowest is marked." in study_sheet(findings_of(load(ACROSS), {})).caption
    text = ACROSS.replace(", mark_lowest: true", "")
    assert study_sheet(findings_of(load(text), {})).caption.endswith("Errors in percent.")


def test_the_caption_names_how_many_neighbours_there_were(load: Loader) -> None:
    text = ACROSS.replace("ERM: {}", "near: {method: mixup, alpha: 8, neighbours: [3, 5]}").replace(
        "rows: [arm]", "rows: [neighbours, arm]"
    )
    assert "epochs 4, neighbours 3, 5, seed 0, 1;" in study_sheet(findings_of(load(text), {})).caption
    assert "neighbours" not in study_sheet(findings_of(load(ACROSS), {})).caption


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        (range(20), "seed 0 to 19"),
        (range(3, 9), "seed 3 to 8"),
        (range(5), "seed 0, 1, 2, 3, 4"),
        ([0, 1, 2, 3, 4, 6], "seed 0, 1, 2, 3, 4, 6"),
        (range(5, -1, -1), "seed 5, 4, 3, 2, 1, 0"),
    ],
)
def test_the_caption_counts_many_seeds_in_short(seeds: Iterable[int], told: str, load: Loader) -> None:
    caption = study_sheet(findings_of(load(ACROSS, f"grid.seed={list(seeds)}"), {})).caption
    assert f", {told};" in caption


def test_the_caption_names_many_data_sets_one_by_one(load: Loader) -> None:
    names = "abalone, arcene, arrhythmia, htru2, iris, phishing"
    study = load(ACROSS, "trial.model=mlp", f"grid.dataset=[{names}]", "table.rows=[dataset, arm]")
    assert f"data set {names}, mlp of width 8" in study_sheet(findings_of(study, {})).caption


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=attrgetter("stem"))
def test_every_study_has_its_table_before_anything_is_run(file: Path) -> None:
    for profile in StudyFile(file).profiles:
        study = StudyFile(file).load(profile)
        for spread in (False, True):
            assert study_sheet(findings_of(study, {}), spread=spread).rows


# The form for CSV.


def test_the_spread_form_has_one_number_an_entry_and_every_key(
    load: Loader, measure: Measure, paper_study: str, entries: Entries
) -> None:
    study = load(paper_study)
    records = measure(
        study, lambda cell: None if cell.trial.label_noise == 0.8 else (0.20 if cell.trial.seed == 0 else 0.30)
    )
    first, _, mixup, erm = entries(study, records, spread=True)
    assert list(first) == [
        *("label_noise", "arm", "alpha"),
        *("test_error_best_percent", "test_error_best_sd", "test_error_best_paper_percent"),
        *("test_error_last_percent", "test_error_last_sd", "test_error_last_paper_percent"),
        *("done", "failed", "trials"),
    ]
    assert list(first.values()) == ["0.8", "mixup", "", "", "", "", "", "", "30.9", "0", "0", "4"]
    assert list(mixup.values())[:6] == ["0.2", "mixup", "2", "12.5", "3.535533906", "5"]
    assert list(mixup.values())[6:] == ["25", "7.071067812", "6.125", "4", "0", "4"]
    assert list(erm.values())[:6] == ["0.2", "ERM", "", "12.5", "3.535533906", "12.7"]


# The plan.


def test_the_plan_shows_each_cell_its_state_and_what_differs(load: Loader, measure: Measure, one_arm: str) -> None:
    study = load(one_arm)
    records = measure(study, lambda cell: None if cell.trial.seed else 0.5 if cell.trial.alpha == 2 else "failed")
    sheet = trials_sheet(findings_of(study, records))
    assert list(sheet.headings) == ["trial_id", "arm", "alpha", "seed", "state", "seconds"]
    assert [row[0] for row in sheet.texts()] == list(study.trials)
    assert [list(row[1:]) for row in sheet.texts()] == [
        ["mixup", "2", "0", "done", "12.5"],
        ["mixup", "8", "0", "failed", "12.5"],
        ["mixup", "2", "1", "to run", ""],
        ["mixup", "8", "1", "to run", ""],
    ]
