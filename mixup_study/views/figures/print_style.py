"""How static figures look: matplotlib's settings, lines, and the sizes of type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from mixup_study.views.style import COLOURS, DASHES, MARKERS

DPI = 150
"""Of the PNG, and of what an SVG holds as an image."""

TITLE, LABEL, SMALL = 10.0, 8.0, 7.0
"""Sizes of type in points: the title, what stands at axes, ticks and the caption."""

MUTED = "#666666"
"""Of what stands for something that is not there."""

_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": LABEL,
    "axes.titlesize": LABEL,
    "axes.labelsize": LABEL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "text.hinting": "no_hinting",  # letters as wide in the PNG as wrap_text() takes them to be
    "text.parse_math": False,  # an arm may have a $ in its name
    "svg.fonttype": "none",  # text that can be searched and edited
    "svg.hashsalt": "mixup_study",  # ids that are the same in every drawing
}


@contextmanager
def apply_style() -> Iterator[None]:
    """Draw or save in the project's style, whatever the user's own; matplotlib's settings are as before after it."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def line_style(index: int) -> dict[str, Any]:
    """Return the look of the line of arm ``index``; dash and marker together tell 36 apart without their colours."""
    dash = DASHES[index % len(DASHES)]
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": (0, dash) if dash else "-",
        "marker": MARKERS[index % len(MARKERS)],
        "linewidth": 1.2,
        "markersize": 3.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.4,
    }


def line_height(size: float) -> float:
    """Return the height of a line of type in inches."""
    return 1.35 * size / 72


@cache
def text_width(text: str, size: float) -> float:
    """Return the width of a line in inches."""
    font = FontProperties(family="DejaVu Sans", size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72


def wrap_text(text: str, width: float, size: float) -> list[str]:
    """Return the lines of ``text``, each at most ``width`` inches wide; a word that is wider is broken."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if text_width(longer, size) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while text_width(line, size) > width and len(line) > 1:
            fits = next(end for end in range(len(line) - 1, 0, -1) if end == 1 or text_width(line[:end], size) <= width)
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line] if line else lines
