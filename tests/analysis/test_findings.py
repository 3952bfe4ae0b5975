"""Findings: each thing worked out once, and nothing read before it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import pytest

from mixup_study.analysis.findings import Findings, Progress
from mixup_study.analysis.table import Records
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.study.expand import Cell
from mixup_study.study.study import Study
from mixup_study.views.captions import table_notes
from mixup_study.views.study_table import study_sheet
from tests.fixtures import PROVENANCE, findings_of

Loader = Callable[..., Study]
Measure = Callable[[Study, Callable[[Cell], Any]], Records]

SEVERAL_TASKS = """\
name: several
trial: {model: mlp, width: 8, epochs: 4, batch_size: 50, lr: 0.1}
grid: {seed: [0, 1]}
arms:
  classifier: {task: classification, dataset: digits}
  generator: {task: gan, dataset: gaussian_ring}
table:
  title: Two tasks
  rows: [arm]
  columns: [{title: error, metric: test_error_last}, {title: near, metric: near_modes_last}]
figures: [{kind: curves, title: Over the epochs}]
"""


@pytest.fixture
def several(load: Loader, store: ResultStore) -> Findings:
    """Findings of a study of two tasks, each followed by a quantity of its own."""
    study = load(SEVERAL_TASKS)
    for trial in study.trials.values():
        name, last = ("test_error", 0.1) if trial.task == "classification" else ("modes_covered", 8.0)
        rows = [{"epoch": epoch, "seconds": 1.0, name: (2 - epoch / 4) * last} for epoch in range(1, 5)]
        store.write(TrialRecord(trial, "done", PROVENANCE, 1.0, {f"{name}_last": last}, rows))
    return Findings.read(study, store, "for a test")


def test_what_is_asked_again_is_not_worked_out_again(several: Findings) -> None:
    names = [name for name, value in vars(Findings).items() if isinstance(value, cached_property)]
    assert {"rows", "claims", "labels", "curves", "epochs", "points", "progress", "p_values"} <= set(names)
    for name in names:
        assert getattr(several, name) is getattr(several, name)


def test_a_table_reads_neither_epochs_nor_points(load: Loader, paper_study: str, store: ResultStore) -> None:
    class TrialsAlone(ResultStore):
        def epochs(self) -> Any:
            raise AssertionError("epochs were read")

        points = epochs

    findings = Findings.read(load(paper_study), TrialsAlone(store.location), "for a test")
    assert study_sheet(findings).rows
    with pytest.raises(AssertionError, match="epochs were read"):
        assert findings.curves


def test_progress_counts_the_studys_own_trials(load: Loader, measure: Measure, paper_study: str) -> None:
    study, others = load(paper_study), load(paper_study, "trial.epochs=9")
    records = measure(study, lambda cell: "failed" if cell.arm == "ERM" else None if cell.trial.seed else 0.5)
    progress = findings_of(study, {**records, **measure(others, lambda cell: 0.5)}).progress
    assert progress == Progress(total=12, done=4, failed=4)
    assert progress.left == 4


def test_each_task_has_curves_of_its_own(several: Findings) -> None:
    errors, modes = several.curves
    assert [group.quantity.label for group in several.curves] == ["test error (%)", "modes covered"]
    assert [group.epoch_label for group in several.curves] == ["epoch", "epoch (100 generator steps)"]
    assert [curve.mean.tolist() for curve in errors.curves] == [pytest.approx([17.5, 15, 12.5, 10])]
    assert [curve.mean.tolist() for curve in modes.curves] == [pytest.approx([14, 12, 10, 8])]
    assert errors.y_limit == pytest.approx(17.5 * 1.05)
    assert [line.row.keys["arm"] for panel in modes.panels for line in panel.lines] == ["generator"]


def test_the_caption_names_the_quantities_of_each_task(several: Findings) -> None:
    assert table_notes(several).endswith("Errors and shares in percent.")
