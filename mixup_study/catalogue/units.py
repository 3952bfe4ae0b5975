"""Units of metrics, curves and fields, as tables and figures show them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """How a stored number is shown."""

    name: str
    """What axes and headings say: ``%``, ``modes``."""
    difference: str
    """What a difference of two is counted in: ``points``."""
    difference_text: str
    """The same in full: ``points of percent``."""
    scale: float = 1.0
    """Factor from the stored number to the one shown."""
    suffix: str = ""
    """What stands behind a number in running text."""
    decimals: int | None = 1
    """Decimals in running text; None for as many as the number has."""
    highest: float | None = None
    """The greatest value possible, as shown; None without a limit."""

    def text(self, value: float) -> str:
        """Return a stored number in running text: ``12.5%``, ``8``."""
        shown = self.scale * value
        number = f"{shown:g}" if self.decimals is None else f"{shown:.{self.decimals}f}"
        return f"{number}{self.suffix}"


PERCENT = Unit("%", "points", "points of percent", scale=100, suffix="%", highest=100)
"""Fractions in [0, 1], shown in percent."""


def count_of(things: str) -> Unit:
    """Return the unit of a number of ``things``, in the plural."""
    return Unit(things, things, things, decimals=None)
