"""Curves in block characters, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
HEIGHT = 4
"""Lines of a curve."""
WIDTH = 60
"""Signs of a line at most."""


def draw_curve(values: Sequence[float | None], text: Callable[[float], str]) -> list[str]:
    """Return the lines of a curve, the highest value at the top; ``text`` writes it and the lowest beside them.

    A curve of more values than WIDTH shows the last of every few. What is no finite number leaves a gap.
    """
    columns = _thin(values, WIDTH)
    finite = [value for value in columns if value is not None]
    lowest, highest = min(finite, default=0.0), max(finite, default=0.0)
    steps = HEIGHT * (len(BLOCKS) - 1) - 1
    levels = [
        None if value is None else 1 + round(steps * (value - lowest) / (highest - lowest)) if highest > lowest else 1
        for value in columns
    ]
    labels = text(highest), text(lowest)
    margin = max(map(len, labels))
    lines = []
    for line in reversed(range(HEIGHT)):
        base = line * (len(BLOCKS) - 1)
        signs = "".join(BLOCKS[0 if level is None else min(max(level - base, 0), len(BLOCKS) - 1)] for level in levels)
        label = labels[0] if line == HEIGHT - 1 else labels[1] if line == 0 else ""
        lines.append(f"{label:>{margin}} ┤{signs}".rstrip())
    return lines


def _thin(values: Sequence[float | None], width: int) -> list[float | None]:
    """Return at most ``width`` values, evenly spread, the last among them; None for what is no finite number."""
    finite = [value if value is not None and math.isfinite(value) else None for value in values]
    if len(finite) <= width:
        return finite
    return [finite[(number + 1) * len(finite) // width - 1] for number in range(width)]
