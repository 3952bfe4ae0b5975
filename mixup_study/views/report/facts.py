"""How the results were made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mixup_study.analysis.table import Records
from mixup_study.study.study import Study
from mixup_study.views.report.texts import moment

MADE = {
    "device": "device",
    "code_version": "code",
    "python_version": "Python",
    "torch_version": "PyTorch",
    "ray_version": "Ray",
}


def facts(study: Study, records: Records, reason: str) -> dict[str, str]:
    """Return what is to be known of the records of the study, by name; several values stand beside their counts."""
    found = {"study": study.name, "profile": f"{study.profile} ({reason})"}
    found["changed with --set"] = "; ".join(study.overrides) or "nothing"
    slot = study.resources
    found["slot"] = f"{slot.cpus:g} CPU, {slot.gpus:g} GPU"
    rows = [record for trial_id in study.trials if (record := records.get(trial_id)) is not None]
    for column, name in MADE.items():
        found[name] = _counted([record[column] for record in rows])
    ends = [
        record["started_at"] + timedelta(seconds=seconds * (record["pack_size"] or 1))
        for record in rows
        if record["started_at"] is not None
        for seconds in [(record["train_seconds"] or 0) - (record["resumed_seconds"] or 0)]
    ]
    if ends:
        found["first trial started"] = moment(min(record["started_at"] for record in rows if record["started_at"]))
        found["last trial ended"] = moment(max(ends))
    return found


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
