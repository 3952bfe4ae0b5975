"""What figures show: the rows of the study's table, what each is called, and what its trials kept."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixup_study.analysis.table import TableRow
from mixup_study.study.labels import key_text, setting_text, title_text
from mixup_study.study.study import Study


def by_condition(study: Study, rows: Iterable[TableRow]) -> dict[str, list[TableRow]]:
    """Return the rows that differ in their arm alone, by what they have in common, as ``label noise 20%``."""
    others = [name for name in study.table.keys if name != "arm"]
    found: dict[str, list[TableRow]] = {}
    for row in rows:
        common = ", ".join(f"{title_text(name)} {key_text(name, row.keys[name])}" for name in others)
        found.setdefault(common, []).append(row)
    return found


def row_label(study: Study, row: TableRow) -> str:
    """Return a row's arm, with the setting where the table picks one."""
    picked = setting_text(row.setting) if study.table.pick else ""
    return f"{row.keys['arm']} ({picked})" if picked else str(row.keys["arm"])


def absence(row: TableRow, kept: str) -> str:
    """Return why nothing is shown of a row; ``kept`` is what its trials should have kept."""
    if row.done:
        return f"no {kept} kept"
    return "failed" if row.failed == row.total else "not run yet"


def picked_note(study: Study) -> str:
    """Return what the caption says of the settings shown."""
    if study.table.pick is None:
        return ""
    return f"Of each arm the setting with the lowest {study.table.pick.lowest} is shown."


def first_seeds_note(study: Study, rows: Sequence[TableRow]) -> str:
    """Return what the caption says of the seeds where each row shows its first finished trial."""
    seeds = [(row, study.trials[row.trials[0]].seed) for row in rows if row.trials]
    if not seeds:
        return ""
    if len({seed for _, seed in seeds}) == 1:
        return f"Shown are the trials of seed {seeds[0][1]}."
    each = (f"{', '.join(key_text(*key) for key in row.keys.items())}: {seed}" for row, seed in seeds)
    return f"Shown is the first finished seed of each ({'; '.join(each)})."


def by_trial(table: pa.Table, trial_ids: Collection[str], order: str) -> dict[str, pa.Table]:
    """Return the rows of each of some trials, sorted by the column ``order``; trials without any are left out."""
    rows = table.filter(pc.is_in(table["trial_id"], value_set=pa.array(list(trial_ids), pa.string())))
    rows = rows.sort_by([("trial_id", "ascending"), (order, "ascending")])
    ids = rows["trial_id"].to_numpy(zero_copy_only=False)
    starts = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)] if len(ids) else []
    return {ids[start]: rows.slice(start, end - start) for start, end in itertools.pairwise(starts)}
