"""How long trials may take, by what trials like them took, or by the arithmetic of their networks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Hashable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from mixup_study.catalogue import CATALOGUE
from mixup_study.catalogue.fields import fields_of
from mixup_study.study.labels import count_text, duration_text
from mixup_study.study.trial import Trial

TFLOPS = {"bfloat16": 75.0, "float32": 25.0}
"""10^12 floating-point operations a second that a GPU is assumed to do in training, by a trial's precision.

ResNet-50 at 3,000 images a second, about what is published of an H100, is 74 of them.
"""
TRAINING = 3
"""Forward passes that a forward and a backward pass take."""


def cost_kind(trial: Trial) -> Hashable:
    """Return the task of a trial and the fields that decide how long an epoch takes; of an evaluation, its source's."""
    kind: tuple[Any, ...] = attrgetter("task", *CATALOGUE.fields_with("cost"))(trial)
    return kind


def _recorded_kind(record: Mapping[str, Any], source: Mapping[str, Any] | None) -> Hashable:
    """Return the same of a record, and of that of its source, in which a field that a trial does not take is None."""
    values: list[Any] = [record["task"]]
    for name in CATALOGUE.fields_with("cost"):
        value = source[name] if source is not None and record[name] is None else record[name]
        values.append(CATALOGUE.defaults[name] if value is None else value)
    return tuple(values)


def list_columns() -> list[str]:
    """Return the columns of records that ``seconds_per_epoch`` reads."""
    return ["trial_id", "status", "train_seconds", "epochs", "task", "source", *CATALOGUE.fields_with("cost")]


def seconds_per_epoch(records: Collection[Mapping[str, Any]]) -> dict[Hashable, float]:
    """Return the median seconds per epoch of the finished trials of each kind, or of the whole of an evaluation."""
    by_id = {record["trial_id"]: record for record in records if record["source"] is None}
    alike: dict[Hashable, list[float]] = {}
    for record in records:
        seconds = record["train_seconds"]
        if record["status"] == "done" and seconds is not None and math.isfinite(seconds):
            kind = _recorded_kind(record, by_id.get(record["source"]))
            alike.setdefault(kind, []).append(seconds / (record["epochs"] or 1))
    return {kind: statistics.median(values) for kind, values in alike.items()}


def count_flop(trial: Trial) -> float | None:
    """Return the floating-point operations of training a trial; None where nothing declares them.

    Those of its test set are left out.
    """
    parts = trial.components
    network, dataset = parts.network, parts.dataset
    if network is None or dataset is None or network.arithmetic is None or not trial.trained_epochs:
        return None
    if dataset.examples is None or dataset.pixels is None:
        return None
    if any(field.traits.cost and getattr(trial, field.name) != field.default for field in fields_of(network.fields)):
        return None
    forward = network.arithmetic.gflop * 1e9 * dataset.pixels / network.arithmetic.pixels
    examples: int = trial.train_size or dataset.examples
    return TRAINING * forward * examples * trial.trained_epochs


def _find_comparable(
    trials: Sequence[Trial], records: Collection[Mapping[str, Any]]
) -> tuple[list[tuple[Trial, float]], list[Trial]]:
    """Return the trials that records are comparable to, with their seconds per epoch, and the others."""
    per_epoch = seconds_per_epoch(records)
    expected: list[tuple[Trial, float]] = []
    unknown: list[Trial] = []
    for trial in trials:
        seconds = per_epoch.get(cost_kind(trial)) if per_epoch else None
        if seconds is None:
            unknown.append(trial)
        else:
            expected.append((trial, seconds))
    return expected, unknown


def estimate(
    trials: Sequence[Trial],
    records: Collection[Mapping[str, Any]],
    slots: int,
    epochs_saved: Mapping[str, int] | None = None,
) -> str:
    """Return one line on the time that ``trials`` may take on ``slots`` slots; 0 where it is unknown how many.

    ``epochs_saved`` holds by trial_id the epochs of the checkpoints that they go on from.
    """
    saved = epochs_saved or {}
    expected, unknown = _find_comparable(trials, records)
    if not expected:
        known = "no finished trial of the same data set and network in the results"
        return f"estimate: none; {known}" if trials else "nothing to run"
    total = sum(
        seconds * ((trial.trained_epochs or 1) - saved.get(trial.trial_id, 0)) * trial.processes
        for trial, seconds in expected
    )
    rest = f"; {count_text(len(unknown), 'trial')} without a comparable one not counted" if unknown else ""
    side_by_side = f", {duration_text(round(total / slots))} on {count_text(slots, 'slot')}" if slots else ""
    devices = ", ".join(sorted({record["device"] for record in records if record["device"]})) or "an unknown device"
    return f"estimate: {duration_text(round(total))} of training{side_by_side}{rest}, going by trials on {devices}"


def estimate_gpu_hours(
    trials: Sequence[Trial],
    records: Collection[Mapping[str, Any]],
    tflops: float | None = None,
    price: float | None = None,
    gpus: int = 0,
) -> str | None:
    """Return one line on the GPU-hours of the ``trials`` that no record is comparable to; None where none is counted.

    They follow from the networks' arithmetic alone, at ``tflops`` a GPU or at TFLOPS. ``price`` is of a GPU-hour;
    ``gpus`` train side by side, 0 where it is unknown how many.
    """
    _, unknown = _find_comparable(trials, records)
    counted = [(flop, tflops or TFLOPS[trial.precision]) for trial in unknown if (flop := count_flop(trial))]
    if not counted:
        return None
    seconds = [flop / (rate * 1e12) for flop, rate in counted]
    hours = sum(seconds) / 3600
    cost = f", {hours * price:,.0f} at {price:g} an hour" if price is not None else ""
    side_by_side = ""
    if gpus:  # no trial takes less than itself
        longest = max(max(seconds), sum(seconds) / gpus)
        side_by_side = f", {duration_text(round(longest))} on {count_text(gpus, 'GPU')}"
    each = " to ".join(dict.fromkeys(map(duration_text, (min(seconds), max(seconds)))))
    rates = " or ".join(f"{rate:g}" for rate in dict.fromkeys(rate for _, rate in counted))
    left = f"; {count_text(len(unknown) - len(counted), 'trial')} not counted" if len(unknown) > len(counted) else ""
    return (
        f"estimate by arithmetic, not measured: {hours:,.{0 if hours > 100 else 1}f} GPU-hours{cost}{side_by_side} for"
        f" {count_text(len(counted), 'trial')} ({each} each) at {rates} TFLOP/s a GPU{left}"
    )
