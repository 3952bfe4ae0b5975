from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from mixup_study.analysis.table import cell_ids, records_by_id
from mixup_study.catalogue import CATALOGUE
from mixup_study.store.record import TrialRecord, trials_schema
from mixup_study.study.study import Study
from mixup_study.views.study_table import study_sheet
from mixup_study.views.trials_table import trials_sheet
from tests.fixtures import findings_of

Loader = Callable[..., Study]


def recorded(study: Study, record: Callable[..., TrialRecord]) -> pa.Table:
    """Records of a study in which one trial in five is missing and one in seven failed."""
    tables = [trials_schema().empty_table()]
    for index, trial in enumerate(study.trials.values()):
        if index % 5 != 0:
            measured = dict.fromkeys(CATALOGUE.metrics, index * 37 % 101 / 101)
            status = "failed" if index % 7 == 0 else "done"
            tables.append(record(trial, status=status, measurements=measured).trials_table())
    return pa.concat_tables(tables)


@pytest.mark.parametrize("spread", [False, True])
def test_sheets_are_those_of_plain_rows(
    spread: bool, load: Loader, paper_study: str, record: Callable[..., TrialRecord]
) -> None:
    study = load(paper_study, "grid.weight_decay=[1e-4, 5e-4]", "grid.milestones=[[], [1, 2]]")
    trials = recorded(study, record)
    columns = records_by_id(trials)
    rows: dict[str, Any] = {row["trial_id"]: row for row in trials.to_pylist()}
    assert columns == rows
    assert study_sheet(findings_of(study, columns, "why"), spread=spread) == study_sheet(
        findings_of(study, rows, "why"), spread=spread
    )
    assert trials_sheet(findings_of(study, columns)) == trials_sheet(findings_of(study, rows))


def test_milestones_are_listed_as_the_study_writes_them(load: Loader, one_arm: str) -> None:
    sheet = trials_sheet(findings_of(load(one_arm, "grid.milestones=[[], [1, 2]]"), {}))
    column = list(sheet.headings).index("milestones")
    assert {row[column] for row in sheet.rows} == {"[]", "[1, 2]"}


def test_cells_of_arms_that_share_a_trial_have_one_id(load: Loader, paper_study: str) -> None:
    study = load(paper_study.replace("  ERM: {}", "  ERM: {}\n  baseline: {dropout: 0.0}"))
    assert cell_ids(study, study.cells) == [cell.trial.trial_id for cell in study.cells]
    assert len(set(cell_ids(study, study.cells))) < len(study.cells)


def test_a_record_has_the_columns_and_no_others(record: Callable[..., TrialRecord]) -> None:
    (found,) = records_by_id(record().trials_table()).values()
    assert list(found) == trials_schema().names
    assert len(found) == len(trials_schema())
    assert "colour" not in found
    assert found.get("colour") is None
