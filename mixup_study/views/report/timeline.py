"""Efficiency: which slot trained what when, from when trials started and how long they trained."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixup_study.analysis.table import Records
from mixup_study.study.labels import cell_labels
from mixup_study.study.study import Study
from mixup_study.views.report.charts import (
    ALONG_X,
    HOVER,
    TOLD,
    VISIBLE,
    Chart,
    Datum,
    Label,
    Numbers,
    Panel,
    Spec,
    along,
    by_arm,
    rounded,
    view,
)
from mixup_study.views.report.texts import duration

IDLE = 60.0
"""Seconds without any training from which on the time is cut out, or a tenth of the longest job if that is more."""
BARS = 2_000
"""Drawn in all; where there are more jobs, neighbours in a slot are drawn as one."""


@dataclass
class Job:
    """What one process trained: a trial or a pack. Times are seconds since the first start."""

    trials: list[str]
    start: float
    seconds: float
    workers: int
    failed: bool

    @property
    def end(self) -> float:
        """Return when it ended."""
        return self.start + self.seconds


@dataclass(frozen=True)
class Bar:
    """Neighbouring jobs in a slot, most often one; times as of the axis, cuts taken out."""

    slot: int
    start: float
    end: float
    jobs: Sequence[Job]


@dataclass(frozen=True)
class Cut:
    """Time in which nothing trained, taken out at ``at`` seconds of the axis."""

    at: float
    seconds: float
    end: float
    """Seconds since the first start, of when something trained again."""


@dataclass(frozen=True)
class Timeline:
    """The figure, and how well the slots were used."""

    chart: Chart
    share: float
    """Of the time of all slots shown in which they trained, in [0, 1]."""
    train_seconds: float
    """Of all slots together."""
    slots: int
    seconds: float
    """From the first start to the last end, cuts taken out."""

    @property
    def text(self) -> str:
        """Return how well the slots were used, as ``run`` does of its own."""
        return (
            f"{duration(self.train_seconds)} of training in {self.slots} slot{'' if self.slots == 1 else 's'}"
            f" over {duration(self.seconds)}: they trained {self.share:.0%} of the time."
        )


def timeline(study: Study, records: Records) -> Timeline | None:
    """Return the timeline of the study's trials; None where none has a start and a time."""
    jobs = _jobs(study, records)
    if not jobs:
        return None
    slots = _slots(jobs)
    cuts, total = _cuts(jobs)
    bars = [bar for slot, own in enumerate(slots) for bar in _bars(slot, own, cuts, total, len(slots))]
    labels = cell_labels(study)
    arm_of = {cell.trial.trial_id: cell.arm for cell in study.cells}
    arms = list(dict.fromkeys(cell.arm for cell in study.cells))
    used = {arms.index(arm_of[trial_id]) for job in jobs for trial_id in job.trials}
    unit_name, unit = ("h", 3600.0) if total > 3 * 3600 else ("min", 60.0) if total > 180 else ("s", 1.0)
    points = [_datum(bar, arm_of, arms, labels, unit) for bar in bars]
    marks: list[Datum] = [
        {"x": rounded(cut.at / unit), "h": "nothing trained", "t": [[0, duration(cut.seconds)]]} for cut in cuts
    ]
    trained = sum(job.seconds * job.workers for job in jobs)
    share = trained / (len(slots) * total) if total else 0.0
    notes = [
        "A bar is a trial, or trials trained together as a pack; those that failed are framed. Slots are told apart by"
        " when trials started and how long they trained, not by their machine; of a trial that went on from a"
        " checkpoint, what it trained before is not shown.",
        f"At {len(cuts)} dashed line{'' if len(cuts) == 1 else 's'} time is cut out in which nothing trained,"
        f" {duration(sum(cut.seconds for cut in cuts))} in all."
        if cuts
        else "",
        "Neighbouring short trials of a slot are drawn as one bar." if len(bars) < sum(map(len, slots)) else "",
    ]
    description = f"Timeline of {len(slots)} slots over {duration(total)}: they trained {share:.0%} of the time."
    rows = [
        [str(slot + 1), str(len(own)), duration(seconds), f"{seconds / total:.0%}" if total else ""]
        for slot, own in enumerate(slots)
        for seconds in [sum(job.seconds for job in own)]
    ]
    numbers = Numbers(["slot", "jobs", "training", "share"], rows, frozenset({0, 1, 2, 3}))
    spec = _spec(len(slots), len(arms), f"time since the first start ({unit_name})", total / unit)
    panel = Panel("", description, spec, {"points": points, "cuts": marks}, [Label("")])
    key = {number: arms[number] for number in sorted(used)}
    return Timeline(Chart([panel], key, notes, numbers, wide=True), share, trained, len(slots), total)


def _jobs(study: Study, records: Records) -> list[Job]:
    """Return the jobs by their start; trials of a pack have started together."""
    found: dict[tuple[Any, ...], Job] = {}
    rows = [(trial_id, record) for trial_id in study.trials if (record := records.get(trial_id)) is not None]
    starts = [record["started_at"] for _, record in rows if record["started_at"] is not None]
    if not starts:
        return []
    first = min(starts)
    for trial_id, record in rows:
        if record["started_at"] is None or not record["train_seconds"]:
            continue
        size = record["pack_size"] or 1
        seconds = (record["train_seconds"] - (record["resumed_seconds"] or 0)) * size
        key = (record["started_at"], size, trial_id if size == 1 else record["device"])
        start = (record["started_at"] - first).total_seconds()
        workers = study.trials[trial_id].workers
        job = found.setdefault(key, Job([], start, seconds, workers, False))
        job.trials.append(trial_id)
        job.seconds = max(job.seconds, seconds)
        job.failed = job.failed or record["status"] == "failed"
    return sorted(found.values(), key=lambda job: (job.start, job.trials))


def _slots(jobs: Sequence[Job]) -> list[list[Job]]:
    """Return the jobs of each slot: a job takes the first that is free, and one of several workers as many."""
    slots: list[list[Job]] = []
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for job in jobs:
        while busy and busy[0][0] <= job.start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        for _ in range(job.workers):
            slot = heapq.heappop(free) if free else len(slots)
            if slot == len(slots):
                slots.append([])
            slots[slot].append(job)
            heapq.heappush(busy, (job.end, slot))
    return slots


def _cuts(jobs: Sequence[Job]) -> tuple[list[Cut], float]:
    """Return where time is cut out, and how long the rest of it is."""
    least = max(IDLE, max(job.seconds for job in jobs) / 10)
    cuts: list[Cut] = []
    end = removed = 0.0
    for job in jobs:
        if job.start - end >= least:
            cuts.append(Cut(end - removed, job.start - end, job.start))
            removed += job.start - end
        end = max(end, job.end)
    return cuts, end - removed


def _bars(slot: int, jobs: Sequence[Job], cuts: Sequence[Cut], total: float, slots: int) -> list[Bar]:
    """Return the bars of a slot; jobs narrower than what can be drawn are joined with those before them."""
    least = total * slots / BARS
    found: list[Bar] = []
    for job in jobs:
        removed = sum(cut.seconds for cut in cuts if job.start >= cut.end)
        start, end = job.start - removed, job.end - removed
        last = found[-1] if found else None
        if last is not None and last.end - last.start < least and end - last.start < 2 * least:
            found[-1] = Bar(slot, last.start, max(end, last.end), [*last.jobs, job])
        else:
            found.append(Bar(slot, start, end, [job]))
    return found


def _datum(bar: Bar, arm_of: Mapping[str, str], arms: Sequence[str], labels: Mapping[str, str], unit: float) -> Datum:
    trials = [trial_id for job in bar.jobs for trial_id in job.trials]
    heading = labels[trials[0]] if len(trials) == 1 else f"{len(trials)} trials, the first {labels[trials[0]]}"
    seconds = sum(job.seconds for job in bar.jobs)
    failed = any(job.failed for job in bar.jobs)
    datum: Datum = {
        "s": bar.slot + 1,
        "x": rounded(bar.start / unit),
        "x2": rounded(bar.end / unit),
        "a": arms.index(arm_of[trials[0]]),
        "h": heading,
        "t": [[0, f"{duration(seconds)}{', failed' if failed else ''}"]],
    }
    return datum | ({"f": 1} if failed else {})


def _spec(slots: int, arms: int, x_title: str, total: float) -> Spec:
    x = along("x", "x", x_title, 0, total or 1)
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
        "mark": {"type": "bar", "clip": True, "stroke": "var(--surface)", "strokeWidth": 0.5, **TOLD},
        "encoding": {
            **x,
            "x2": {"field": "x2"},
            **y,
            **by_arm("color", arms),
            "stroke": {"condition": {"test": "datum.f", "value": "var(--bad)"}, "value": "var(--surface)"},
            "strokeWidth": {"condition": {"test": "datum.f", "value": 2}, "value": 0.5},
        },
    }
    cuts: Spec = {
        "data": {"name": "cuts"},
        "mark": {"type": "rule", "clip": True, "strokeDash": [4, 3], "strokeWidth": 1.5, "color": "var(--ink)", **TOLD},
        "encoding": {"x": x["x"]},
    }
    return view(step * slots, [bars, cuts])
