"""On which kinds of machine trials ran: each kind rounds sums in its own way, so that numbers differ between kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mixup_study.analysis.table import Records, TableRow


def describe_machine(record: Mapping[str, Any]) -> str | None:
    """Return which kind of machine a trial ran on, by what decides how it rounds; None where that is not recorded."""
    device, instructions = record["device"], record["instruction_set"]
    if device is None or instructions is None:
        return None
    processor = f"{record['cpu_model']} ({instructions})" if device.startswith("cpu") else device
    return f"{processor}, PyTorch {record['torch_version']}"


def list_machines(trial_ids: Iterable[str], records: Records) -> list[str]:
    """Return the kinds of machine that trials ran on, each once, as far as they are recorded."""
    described = (describe_machine(records[trial_id]) for trial_id in trial_ids if trial_id in records)
    return list(dict.fromkeys(kind for kind in described if kind is not None))


def find_mixed_rows(rows: Sequence[TableRow], records: Records) -> dict[TableRow, list[str]]:
    """Return the rows of a table whose trials ran on several kinds of machine, with the kinds."""
    kinds = {row: list_machines(row.trials, records) for row in rows}
    return {row: own for row, own in kinds.items() if len(own) > 1}
