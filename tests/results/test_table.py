from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mixup_study.results.labels import cell_labels, setting_text
from mixup_study.results.layout import study_sheet, trials_sheet
from mixup_study.results.record import TRIALS, TrialRecord
from mixup_study.results.table import Records, Statistic, records_by_id, table_rows
from mixup_study.spec.study import METRICS, Cell, Study, StudyFile

Loader = Callable[..., Study]
RecordMaker = Callable[..., TrialRecord]
Measured = Mapping[str, float | None] | str | None
"""What became of a cell: its measurements, "failed", or None where it was not run."""

STUDY = """\
name: small
paper: {table: 9, protocol: CIFAR-10 for 200 epochs}
trial: {dataset: digits, model: preact_resnet18, width: 8, epochs: 4, batch_size: 50, lr: 0.1}
grid: {label_noise: [0.8, 0.2], seed: [0, 1]}
arms:
  mixup: {method: mixup, alpha: [2, 8]}
  ERM: {}
table:
  title: Small results
  rows: [label_noise, arm]
  columns:
    - {group: Test error, title: best, metric: test_error_best}
    - {group: Test error, title: last, metric: test_error_last, decimals: 2}
  pick: {lowest: test_error_last}
published:
  - {label_noise: 0.2, arm: ERM, test_error_best: 12.7, test_error_last: 19.70}
  - {label_noise: 0.2, arm: mixup, alpha: 8, test_error_best: 5, test_error_last: 6.125}
  - {label_noise: 0.8, arm: mixup, alpha: 32, test_error_last: 30.9}
"""
ONE_ARM = STUDY.split("published:")[0].replace("label_noise: [0.8, 0.2], ", "").replace("  ERM: {}\n", "")


@pytest.fixture
def measure(record: RecordMaker) -> Callable[[Study, Callable[[Cell], Measured]], Records]:
    """Makes the records of a study from what became of each cell."""

    def measured(study: Study, became: Callable[[Cell], Measured]) -> Records:
        tables = []
        for cell in study.cells:
            found = became(cell)
            if found == "failed":
                tables.append(record(cell.trial, status="failed").trials_table())
            elif isinstance(found, Mapping):
                tables.append(record(cell.trial, measurements={**dict.fromkeys(METRICS), **found}).trials_table())
        return records_by_id(pa.concat_tables(tables) if tables else TRIALS.empty_table())

    return measured


Measure = Callable[[Study, Callable[[Cell], Measured]], Records]


def last(error: float) -> dict[str, float | None]:
    return {"test_error_best": error / 2, "test_error_last": error}


def entries(study: Study, records: Records, **options: bool) -> list[dict[str, str]]:
    """Return the sheet's rows by heading; headings lose their ``(paper)``."""
    sheet = study_sheet(study, records, "for a test", **options)
    headings = [heading.removesuffix(" (paper)") for heading in sheet.headings]
    return [dict(zip(headings, row, strict=True)) for row in sheet.rows]


# Rows.


def test_rows_come_in_the_order_of_the_file_with_outer_values_together(load: Loader) -> None:
    keys = [tuple(row.keys.values()) for row in table_rows(load(STUDY), {})]
    assert keys == [(0.8, "mixup"), (0.8, "ERM"), (0.2, "mixup"), (0.2, "ERM")]


def test_rows_may_put_the_arm_first(load: Loader) -> None:
    text = STUDY.replace("rows: [label_noise, arm]", "rows: [arm, label_noise]")
    keys = [tuple(row.keys.values()) for row in table_rows(load(text), {})]
    assert keys == [("mixup", 0.8), ("mixup", 0.2), ("ERM", 0.8), ("ERM", 0.2)]


def test_a_repeated_outer_label_is_shown_once_in_percent(load: Loader) -> None:
    found = entries(load(STUDY), {})
    assert [row["label noise"] for row in found] == ["80%", "", "20%", ""]
    assert [row["method"] for row in found] == ["mixup", "ERM", "mixup", "ERM"]


def test_a_line_parts_the_outer_values(load: Loader) -> None:
    assert study_sheet(load(STUDY), {}, "for a test").breaks == {2}


def test_columns_stand_under_their_groups(load: Loader) -> None:
    sheet = study_sheet(load(STUDY), {}, "for a test")
    assert list(sheet.headings) == [
        "label noise",
        "method",
        "setting (paper)",
        "best (paper)",
        "last (paper)",
        "trials",
    ]
    assert list(sheet.groups) == ["", "", "", "Test error", "Test error", ""]


def test_table_2_has_the_papers_rows_and_numbers() -> None:
    study = StudyFile(Path(__file__).parents[2] / "studies" / "corrupt_labels.yaml").load("paper")
    found = entries(study, {})
    assert len(found) == 12
    assert found[1]["setting"] == "missing (p=0.7)"
    assert [found[1][key] for key in ("best", "last", "real", "corrupted")] == [
        *("– (8.8)", "– (10.4)", "– (5.26)", "– (83.55)")
    ]
    assert found[11]["setting"] == "missing (α=8, p=0.3)"
    assert found[11]["real"] == "– (19.70)"
    assert [row["trials"] for row in found] == ["0/1", "0/4", "0/4", "0/12"] * 3


# The setting shown.


def test_the_setting_of_the_lowest_mean_over_seeds_is_shown(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM)
    errors = {(2.0, 0): 0.10, (2.0, 1): 0.50, (8.0, 0): 0.20, (8.0, 1): 0.30}
    records = measure(study, lambda cell: last(errors[cell.trial.alpha or 0, cell.trial.seed]))
    (row,) = table_rows(study, records)
    assert row.setting == {"alpha": 8.0}
    best, final = row.measured
    assert best is not None
    assert final is not None
    assert final.mean == pytest.approx(0.25)
    assert final.count == 2
    assert final.deviation == pytest.approx(0.1 / 2**0.5)
    assert best.mean == pytest.approx(0.125)


def test_the_pick_may_differ_from_the_columns(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM.replace("{lowest: test_error_last}", "{lowest: train_error_real}"))
    records = measure(
        study,
        lambda cell: last(0.1 if cell.trial.alpha == 2 else 0.9) | {"train_error_real": 1 / (cell.trial.alpha or 1)},
    )
    (found,) = entries(study, records)
    assert (found["setting"], found["last"]) == ("α=8", "90.00 ± 0.00")


def test_a_setting_of_every_seed_goes_before_a_better_one_with_seeds_missing(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM)
    records = measure(
        study, lambda cell: last(0.9) if cell.trial.alpha == 8 else last(0.1) if cell.trial.seed == 0 else None
    )
    (found,) = entries(study, records)
    assert (found["setting"], found["last"], found["trials"]) == ("α=8", "90.00 ± 0.00", "3/4")


def test_with_no_setting_of_every_seed_the_best_of_what_there_is_is_shown(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM)
    records = measure(study, lambda cell: last(0.1 * (cell.trial.alpha or 0)) if cell.trial.seed == 0 else None)
    (found,) = entries(study, records)
    assert (found["setting"], found["last"], found["trials"]) == ("α=2", "20.00", "2/4")


def test_of_two_equal_settings_the_first_of_the_file_is_shown(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM)
    (found,) = entries(study, measure(study, lambda cell: last(0.5)))
    assert found["setting"] == "α=2"


def test_failed_trials_are_counted_and_not_used(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM)
    records = measure(study, lambda cell: "failed" if cell.trial.alpha == 2 else last(0.5))
    (found,) = entries(study, records)
    assert (found["setting"], found["last"], found["trials"]) == ("α=8", "50.00 ± 0.00", "2/4, 2 failed")


def test_a_failed_seed_leaves_its_setting_incomplete(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM)
    records = measure(
        study, lambda cell: last(0.5) if cell.trial.alpha == 2 else "failed" if cell.trial.seed else last(0.1)
    )
    (found,) = entries(study, records)
    assert (found["setting"], found["last"], found["trials"]) == ("α=2", "50.00 ± 0.00", "3/4, 1 failed")


def test_a_row_of_failed_trials_alone_is_missing(load: Loader, measure: Measure) -> None:
    study = load(STUDY)
    found = entries(study, measure(study, lambda cell: "failed"))
    assert (found[2]["setting"], found[2]["last"]) == ("missing (α=8)", "– (6.125)")
    assert found[2]["trials"] == "0/4, 4 failed"


def test_a_field_that_an_arm_sets_to_one_value_is_part_of_the_setting(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM.replace("alpha: [2, 8]", "alpha: 2, dropout: 0.5"))
    (found,) = entries(study, measure(study, lambda cell: last(0.5)))
    assert found["setting"] == "α=2, p=0.5"


def test_a_field_that_differs_in_the_grid_is_part_of_the_setting(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM, "grid.weight_decay=[1e-4, 5e-4]")
    (found,) = entries(study, measure(study, lambda cell: last(cell.trial.weight_decay)))
    assert found["setting"] == "α=2, weight_decay=0.0001"


def test_arms_that_share_a_trial_both_show_it(load: Loader, measure: Measure) -> None:
    study = load(
        STUDY.replace("  ERM: {}", "  ERM: {}\n  baseline: {dropout: 0.0}"), "grid.seed=0", "grid.label_noise=0"
    )
    assert len(study.trials) == 3
    records = measure(study, lambda cell: last(0.5) if cell.trial.method == "erm" else None)
    found = {row["method"]: row for row in entries(study, records)}
    assert found["ERM"]["last"].startswith("50.00 ")
    assert found["baseline"]["last"].startswith("50.00 ")
    assert [found[arm]["trials"] for arm in ("ERM", "baseline", "mixup")] == ["1/1", "1/1", "0/2"]
    assert "1 of 3 trials done" in study_sheet(study, records, "for a test").caption


# Entries.


def test_missing_cells_are_shown_beside_the_papers_numbers(load: Loader) -> None:
    found = entries(load(STUDY), {})
    assert found[3] == {
        "label noise": "",
        "method": "ERM",
        "setting": "missing",
        "best": "– (12.7)",
        "last": "– (19.70)",
        "trials": "0/2",
    }


def test_mean_and_sample_deviation_are_shown_in_percent_beside_the_papers(load: Loader, measure: Measure) -> None:
    study = load(STUDY)
    records = measure(study, lambda cell: last(0.20 if cell.trial.seed == 0 else 0.30))
    found = entries(study, records)
    assert found[3]["best"] == "12.5 ± 3.5 (12.7)"
    assert found[3]["last"] == "25.00 ± 7.07 (19.70)"
    assert found[2]["setting"] == "α=2 (α=8)"


def test_one_seed_has_no_deviation(load: Loader, measure: Measure) -> None:
    study = load(STUDY, "grid.seed=0")
    assert entries(study, measure(study, lambda cell: last(0.25)))[3]["last"] == "25.00 (19.70)"


def test_a_number_the_paper_lacks_is_said_to_be_not_published(load: Loader, measure: Measure) -> None:
    study = load(STUDY)
    found = entries(study, measure(study, lambda cell: last(0.25)))
    assert found[0]["best"] == "12.5 ± 0.0 (not published)"
    assert found[1]["last"] == "25.00 ± 0.00 (not published)"
    assert entries(study, {})[1]["last"] == "– (not published)"


@pytest.mark.parametrize(
    ("row", "column", "shown"),
    [(3, "best", "12.7"), (3, "last", "19.70"), (2, "best", "5.0"), (2, "last", "6.125"), (0, "last", "30.90")],
)
def test_published_numbers_keep_their_decimals(load: Loader, row: int, column: str, shown: str) -> None:
    assert entries(load(STUDY), {})[row][column] == f"– ({shown})"


def test_without_published_numbers_there_are_no_brackets(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM)
    for records in ({}, measure(study, lambda cell: last(0.25))):
        sheet = study_sheet(study, records, "for a test")
        assert "(" not in "".join([*sheet.headings, *(entry for row in sheet.rows for entry in row)])


def test_a_measurement_that_was_not_taken_is_a_dash(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM, "grid.seed=0")
    (found,) = entries(study, measure(study, lambda cell: {"test_error_last": 0.25}))
    assert (found["best"], found["last"], found["trials"]) == ("–", "25.00", "2/2")


def test_a_statistic_of_nothing_is_none() -> None:
    assert Statistic.of([]) is None


# The caption.


def test_the_caption_says_what_ran(load: Loader, measure: Measure) -> None:
    study = load(STUDY)
    records = measure(study, lambda cell: last(0.5) if cell.arm == "ERM" else "failed" if cell.trial.seed else None)
    caption = study_sheet(study, records, "chosen for a test").caption
    assert caption.startswith("Table 9: Small results. Profile paper (chosen for a test): data set digits, ")
    assert "preact_resnet18 of width 8, epochs 4, seed 0, 1; 4 of 12 trials done." in caption
    assert caption.endswith("Errors in percent. In brackets, the paper's own numbers: CIFAR-10 for 200 epochs.")
    assert "--set" not in caption


def test_the_caption_says_what_was_overridden_and_that_the_paper_did_otherwise(load: Loader) -> None:
    caption = study_sheet(load(STUDY, "trial.epochs=1", "grid.seed=[3]"), {}, "for a test").caption
    assert "epochs 1, seed 3; 0 of 6 trials done. Changed with --set: trial.epochs=1; grid.seed=[3]." in caption
    assert caption.endswith("CIFAR-10 for 200 epochs, which is not what was run here.")


def test_the_caption_of_another_profile_says_that_the_paper_did_otherwise(load: Loader) -> None:
    study = load(STUDY + "profiles: {quick: {trial: {epochs: 1}}}\n", profile="quick")
    caption = study_sheet(study, {}, "for a test").caption
    assert "Profile quick (for a test): " in caption
    assert caption.endswith("which is not what was run here.")


def test_the_caption_names_every_data_set_width_and_length_that_ran(load: Loader) -> None:
    study = load(ONE_ARM, "grid.dataset=[digits, cifar10]", "grid.width=[8, 64]", "grid.epochs=[1, 2]")
    caption = study_sheet(study, {}, "for a test").caption
    assert "data set digits, cifar10, preact_resnet18 of width 8, 64, epochs 1, 2, seed 0, 1" in caption


def test_a_study_of_no_paper_is_called_a_table_alone(load: Loader) -> None:
    study = load(ONE_ARM.replace("paper: {table: 9, protocol: CIFAR-10 for 200 epochs}\n", ""))
    assert study_sheet(study, {}, "for a test").caption.startswith("Table: Small results. Profile full (for a test)")


# The form for CSV.


def test_the_spread_form_has_one_number_an_entry_and_every_key(load: Loader, measure: Measure) -> None:
    study = load(STUDY)
    records = measure(
        study, lambda cell: None if cell.trial.label_noise == 0.8 else last(0.20 if cell.trial.seed == 0 else 0.30)
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


# The plan, and labels.


def test_the_plan_shows_each_cell_its_state_and_what_differs(load: Loader, measure: Measure) -> None:
    study = load(ONE_ARM)
    records = measure(study, lambda cell: None if cell.trial.seed else last(0.5) if cell.trial.alpha == 2 else "failed")
    sheet = trials_sheet(study, records)
    assert list(sheet.headings) == ["trial_id", "arm", "alpha", "seed", "state", "seconds"]
    assert [row[0] for row in sheet.rows] == list(study.trials)
    assert [list(row[1:]) for row in sheet.rows] == [
        ["mixup", "2", "0", "done", "12.5"],
        ["mixup", "8", "0", "failed", "12.5"],
        ["mixup", "2", "1", "to run", ""],
        ["mixup", "8", "1", "to run", ""],
    ]


def test_a_label_says_what_a_trial_is_within_its_study(load: Loader) -> None:
    study = load(STUDY)
    labels = [cell_labels(study)[cell.trial.trial_id] for cell in study.cells]
    assert len(set(labels)) == len(labels)
    assert labels[0] == "label noise 80%, mixup, α=2, seed=0"
    assert labels[-1] == "label noise 20%, ERM, seed=1"


def test_a_label_tells_apart_what_the_table_does_not(load: Loader) -> None:
    study = load(STUDY, "grid.weight_decay=[1e-4, 5e-4]", "grid.seed=0")
    assert len(set(cell_labels(study).values())) == len(study.cells)
    assert "label noise 20%, ERM, weight_decay=0.0005" in cell_labels(study).values()


def test_a_label_leaves_out_an_only_seed(load: Loader) -> None:
    study = load(STUDY, "grid.seed=0")
    assert cell_labels(study)[study.cells[0].trial.trial_id] == "label noise 80%, mixup, α=2"


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ({}, ""),
        ({"dropout": 0.3, "alpha": 8.0}, "α=8, p=0.3"),
        ({"alpha": 0.5, "weight_decay": 1e-4}, "α=0.5, weight_decay=0.0001"),
        ({"seed": 3, "alpha": 1}, "α=1"),
    ],
    ids=str,
)
def test_settings_are_written_as_the_paper_writes_them(setting: dict[str, Any], shown: str) -> None:
    assert setting_text(setting) == shown


def test_the_caption_hides_no_scaling_down(load: Loader) -> None:
    study = load(STUDY, "trial.train_size=100")
    assert "train_size 100" in study_sheet(study, {}, "why").caption
    assert "workers" not in study_sheet(study, {}, "why").caption
