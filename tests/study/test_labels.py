from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from mixup_study.study.labels import (
    cell_labels,
    duration_text,
    headline_text,
    key_text,
    plain,
    setting_text,
    time_text,
    title_text,
)
from mixup_study.study.study import Study, StudyFile

Loader = Callable[..., Study]


def test_a_label_says_what_a_trial_is_within_its_study(load: Loader, paper_study: str) -> None:
    study = load(paper_study)
    labels = [cell_labels(study)[cell.trial.trial_id] for cell in study.cells]
    assert len(set(labels)) == len(labels)
    assert labels[0] == "label noise 80%, mixup, α=2, seed=0"
    assert labels[-1] == "label noise 20%, ERM, seed=1"


def test_a_label_tells_apart_what_the_table_does_not(load: Loader, paper_study: str) -> None:
    study = load(paper_study, "grid.weight_decay=[1e-4, 5e-4]", "grid.seed=0")
    assert len(set(cell_labels(study).values())) == len(study.cells)
    assert "label noise 20%, ERM, weight_decay=0.0005" in cell_labels(study).values()


def test_a_label_leaves_out_what_a_trial_does_not_take(load: Loader, paper_study: str) -> None:
    study = load(
        paper_study, "table.rows=[alpha, weight_decay, arm]", "grid.label_noise=0.2", "grid.seed=0", "published=[]"
    )
    labels = [cell_labels(study)[cell.trial.trial_id] for cell in study.cells]
    assert labels[-1] == "weight decay 0.0001, ERM"
    assert labels[0].startswith("alpha 2, weight decay 0.0001, mixup")


def test_a_label_leaves_out_an_only_seed(load: Loader, paper_study: str) -> None:
    study = load(paper_study, "grid.seed=0")
    assert cell_labels(study)[study.cells[0].trial.trial_id] == "label noise 80%, mixup, α=2"


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ({}, ""),
        ({"dropout": 0.3, "alpha": 8.0}, "α=8, p=0.3"),
        ({"alpha": 0.5, "weight_decay": 1e-4}, "α=0.5, weight_decay=0.0001"),
        ({"seed": 3, "alpha": 1}, "α=1"),
        ({"alpha": math.inf}, "α=∞"),
        ({"label_smoothing": 0.05, "alpha": 1.0}, "α=1, ε=0.05"),
        ({"sigma": 0.2}, "σ=0.2"),
        ({"layer": 3, "alpha": 1.0}, "α=1, layer=3"),
        ({"neighbours": 200, "same_class": True, "alpha": 1.0}, "α=1, same_class=True, neighbours=200"),
        ({"ways": 3, "alpha": 0.5}, "α=0.5, ways=3"),
    ],
    ids=str,
)
def test_settings_are_written_as_the_paper_writes_them(setting: dict[str, Any], shown: str) -> None:
    assert setting_text(setting) == shown


def test_a_label_names_the_value_across_and_an_infinite_alpha(load: Loader, one_arm: str) -> None:
    text = one_arm.replace("rows: [label_noise, arm]", "rows: [arm]\n  across: weight_decay")
    study = load(text, "grid.weight_decay=[1e-4, 5e-4]", "arms.mixup.alpha=[2, .inf]", "grid.seed=0")
    assert [cell_labels(study)[cell.trial.trial_id] for cell in study.cells] == [
        "weight decay 0.0001, mixup, α=2",
        "weight decay 0.0001, mixup, α=∞",
        "weight decay 0.0005, mixup, α=2",
        "weight decay 0.0005, mixup, α=∞",
    ]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("label_noise", 0.2, "20%"),
        ("label_noise", 0.125, "12.5%"),
        ("weight_decay", 1e-4, "0.0001"),
        ("alpha", 8.0, "8"),
        ("layer", 3, "3"),
        ("arm", "mixup", "mixup"),
        ("train_size", None, ""),
    ],
)
def test_a_value_is_written_as_a_rows_label(name: str, value: object, shown: str) -> None:
    assert key_text(name, value) == shown


@pytest.mark.parametrize(
    ("name", "shown"), [("arm", "method"), ("weight_decay", "weight decay"), ("same_class", "same class")]
)
def test_a_fields_name_is_written_as_a_heading(name: str, shown: str) -> None:
    assert title_text(name) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(5.0, "5"), (5.25, "5.25"), (0.1 + 0.2, "0.3"), (math.inf, "inf"), (True, "True"), (None, "")]
)
def test_a_value_is_written_plainly(value: object, shown: str) -> None:
    assert plain(value) == shown


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min 0 s"),
        (0.04, "0.0 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3599.7, "1 h 0 min"),
        (3600 * 3 + 60 * 20 + 59, "3 h 20 min"),
        (3600 * 100, "4 d 4 h"),
    ],
)
def test_a_duration_is_written_in_two_units(seconds: float, written: str) -> None:
    assert duration_text(seconds) == written


def test_a_time_is_written_in_utc() -> None:
    time = datetime(2026, 1, 2, 1, 30, 59, tzinfo=timezone(timedelta(hours=2)))
    assert time_text(time) == "2026-01-01 23:30 UTC"


def test_a_headline_is_in_percent_or_a_count() -> None:
    assert headline_text("classification", 0.125) == "test error 12.5%"
    assert headline_text("gan", 8.0) == "modes covered 8"


def test_what_goes_with_a_value_of_the_grid_is_not_said_beside_it(tmp_path: Path) -> None:
    (file := tmp_path / "networks.yaml").write_text(
        "name: networks\n"
        "trial: {dataset: digits, epochs: 2, batch_size: 50, lr: 0.1}\n"
        "grid: {model: {mlp: {width: 8}, preact_resnet18: {width: 4, milestones: [1]}}, seed: [0, 1]}\n"
        "arms: {ERM: {}}\n"
        "table: {title: t, rows: [model], across: arm, columns: [{title: e, metric: test_error_last}]}\n"
    )
    assert list(cell_labels(StudyFile(file).load("full")).values()) == [
        "model mlp, ERM, seed=0",
        "model mlp, ERM, seed=1",
        "model preact_resnet18, ERM, seed=0",
        "model preact_resnet18, ERM, seed=1",
    ]
