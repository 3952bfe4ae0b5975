"""When trials trained, as the report shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixup_study.analysis.efficiency import SlotUse
from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import records_by_id
from mixup_study.store.record import TrialRecord
from mixup_study.study.study import Study, StudyFile
from mixup_study.views.report.facts import list_facts
from mixup_study.views.report.timeline import chart_timeline
from tests.fixtures import PROVENANCE, findings_of

BEGUN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TEXT = """\
name: timed
trial: {dataset: digits, model: mlp, width: 8, epochs: 4, batch_size: 50, lr: 0.1}
grid: {seed: [0, 1, 2, 3, 4, 5, 6, 7]}
arms: {ERM: {}}
table: {title: Timed, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of eight trials."""
    (file := tmp_path_factory.mktemp("study") / "timed.yaml").write_text(TEXT)
    return StudyFile(file).load("full")


def timed(study: Study, took: Sequence[Mapping[str, float]]) -> tuple[Findings, SlotUse]:
    """Return findings of the first trials: when each started, how long it trained, and how much of that before."""
    sources = [replace(PROVENANCE, started_at=BEGUN + timedelta(seconds=one["start"])) for one in took]
    tables = [
        TrialRecord(trial, "done", source, one["seconds"], resumed_seconds=one.get("before", 0.0)).trials_table()
        for trial, source, one in zip(study.trials.values(), sources, took, strict=False)
    ]
    findings = findings_of(study, records_by_id(pa.concat_tables(tables)))
    assert findings.slot_use is not None
    return findings, findings.slot_use


def bars(findings: Findings, use: SlotUse) -> list[tuple[float, float]]:
    """Return where the bars begin and end, as shares of the axis."""
    chart = chart_timeline(findings)
    assert chart is not None
    unit = 3600 if use.seconds > 3 * 3600 else 60 if use.seconds > 180 else 1
    points: Any = chart.panels[0].data["points"]
    return [(point["x"] * unit / use.seconds, point["x2"] * unit / use.seconds) for point in points]


@pytest.mark.slow
@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(1, 500)), min_size=1, max_size=8))
def test_whatever_pauses_are_cut_out_every_bar_lies_on_the_axis(
    study: Study, sessions: list[tuple[float, float]]
) -> None:
    start, took = 0.0, []
    for pause, seconds in sessions:
        took.append({"start": start + pause, "seconds": seconds})
        start += pause + seconds
    for begin, end in bars(*timed(study, took)):
        assert -1e-4 <= begin <= end <= 1 + 1e-4


@pytest.mark.parametrize(("starts", "slots"), [((0, 20), "1 slot"), ((0, 0), "2 slots")])
def test_it_says_how_many_slots_there_were(starts: tuple[int, int], slots: str, study: Study) -> None:
    findings, _ = timed(study, [{"start": start, "seconds": 20} for start in starts])
    chart = chart_timeline(findings)
    assert chart is not None
    assert chart.panels[0].description.startswith(f"Timeline of {slots} over ")


def test_of_a_resumed_trial_only_what_the_last_process_trained_counts(study: Study) -> None:
    findings, use = timed(study, [{"start": 0, "seconds": 20}, {"start": 20, "seconds": 3610, "before": 3600}])
    assert (len(use.slots), use.seconds, use.train_seconds, use.share) == (1, 30, 30, 1)
    assert use.text == "30.0 s of training in 1 slot x 30.0 s = 100%"
    assert bars(findings, use) == [(0, pytest.approx(2 / 3)), (pytest.approx(2 / 3), 1)]
    assert list_facts(findings)["last trial ended"].startswith("2026-01-02 03:04")
