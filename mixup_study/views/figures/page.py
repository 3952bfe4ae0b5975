"""A page that panels are put on by inches, with a title over them and a caption below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Affine2D

from mixup_study.views.figures.print_style import LABEL, MUTED, SMALL, TITLE, line_height, text_width, wrap_text

EDGE = 0.12
"""Inches left free around everything."""
GAP = 0.14
"""Inches between parts that stand below each other."""
LEAST_WIDTH = 5.5
"""Inches of a page with little on it: its caption still has lines of some length."""
_SAMPLE = 0.34
_BETWEEN = 0.18


class KeyEntry(NamedTuple):
    """An entry of a key: a line or marker as ``Line2D`` takes it, and what it stands for."""

    label: str
    style: dict[str, Any] | None
    """None of what is not shown."""


class Page:
    """A figure that grows to the right and downwards: positions are inches from the upper left of its panels."""

    def __init__(self) -> None:
        self.figure = Figure()
        self._placed = Affine2D()
        self._inches = self._placed + self.figure.dpi_scale_trans
        self._axes: list[tuple[Axes, tuple[float, float, float, float]]] = []
        self.width = LEAST_WIDTH
        self._height = 0.0

    def grow(self, right: float, bottom: float) -> None:
        """Make the page reach so far at least."""
        self.width, self._height = max(self.width, right), max(self._height, bottom)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return new axes; what stands around them must find its place."""
        axes = self.figure.add_axes((0, 0, 1, 1), label=str(len(self._axes)))
        self._axes.append((axes, (left, top, width, height)))
        self.grow(left + width, top + height)
        return axes

    def text(self, left: float, top: float, lines: Sequence[str], size: float = LABEL, **look: Any) -> float:
        """Write lines below each other and return where they end; ``look`` is what matplotlib's Text takes."""
        for number, line in enumerate(lines, start=1):
            baseline = top + number * line_height(size) - 0.3 * size / 72
            self.figure.text(left, baseline, line, size=size, transform=self._inches, **look)
        return top + len(lines) * line_height(size)

    def text_upwards(self, left: float, top: float, height: float, lines: Sequence[str]) -> None:
        """Write lines from the bottom to the top in the middle of ``height``."""
        middle = top + height / 2
        text = self.figure.text(left, middle, "\n".join(lines), rotation=90, ha="left", va="center", ma="center")
        text.set_transform(self._inches)

    def key(self, entries: Sequence[KeyEntry], left: float, top: float, width: float) -> float:
        """Write a key in as many columns as fit and return where it ends."""
        widest = max(text_width(entry.label, SMALL) for entry in entries)
        columns = max(1, min(len(entries), int((width + _BETWEEN) / (_SAMPLE + widest + _BETWEEN))))
        per_column = math.ceil(len(entries) / columns)
        bottom = top
        for column in range(columns):
            x = left + column * (_SAMPLE + widest + _BETWEEN)
            y = top
            for entry in entries[column * per_column : (column + 1) * per_column]:
                if entry.style is not None:
                    xs = (x, x + _SAMPLE / 2 - 0.04, x + _SAMPLE - 0.08)
                    line = Line2D(xs, [y + line_height(SMALL) / 2] * 3, transform=self._inches, **entry.style)
                    line.set_markevery([1])
                    self.figure.add_artist(line)
                colour = "black" if entry.style is not None else MUTED
                y = self.text(x + _SAMPLE, y, wrap_text(entry.label, width - _SAMPLE, SMALL), SMALL, color=colour)
            bottom = max(bottom, y)
        self.grow(left + min(width, columns * (_SAMPLE + widest + _BETWEEN) - _BETWEEN), bottom)
        return bottom

    def finish(self, title: str, caption: str) -> Figure:
        """Return the figure, with its title and caption wrapped to the width of what stands on it."""
        title_lines, caption_lines = wrap_text(title, self.width, TITLE), wrap_text(caption, self.width, SMALL)
        above = EDGE + len(title_lines) * line_height(TITLE) + GAP
        self.text(0, EDGE - above, title_lines, TITLE)
        bottom = self.text(0, self._height + GAP, caption_lines, SMALL) + EDGE
        width, height = self.width + 2 * EDGE, above + bottom
        self.figure.set_size_inches(width, height)
        self._placed.scale(1, -1).translate(EDGE, height - above)
        for axes, (x, y, wide, high) in self._axes:
            axes.set_position(((EDGE + x) / width, (height - above - y - high) / height, wide / width, high / height))
        return self.figure


def write_in_middle(axes: Axes, text: str) -> None:
    """Write in the middle of empty axes why they are empty."""
    axes.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, size=SMALL, transform=axes.transAxes)


def remove_scale(axes: Axes) -> None:
    """Take the ticks off axes for which no result tells a scale."""
    axes.set(xticks=(), yticks=())
