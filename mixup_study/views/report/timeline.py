"""Efficiency: which slot trained what when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixup_study.analysis.efficiency import Pause, RecordedJob, SlotUse
from mixup_study.analysis.findings import Findings
from mixup_study.study.labels import count_text, duration_text
from mixup_study.views.report.charts import (
    ALONG_X,
    HOVER,
    TOOLTIP,
    VISIBLE,
    Chart,
    Datum,
    Label,
    Panel,
    Spec,
    arm_encoding,
    axis_encoding,
    layered_view,
    round_digits,
)
from mixup_study.views.sheet import Sheet

BARS = 2_000
"""Drawn in all; where there are more jobs, neighbours in a slot are drawn as one."""


@dataclass(frozen=True)
class Bar:
    """Neighbouring jobs in a slot, most often one; times as of the axis, pauses cut out."""

    slot: int
    start: float
    end: float
    jobs: Sequence[RecordedJob]


def chart_timeline(findings: Findings) -> Chart | None:
    """Return the timeline of the study's trials; None where none has a start and a time."""
    use = findings.slot_use
    if use is None:
        return None
    arms, total = findings.arms, use.seconds
    bars = [bar for slot in range(len(use.slots)) for bar in _bars(use, slot)]
    arm_of = {cell.trial.trial_id: cell.arm for cell in findings.study.every_cell}
    used = {arms.index(arm_of[trial_id]) for jobs in use.slots for job in jobs for trial_id in job.trials}
    unit_name, unit = ("h", 3600.0) if total > 3 * 3600 else ("min", 60.0) if total > 180 else ("s", 1.0)
    points = [_datum(bar, arm_of, arms, findings.labels, unit) for bar in bars]
    cuts: list[Datum] = [
        {"x": round_digits(pause.place / unit), "h": "nothing trained", "t": [[0, duration_text(pause.seconds)]]}
        for pause in use.pauses
    ]
    rows = [
        [str(slot + 1), str(len(jobs)), duration_text(seconds), f"{seconds / total:.0%}" if total else ""]
        for slot, jobs in enumerate(use.slots)
        for seconds in [sum(job.seconds for job in jobs)]
    ]
    description = (
        f"Timeline of {count_text(len(use.slots), 'slot')} over {duration_text(total)}, with training in"
        f" {use.share:.0%} of the time."
    )
    spec = _spec(len(use.slots), len(arms), f"time since the first start ({unit_name})", total / unit)
    panel = Panel("", description, spec, {"points": points, "cuts": cuts}, [Label("")])
    numbers = Sheet(["slot", "jobs", "training", "share"], rows, numeric=frozenset({0, 1, 2, 3}))
    joined = len(bars) < sum(map(len, use.slots))
    notes = [
        "A bar is a trial, or trials trained together as a pack; those that failed are framed. Slots are told apart by"
        " when trials started and how long they trained, not by their machine; of a trial that went on from a"
        " checkpoint, what it trained before is not shown.",
        _pauses_note(use.pauses),
        "Neighbouring short trials of a slot are drawn as one bar." if joined else "",
    ]
    return Chart([panel], {number: arms[number] for number in sorted(used)}, notes, numbers, wide=True)


def _pauses_note(pauses: Sequence[Pause]) -> str:
    if not pauses:
        return ""
    return (
        f"At {len(pauses)} dashed line{'' if len(pauses) == 1 else 's'} time is cut out in which nothing trained,"
        f" {duration_text(sum(pause.seconds for pause in pauses))} in all."
    )


def _bars(use: SlotUse, slot: int) -> list[Bar]:
    """Return the bars of a slot; jobs narrower than what can be drawn are joined with those before them."""
    least = use.seconds * len(use.slots) / BARS
    bars: list[Bar] = []
    for job in use.slots[slot]:
        removed = sum(pause.seconds for pause in use.pauses if job.start >= pause.end)
        start, end = job.start - removed, job.end - removed
        last = bars[-1] if bars else None
        if last is not None and last.end - last.start < least and end - last.start < 2 * least:
            bars[-1] = Bar(slot, last.start, max(end, last.end), [*last.jobs, job])
        else:
            bars.append(Bar(slot, start, end, [job]))
    return bars


def _datum(bar: Bar, arm_of: Mapping[str, str], arms: Sequence[str], labels: Mapping[str, str], unit: float) -> Datum:
    trials = [trial_id for job in bar.jobs for trial_id in job.trials]
    heading = labels[trials[0]] if len(trials) == 1 else f"{len(trials)} trials, the first {labels[trials[0]]}"
    seconds = sum(job.seconds for job in bar.jobs)
    failed = any(job.failed for job in bar.jobs)
    datum: Datum = {
        "s": bar.slot + 1,
        "x": round_digits(bar.start / unit),
        "x2": round_digits(bar.end / unit),
        "a": arms.index(arm_of[trials[0]]),
        "h": heading,
        "t": [[0, f"{duration_text(seconds)}{', failed' if failed else ''}"]],
    }
    return datum | ({"f": 1} if failed else {})


def _spec(slots: int, arms: int, x_title: str, total: float) -> Spec:
    x = axis_encoding("x", "x", x_title, 0, total or 1)
    x["x"]["axis"] = {"tickCount": 8, "grid": False}
    step = max(6, min(26, 400 // slots))
    y = {
        "y": {
            "field": "s",
            "type": "ordinal",
            "title": "slot",
            "scale": {"domain": list(range(1, slots + 1)), "paddingInner": 0.15, "paddingOuter": 0.1},
            "axis": {"labelOverlap": True, "grid": False, "ticks": False, "domain": False, "labelAngle": 0},
        }
    }
    bars: Spec = {
        "transform": [VISIBLE],
        "params": [ALONG_X, HOVER],
        "mark": {"type": "bar", "clip": True, "stroke": "var(--surface)", "strokeWidth": 0.5, **TOOLTIP},
        "encoding": {
            **x,
            "x2": {"field": "x2"},
            **y,
            **arm_encoding("color", arms),
            "stroke": {"condition": {"test": "datum.f", "value": "var(--bad)"}, "value": "var(--surface)"},
            "strokeWidth": {"condition": {"test": "datum.f", "value": 2}, "value": 0.5},
        },
    }
    cuts: Spec = {
        "data": {"name": "cuts"},
        "mark": {
            "type": "rule",
            "clip": True,
            "strokeDash": [4, 3],
            "strokeWidth": 1.5,
            "color": "var(--ink)",
            **TOOLTIP,
        },
        "encoding": {"x": x["x"]},
    }
    return layered_view(step * slots, [bars, cuts])
