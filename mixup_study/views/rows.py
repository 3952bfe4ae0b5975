"""What figures and the report call the rows of the table, and what they say of those that they cannot show."""

from __future__ import annotations

from typing import Literal

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import TableRow
from mixup_study.study.labels import key_text, setting_text
from mixup_study.study.preferences import picked_by


def row_label(findings: Findings, row: TableRow) -> str:
    """Return a row's arm, with the setting where the table picks one."""
    picked = setting_text(row.setting) if findings.study.shows_settings else ""
    return f"{row.keys['arm']} ({picked})" if picked else str(row.keys["arm"])


def absence_text(row: TableRow, content: Literal["epochs", "points", "measurements"]) -> str:
    """Return why nothing is shown of a row; ``content`` is what its trials should have kept."""
    if row.done:
        return f"no {content} kept"
    return "failed" if row.failed == row.total else "not run yet"


def pick_note(findings: Findings) -> str:
    """Return what the caption says of the settings shown."""
    preference = picked_by(findings.study.table)
    if preference is None:
        return ""
    return f"Of each arm the setting with the {preference.extreme} {preference.metric} is shown."


def seeds_note(findings: Findings) -> str:
    """Return what the caption says of the seeds where each row shows its first finished trial."""
    seeds = [(row, findings.study.trials[row.trials[0]].seed) for row in findings.rows if row.trials]
    if not seeds:
        return ""
    if len({seed for _, seed in seeds}) == 1:
        return f"Shown are the trials of seed {seeds[0][1]}."
    each = (f"{', '.join(filter(None, (key_text(*key) for key in row.keys.items())))}: {seed}" for row, seed in seeds)
    return f"Shown is the first finished seed of each ({'; '.join(each)})."
