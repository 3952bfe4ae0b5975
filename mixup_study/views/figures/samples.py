"""What generators drew: per data set a row per arm and a column per iteration (the layout of Figure 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.ticker import MaxNLocator

from mixup_study.analysis.findings import Findings
from mixup_study.views.figures.page import KeyEntry, Page, remove_scale, write_in_middle
from mixup_study.views.figures.print_style import LABEL, SMALL, line_height, wrap_text
from mixup_study.views.rows import absence_text, pick_note, row_label, seeds_note
from mixup_study.views.style import DARK, LIGHT

BEYOND = 1.5
"""How far a panel reaches, in half the extent of the data."""
_SIDE, _SMALL_SIDE = 1.3, 0.95
"""Inches of a panel, and where there are many."""
_ROWS, _COLUMNS = 8, 5
"""More of them are many."""
_BETWEEN, _TICKS, _BELOW = 0.08, 0.5, 0.38
_LOOKS: dict[str, dict[str, Any]] = {
    "data": {"marker": "o", "markersize": 4.2, "color": LIGHT},
    "generator samples": {"marker": "o", "markersize": 1.4, "color": DARK},
}


class Places(NamedTuple):
    """Points of one trial, each (N, 2)."""

    data: np.ndarray
    samples: Mapping[int, np.ndarray]
    """By the iteration that they were drawn after."""


def draw(page: Page, findings: Findings) -> str:
    """Put the panels on the page; return what the caption says of them."""
    rows = findings.rows
    drawn = {trial_id: _places(table) for trial_id, table in findings.points.items()}
    iterations = sorted({iteration for places in drawn.values() for iteration in places.samples})
    side = _SIDE if len(rows) <= _ROWS and len(iterations) <= _COLUMNS else _SMALL_SIDE
    labels = [wrap_text(row_label(findings, row), side + _BETWEEN, LABEL) for row in rows]
    left = max(map(len, labels)) * line_height(LABEL) + _TICKS
    count = max(len(iterations), 1)
    right = left + count * (side + _BETWEEN) - _BETWEEN
    page.grow(right, 0)

    top, outside = 0.0, 0.0
    for title, group in findings.conditions.items():
        if title:
            top = page.text(left, top, wrap_text(title, page.width - left, LABEL), weight="bold") + 0.05
        for column, iteration in enumerate(iterations):
            words = ["iteration", f"{iteration:,}"] if side < _SIDE else [f"iteration {iteration:,}"]
            under = page.text(left + column * (side + _BETWEEN) + side / 2, top, words, SMALL, ha="center")
            if column == count - 1:
                top = under + 0.03
        group_places = [drawn.get(row.trials[0]) if row.trials else None for row in group]
        middle, reach = _extent([places for places in group_places if places is not None])
        for row, places in zip(group, group_places, strict=True):
            page.text_upwards(0, top, side, wrap_text(row_label(findings, row), side + _BETWEEN, LABEL))
            for column in range(count):
                axes = page.axes(left + column * (side + _BETWEEN), top, side, side)
                axes.set_xlim(middle[0] - reach, middle[0] + reach)
                axes.set_ylim(middle[1] - reach, middle[1] + reach)
                for axis in (axes.xaxis, axes.yaxis):
                    axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
                axes.tick_params(labelleft=column == 0, labelbottom=row is group[-1])
                if column == 0:
                    axes.set_ylabel("x₂", labelpad=1)
                if row is group[-1]:
                    axes.set_xlabel("x₁", labelpad=1)
                samples = places.samples.get(iterations[column]) if places is not None and iterations else None
                if not any(group_places):
                    remove_scale(axes)
                if places is None or samples is None:
                    write_in_middle(axes, absence_text(row, "points"))
                    continue
                for points, look in zip((places.data, samples), _LOOKS.values(), strict=True):
                    axes.plot(points[:, 0], points[:, 1], linestyle="", markeredgewidth=0, rasterized=True, **look)
                outside = max(outside, float(np.mean(np.abs(samples - middle).max(1) > reach)))
            top += side + _BETWEEN
        top += _BELOW
    entries = [KeyEntry(label, {**look, "linestyle": "", "markersize": 4.0}) for label, look in _LOOKS.items()]
    page.key(entries, left, top, page.width - left)
    beyond = f"Up to {100 * outside:.2g}% of a panel's samples lie outside of it." if outside else ""
    return " ".join(filter(None, [seeds_note(findings), pick_note(findings), beyond]))


def _places(table: pa.Table) -> Places:
    def of_kind(kind: str) -> tuple[np.ndarray, pa.Table]:
        rows = table.filter(pc.equal(table["kind"], kind))
        return np.stack([rows["x"].to_numpy(), rows["y"].to_numpy()], axis=1), rows

    data, _ = of_kind("data")
    samples, rows = of_kind("sample")
    iterations = rows["iteration"].to_numpy()
    return Places(data, {int(iteration): samples[iterations == iteration] for iteration in np.unique(iterations)})


def _extent(places: Sequence[Places]) -> tuple[np.ndarray, float]:
    """Return the middle of the data and how far panels reach from there to either side."""
    data = np.concatenate([np.zeros((0, 2)), *(own.data for own in places)])
    if not len(data):
        return np.zeros(2), BEYOND
    low, high = data.min(0), data.max(0)
    return (low + high) / 2, BEYOND * (float((high - low).max()) / 2 or 1.0)
