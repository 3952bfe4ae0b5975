"""How long trials may take, from what trials like them took."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.labels import duration_text
from mixup_study.study.trial import Trial


def _kind(trial: Trial) -> tuple[Any, ...]:
    """Return the task of a trial and the fields that decide how long an epoch takes; of an evaluation, its source's."""
    return (trial.task, *(getattr(trial, name) for name in CATALOGUE.fields_with("cost")))


def _recorded_kind(record: Mapping[str, Any], source: Mapping[str, Any] | None) -> tuple[Any, ...]:
    """Return the same of a record, and of that of its source, in which a field that a trial does not take is None."""
    values: list[Any] = [record["task"]]
    for name in CATALOGUE.fields_with("cost"):
        value = source[name] if source is not None and record[name] is None else record[name]
        values.append(CATALOGUE.defaults[name] if value is None else value)
    return tuple(values)


def _seconds_per_epoch(records: Collection[Mapping[str, Any]]) -> dict[tuple[Any, ...], float]:
    """Return the median seconds per epoch of the finished trials of each kind, or of the whole of an evaluation."""
    by_id = {record["trial_id"]: record for record in records if record["source"] is None}
    alike: dict[tuple[Any, ...], list[float]] = {}
    for record in records:
        if record["status"] == "done" and record["train_seconds"] is not None:
            kind = _recorded_kind(record, by_id.get(record["source"]))
            alike.setdefault(kind, []).append(record["train_seconds"] / (record["epochs"] or 1))
    return {kind: statistics.median(values) for kind, values in alike.items()}


def estimate(trials: Sequence[Trial], records: Collection[Mapping[str, Any]], slots: int) -> str:
    """Return one line on the time that ``trials`` may take on ``slots`` slots; 0 where it is unknown how many."""
    per_epoch = _seconds_per_epoch(records)
    total, unknown = 0.0, 0
    for trial in trials:
        expected = per_epoch.get(_kind(trial))
        if expected is None:
            unknown += 1
        else:
            total += expected * (trial.trained_epochs or 1) * trial.processes
    if unknown == len(trials):
        known = "no finished trial of the same data set and network in the results"
        return f"estimate: none; {known}" if trials else "nothing to run"
    rest = f"; {unknown} trials without a comparable one not counted" if unknown else ""
    side_by_side = (
        f", {duration_text(round(total / slots))} on {slots} slot{'' if slots == 1 else 's'}" if slots else ""
    )
    devices = ", ".join(sorted({record["device"] for record in records if record["device"]})) or "an unknown device"
    return f"estimate: {duration_text(round(total))} of training{side_by_side}{rest}, going by trials on {devices}"
