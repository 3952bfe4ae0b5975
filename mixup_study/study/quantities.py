"""How each measurement is shown: the one place where labels, tables, figures and the report ask about a metric or task.

A quantity is a column of TRIALS or EPOCHS: a fraction in [0, 1], shown in percent, or a number of things.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from mixup_study.catalogue.metrics import COUNTS, HEADLINE, OF_TASK, Metric
from mixup_study.catalogue.rules import TaskName
from mixup_study.study.document import Column, Table

PERCENT = "%"
_EPOCH_LABELS: dict[TaskName, str] = {"classification": "epoch", "gan": "epoch (100 generator steps)"}


@dataclass(frozen=True)
class Quantity:
    """What a measurement is called, its unit, and which way is better."""

    name: str
    """Its column."""
    unit: str
    """PERCENT of a fraction, else what is counted, as ``modes``."""
    noun: str
    """What its values are, as captions call them: ``errors``."""
    better: Literal["lower", "higher"]
    decimals: int
    """Decimals of the number in figures, as shown."""

    @property
    def label(self) -> str:
        """Return its name with its unit, as axes and headings have it: ``test error (%)``."""
        words = self.name.replace("_", " ")
        return f"{words} (%)" if self.unit == PERCENT else words

    @property
    def difference_unit(self) -> str:
        """Return the unit of a difference of two values: ``points`` of percent, or what is counted."""
        return "points" if self.unit == PERCENT else self.unit

    def scaled(self, value: float) -> float:
        """Return a value as it is shown: a fraction in percent, a count as it is."""
        return 100 * value if self.unit == PERCENT else value


@cache
def quantity(name: str) -> Quantity:
    """Return the quantity of a metric, or of the headline of a task."""
    task = next(task for task, metrics in OF_TASK.items() if name == HEADLINE[task] or name in metrics)
    if name in COUNTS or f"{name}_last" in COUNTS:
        return Quantity(name, "modes", "counts", "higher", 1)
    if task == "classification":
        return Quantity(name, PERCENT, "errors", "lower", 2)
    return Quantity(name, PERCENT, "shares", "higher", 2)


def headline(task: TaskName) -> Quantity:
    """Return the quantity of EPOCHS that tells how a trial of ``task`` is doing."""
    return quantity(HEADLINE[task])


def epoch_label(task: TaskName) -> str:
    """Return what an epoch of ``task`` is, as the axis of a learning curve has it."""
    return _EPOCH_LABELS[task]


@dataclass(frozen=True)
class Preference:
    """Which of several values of a metric goes first."""

    metric: Metric
    extreme: Literal["lowest", "highest"]

    def rank(self, value: float) -> float:
        """Return a number that is least for the value that goes first."""
        return value if self.extreme == "lowest" else -value


def picked_by(table: Table) -> Preference | None:
    """Return what decides which setting of an arm is shown; None where each arm has one alone."""
    return None if table.pick is None else Preference(table.pick.lowest, "lowest")


def marked_by(column: Column) -> Preference | None:
    """Return which number of a column is marked; None where none is."""
    return Preference(column.metric, "lowest") if column.mark_lowest else None
