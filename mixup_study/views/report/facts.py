"""How the results were made."""

from __future__ import annotations

from typing import Any

from mixup_study.analysis.efficiency import ended_at
from mixup_study.analysis.findings import Findings
from mixup_study.study.labels import time_text
from mixup_study.views.trial_texts import ORIGINS


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
    ends = [end for record in rows if (end := ended_at(record)) is not None]
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
