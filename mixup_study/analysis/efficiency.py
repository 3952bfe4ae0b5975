"""How well the slots of a study were used, from when trials started and how long they trained."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mixup_study.analysis.table import Records
from mixup_study.study.labels import count_text, duration_text
from mixup_study.study.study import Study

IDLE = 60.0
"""Seconds without any training from which on they are a pause, or a tenth of the longest job if that is more."""


@dataclass
class RecordedJob:
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
class Pause:
    """Time in which nothing trained. Times are seconds since the first start."""

    seconds: float
    end: float
    """When something trained again."""
    place: float
    """Where it is cut out: its start, less all earlier pauses."""


@dataclass(frozen=True)
class SlotUse:
    """Which slot trained which jobs when. Slots are told apart by the jobs' times alone."""

    slots: Sequence[Sequence[RecordedJob]]
    pauses: Sequence[Pause]
    seconds: float
    """From the first start to the last end, less the pauses."""
    train_seconds: float
    """Of all slots together."""

    @property
    def share(self) -> float:
        """Return in which part of the time of all slots they trained, in [0, 1]."""
        return self.train_seconds / (len(self.slots) * self.seconds) if self.seconds else 0.0

    @property
    def text(self) -> str:
        """Return how well the slots were used, as ``run`` does of its own."""
        time = SlotTime(len(self.slots), 0.0)
        time.advance(self.seconds)
        return efficiency_text(self.train_seconds, time)


class SlotTime:
    """How many slots there were, and for how long. Times are in seconds of one clock."""

    def __init__(self, slots: int, now: float) -> None:
        """Begin with so many slots."""
        self._slots = slots
        self._begun = self._at = now
        self.least = self.most = slots
        self.slot_seconds = 0.0
        """Seconds of all slots together, until the last call."""

    @property
    def seconds(self) -> float:
        """Return the seconds from the first call to the last."""
        return self._at - self._begun

    def advance(self, now: float) -> None:
        """Count the time that has passed."""
        self.slot_seconds += self._slots * (now - self._at)
        self._at = now

    def resize(self, slots: int, now: float) -> None:
        """Count the time that has passed; there are so many slots from now on."""
        self.advance(now)
        self._slots = slots
        self.least, self.most = min(self.least, slots), max(self.most, slots)


def efficiency_text(train_seconds: float, time: SlotTime) -> str:
    """Return in which part of their time slots trained: ``35.2 s of training in 2 slots x 20 s = 88%``.

    Where their number changed: ``35.2 s of training in 1 to 2 slots over 30 s = 80%``.
    """
    share = train_seconds / time.slot_seconds if time.slot_seconds else 0.0
    slots = count_text(time.most, "slot")
    slots = f"{slots} x" if time.least == time.most else f"{time.least} to {slots} over"
    return f"{duration_text(train_seconds)} of training in {slots} {duration_text(time.seconds)} = {share:.0%}"


def ended_at(record: Mapping[str, Any]) -> datetime | None:
    """Return when the process ended a trial that recorded it, or its pack; None of a record without a start."""
    if record["started_at"] is None:
        return None
    seconds = (record["train_seconds"] or 0) - (record["resumed_seconds"] or 0)
    end: datetime = record["started_at"] + timedelta(seconds=seconds * (record["pack_size"] or 1))
    return end


def slot_use(study: Study, records: Records) -> SlotUse | None:
    """Return how the slots were used; None where no trial has a start and a time."""
    jobs = _jobs(study, records)
    if not jobs:
        return None
    pauses, seconds = _pauses(jobs)
    return SlotUse(_slots(jobs), pauses, seconds, sum(job.seconds * job.workers for job in jobs))


def _jobs(study: Study, records: Records) -> list[RecordedJob]:
    """Return the jobs by their start; trials of a pack have started together."""
    jobs: dict[tuple[Any, ...], RecordedJob] = {}
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
        workers = study.trials[trial_id].processes
        job = jobs.setdefault(key, RecordedJob([], start, seconds, workers, False))
        job.trials.append(trial_id)
        job.seconds = max(job.seconds, seconds)
        job.failed = job.failed or record["status"] == "failed"
    return sorted(jobs.values(), key=lambda job: (job.start, job.trials))


def _slots(jobs: Sequence[RecordedJob]) -> list[list[RecordedJob]]:
    """Return the jobs of each slot: a job takes the first that is free, and one of several workers as many."""
    slots: list[list[RecordedJob]] = []
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


def _pauses(jobs: Sequence[RecordedJob]) -> tuple[list[Pause], float]:
    """Return the pauses, and how long the rest of the time is."""
    least = max(IDLE, max(job.seconds for job in jobs) / 10)
    pauses: list[Pause] = []
    end = removed = 0.0
    for job in jobs:
        if job.start - end >= least:
            pauses.append(Pause(job.start - end, job.start, end - removed))
            removed += job.start - end
        end = max(end, job.end)
    return pauses, end - removed
