"""What classifiers think of the plane: p(y=1) shaded, arms side by side (Figure 1b)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import TableRow
from mixup_study.views.figures.page import KeyEntry, Page, remove_scale, write_in_middle
from mixup_study.views.figures.print_style import LABEL, line_height, wrap_text
from mixup_study.views.rows import absence_text, pick_note, row_label, seeds_note

SHADES = "Blues"
"""The paper's shading; its luminance falls with p."""
SIDE_BY_SIDE = 5
"""Arms; more of them go on below."""
_SIDES = (2.6, 2.6, 2.2, 1.8, 1.5)
"""Inches of a panel, by the number of arms side by side."""
_BETWEEN, _TICKS, _BELOW, _BAR = 0.14, 0.5, 0.42, 0.12
_CLASSES: tuple[dict[str, Any], ...] = (
    {"marker": "o", "markersize": 2.8, "markerfacecolor": "#007A5A", "markeredgecolor": "white"},
    {"marker": "^", "markersize": 3.2, "markerfacecolor": "#FFB000", "markeredgecolor": "black"},
)
_BOUNDARY = {"color": "black", "linewidth": 0.9}


Extent = tuple[float, float, float, float]
"""Left, right, bottom and top."""


class Plane(NamedTuple):
    """Training points (N, 2) with their labels, and p(y=1) over a grid, one row per ``y``."""

    points: np.ndarray
    labels: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray

    @property
    def extent(self) -> Extent:
        """Return the extent of the grid, whose places are the middles of its cells."""
        (left, right), (bottom, top) = (
            (axis[0] - step, axis[-1] + step)
            for axis in (self.x, self.y)
            for step in [float(axis[-1] - axis[0]) / max(len(axis) - 1, 1) / 2]
        )
        return left, right, bottom, top


def draw(page: Page, findings: Findings) -> str:
    """Put the panels on the page; return what the caption says of them."""
    planes = {trial_id: _plane(table) for trial_id, table in findings.points.items()}
    groups = findings.conditions
    columns = min(max(map(len, groups.values())), SIDE_BY_SIDE)
    side = _SIDES[columns - 1]
    named = any(groups)
    left = _TICKS + (line_height(LABEL) * max(len(wrap_text(title, side, LABEL)) for title in groups) if named else 0)
    lines = [
        (title, group[start : start + columns])
        for title, group in groups.items()
        for start in range(0, len(group), columns)
    ]
    limits = {title: _limits(planes, group) for title, group in groups.items()}
    top, bar_top = 0.0, 0.0
    above: list[list[str]] = []
    for title, line in lines:
        labels = [wrap_text(row_label(findings, row), side, LABEL) for row in line]
        if labels != above:
            room = max(map(len, labels)) * line_height(LABEL)
            for column, label in enumerate(labels):
                middle = left + column * (side + _BETWEEN) + side / 2
                page.text(middle, top + room - len(label) * line_height(LABEL), label, ha="center")
            top += room + 0.05
            bar_top = bar_top or top
        above = labels
        if named:
            page.text_upwards(0, top, side, wrap_text(title, side, LABEL))
        for column, row in enumerate(line):
            axes = page.axes(left + column * (side + _BETWEEN), top, side, side)
            axes.set_xlabel("x₁ (standardised)", labelpad=2)
            if column == 0:
                axes.set_ylabel("x₂ (standardised)", labelpad=2)
            axes.tick_params(labelleft=column == 0)
            plane = _plane_of_row(planes, row)
            if plane is None:
                write_in_middle(axes, absence_text(row, "points"))
            else:
                _panel(axes, plane)
            shared = limits[title]
            if shared is None:
                remove_scale(axes)
                continue
            axes.axis(shared)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(5, integer=True))
        top += side + _BELOW
    shaded = ScalarMappable(Normalize(0, 1), SHADES)
    right = left + columns * (side + _BETWEEN)
    bar = page.axes(right, bar_top, _BAR, side)
    page.figure.colorbar(shaded, cax=bar, label="p(y=1)")
    page.grow(right + _BAR + 0.45, top)
    entries = [
        KeyEntry(f"training point, y={y}", {**look, "linestyle": "", "markersize": 4.5})
        for y, look in enumerate(_CLASSES)
    ]
    page.key([*entries, KeyEntry("p(y=1) = 1/2", _BOUNDARY)], left, top, page.width - left)
    return " ".join(filter(None, [seeds_note(findings), pick_note(findings)]))


def _plane(table: pa.Table) -> Plane | None:
    """Return what a trial kept of the plane; None where it kept no grid."""
    training, grid = (table.filter(pc.equal(table["kind"], kind)) for kind in ("training", "probability"))
    across, up = grid["x"].to_numpy(), grid["y"].to_numpy()
    x, y = np.unique(across), np.unique(up)
    if not len(grid) or len(x) * len(y) != len(grid):
        return None
    order = np.lexsort((across, up))
    points = np.stack([training["x"].to_numpy(), training["y"].to_numpy()], axis=1)
    p = grid["value"].to_numpy()[order].reshape(len(y), len(x))
    return Plane(points, training["value"].to_numpy(), x, y, p)


def _plane_of_row(planes: Mapping[str, Plane | None], row: TableRow) -> Plane | None:
    return planes.get(row.trials[0]) if row.trials else None


def _limits(planes: Mapping[str, Plane | None], rows: Sequence[TableRow]) -> Extent | None:
    """Return what of the plane the panels of some rows show: all that any of them looked at, if any did."""
    extents = [plane.extent for row in rows if (plane := _plane_of_row(planes, row)) is not None]
    if not extents:
        return None
    lefts, rights, bottoms, tops = zip(*extents, strict=True)
    return min(lefts), max(rights), min(bottoms), max(tops)


def _panel(axes: Axes, plane: Plane) -> None:
    axes.imshow(
        plane.p,
        cmap=SHADES,
        vmin=0,
        vmax=1,
        origin="lower",
        extent=plane.extent,
        aspect="auto",
        interpolation="bilinear",
    )
    if plane.p.min() < 0.5 < plane.p.max():
        axes.contour(
            plane.x, plane.y, plane.p, levels=[0.5], colors=_BOUNDARY["color"], linewidths=_BOUNDARY["linewidth"]
        )
    for label, look in enumerate(_CLASSES):
        own = plane.points[plane.labels == label]
        axes.plot(own[:, 0], own[:, 1], linestyle="", markeredgewidth=0.4, rasterized=True, **look)
