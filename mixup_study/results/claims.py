"""The paper's claims, judged by a study's results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mixup_study.spec.metrics import Metric

Verdict = Literal["supported", "contradicted", "undecided"]

SIGNS: dict[Verdict, str] = {"supported": "✓", "contradicted": "✗", "undecided": "?"}


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the trials of one arm, one setting and one cell of the table."""

    arm: str
    keys: Mapping[str, Any]
    """Values of the table's keys other than arm, as in ``TableRow.keys``."""
    setting: Mapping[str, Any]
    """The hyper-parameters compared, as in ``TableRow.setting``; empty where nothing has finished."""
    tried: int
    """How many settings ``table.pick`` chose among; 1 where there was nothing to choose."""
    mean: float | None
    """Mean over the seeds compared, in the unit shown; None where nothing has finished."""


@dataclass(frozen=True)
class Compared:
    """One comparison of a claim: ``first`` is claimed to lie on one side of ``second``."""

    first: Side
    second: Side
    claimed: Literal["lower", "higher"]
    """Where ``first`` lies by the claim."""
    by: float
    """The least distance claimed, in the unit shown; below 0, how far it may lie on the other side."""
    metric: Metric
    quantity: str
    """What the means are of, in a few words: the metric, and what is taken from it, if anything."""
    unit: Literal["points", "modes"]
    """``points`` of percent."""
    label: str
    """What tells this comparison from the others of its claim; empty where it is the only one."""
    difference: float | None
    """Mean of ``first`` less mean of ``second``; None where a side has not finished any trial."""
    interval: tuple[float, float] | None
    """95 % confidence interval of the difference over the seeds; None with one seed."""
    seeds: int
    """Seeds compared: pairs where both sides ran them, else those of the side with fewer."""
    paired: bool
    verdict: Verdict
    reason: str
    """Why undecided without an interval, or ``one seed``; empty where the interval says it all."""


@dataclass(frozen=True)
class Judged:
    """A claim of the paper and what the results say to it."""

    text: str
    section: str
    verdict: Verdict
    """``supported`` if every comparison is, ``contradicted`` if any is, else ``undecided``."""
    compared: tuple[Compared, ...]

    @property
    def sign(self) -> str:
        """Return ✓, ✗ or ?."""
        return SIGNS[self.verdict]
