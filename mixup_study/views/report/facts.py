"""How the results were made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mixup_study.analysis.findings import Findings
from mixup_study.study.labels import time_text

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


def list_facts(findings: Findings) -> dict[str, str]:
    """Return what is to be known of the records of the study, by name; several values stand beside their counts."""
    study = findings.study
    facts = {"study": study.name, "profile": f"{study.profile} ({findings.reason})"}
    facts["changed with --set"] = "; ".join(study.overrides) or "nothing"
    slot = study.resources
    facts["slot"] = f"{slot.cpus:g} CPU, {slot.gpus:g} GPU"
    rows = [record for trial_id in study.trials if (record := findings.records.get(trial_id)) is not None]
    for column, name in ORIGINS.items():
        facts[name] = _counted([record[column] for record in rows])
    ends = [
        record["started_at"] + timedelta(seconds=seconds * (record["pack_size"] or 1))
        for record in rows
        if record["started_at"] is not None
        for seconds in [(record["train_seconds"] or 0) - (record["resumed_seconds"] or 0)]
    ]
    if ends:
        facts["first trial started"] = time_text(min(record["started_at"] for record in rows if record["started_at"]))
        facts["last trial ended"] = time_text(max(ends))
    return facts


def _counted(values: list[Any]) -> str:
    """Return the distinct values, the most frequent first."""
    counts = {value: values.count(value) for value in dict.fromkeys(values)}
    if not counts:
        return "no records yet"
    texts = {value: "not recorded" if value is None else str(value) for value in counts}
    if len(counts) == 1:
        return next(iter(texts.values()))
    order = sorted(counts, key=lambda value: (-counts[value], texts[value]))
    return ", ".join(f"{texts[value]} ({counts[value]} trials)" for value in order)
