"""Which of several values of a metric goes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mixup_study.study.document import Column, Table


@dataclass(frozen=True)
class Preference:
    """That the lowest or the highest value of a metric goes first."""

    metric: str
    extreme: Literal["lowest", "highest"]

    def rank(self, value: float) -> float:
        """Return a number that is least for the value that goes first."""
        return value if self.extreme == "lowest" else -value


def picked_by(table: Table) -> Preference | None:
    """Return what decides which setting of an arm is shown; None where each arm has one alone."""
    if table.pick is None:
        return None
    return Preference(table.pick.metric, "lowest" if table.pick.lowest is not None else "highest")


def marked_by(column: Column) -> Preference | None:
    """Return which number of a column is marked; None where none is."""
    if column.mark_lowest or column.mark_highest:
        return Preference(column.metric, "lowest" if column.mark_lowest else "highest")
    return None
