"""Units of metrics, curves and fields, as tables and figures show them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """How a stored number is shown."""

    name: str
    """``%``, or the things that are counted: ``modes``; empty of a plain number."""
    difference: str
    """What a difference of two is counted in: ``points`` of percent."""
    scale: float = 1.0
    """Factor from the stored number to the one shown."""
    decimals: int = 1
    """Decimals in figures, of a mean as shown."""
    highest: float | None = None
    """The greatest value possible, as shown; None without a limit."""

    @property
    def is_count(self) -> bool:
        """Return whether it counts things."""
        return self.name not in ("", "%")

    def scaled(self, value: float) -> float:
        """Return a stored number as it is shown."""
        return self.scale * value

    def text(self, value: float) -> str:
        """Return a stored number in running text: ``12.5%``, ``8``."""
        return f"{self.scaled(value):.1f}%" if self.name == "%" else f"{self.scaled(value):g}"


PERCENT = Unit("%", "points", scale=100, decimals=2, highest=100)
"""Fractions in [0, 1], shown in percent."""
PLAIN = Unit("", "units")
"""Numbers without a unit, such as a loss."""


def count_of(things: str) -> Unit:
    """Return the unit of a number of ``things``, in the plural."""
    return Unit(things, things)
