"""What a record says of its trial, as texts by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.components import choose_components
from mixup_study.study.labels import duration_text, plain, time_text

ORIGINS = {
    "device": "device",
    "cpu_model": "CPU",
    "instruction_set": "instruction set",
    "code_version": "code",
    "python_version": "Python",
    "torch_version": "PyTorch",
    "numpy_version": "NumPy",
    "ray_version": "Ray",
}
"""Columns that say how a record came about, and what each is called."""


def with_defaults(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's fields, at their defaults where it is older than a field that its trial takes.

    What a trial does not take is None.
    """
    fields = {name: record[name] for name in CATALOGUE.fields}
    kinds = {kind: fields[kind] for kind in CATALOGUE.kinds if fields[kind] is not None}
    try:
        taken = choose_components(kinds).fields
    except ValidationError:  # a plugin's components, which this process has not loaded
        return fields
    return fields | {name: CATALOGUE.defaults[name] for name in taken if fields[name] is None}


def list_fields(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that a record's trial takes and has a value for."""
    return {name: plain(value) for name, value in with_defaults(record).items() if value is not None}


def list_numbers(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a record's trial measured, each number with its unit."""
    measured = (metric for metric in CATALOGUE.metrics.values() if record[metric.name] is not None)
    return {metric.title: metric.unit.text(record[metric.name]) for metric in measured}


def list_last_values(epochs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the last value of each curve of a trial's ``epochs``, which are in order."""
    if not epochs:
        return {}
    last = epochs[-1]
    curves = (curve for curve in CATALOGUE.curves.values() if last[curve.name] is not None)
    texts = {f"{curve.title} (last epoch)": curve.unit.text(last[curve.name]) for curve in curves}
    return {"epochs": str(last["epoch"]), **texts}


def list_origins(record: Mapping[str, Any]) -> dict[str, str]:
    """Return when and on what a trial was trained, and how long that took."""
    origins = {"started": "" if record["started_at"] is None else time_text(record["started_at"])}
    if record["train_seconds"] is not None:
        origins["trained for"] = duration_text(float(record["train_seconds"]))
    if (record["pack_size"] or 1) > 1:
        origins["in a pack of"] = str(record["pack_size"])
    origins |= {title: record[name] or "" for name, title in ORIGINS.items()}
    return {name: text for name, text in origins.items() if text}
