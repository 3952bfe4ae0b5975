"""How long trials may take, from what trials like them took."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mixup_study.spec.trial import Trial

ALIKE = ("dataset", "train_size", "model", "width", "batch_size", "workers", "precision")
"""Fields that decide how long an epoch takes."""


def seconds(trial: Trial, records: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the seconds ``trial`` may take: the median per epoch of finished trials alike; None without any."""
    alike = [
        record["train_seconds"] / record["epochs"]
        for record in records
        if record["status"] == "done"
        and record["train_seconds"] is not None
        and all(record[name] == getattr(trial, name) for name in ALIKE)
    ]
    return statistics.median(alike) * trial.epochs if alike else None


def estimate(trials: Sequence[Trial], records: Sequence[Mapping[str, Any]], slots: int) -> str:
    """Return one line on the time that ``trials`` may take on ``slots`` slots; 0 where it is unknown how many."""
    by_kind: dict[tuple[Any, ...], float | None] = {}
    total, unknown = 0.0, 0
    for trial in trials:
        kind = (*(getattr(trial, name) for name in ALIKE), trial.epochs)
        if kind not in by_kind:
            by_kind[kind] = seconds(trial, records)
        expected = by_kind[kind]
        if expected is None:
            unknown += 1
        else:
            total += expected * trial.workers
    if unknown == len(trials):
        known = "no finished trial of the same data set and network in the results"
        return f"estimate: none; {known}" if trials else "nothing to run"
    rest = f"; {unknown} trials without a comparable one not counted" if unknown else ""
    side_by_side = f", {span(total / slots)} on {slots} slot{'' if slots == 1 else 's'}" if slots else ""
    devices = ", ".join(sorted({record["device"] for record in records if record["device"]})) or "an unknown device"
    return f"estimate: {span(total)} of training{side_by_side}{rest}, going by trials on {devices}"


def span(seconds: float) -> str:
    """Return a duration in the two largest units that matter: ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
