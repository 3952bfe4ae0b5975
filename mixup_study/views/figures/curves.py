"""How trials did over their epochs: a line per arm, a panel per condition (the form of Figure 3b)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mixup_study.analysis.table import TableRow
from mixup_study.catalogue.metrics import HEADLINE
from mixup_study.catalogue.rules import TaskName
from mixup_study.store.store import ResultStore
from mixup_study.study.study import Study
from mixup_study.views.figures.page import GAP, KeyEntry, Page, say, without_scale
from mixup_study.views.figures.shown import absence, by_condition, by_trial, picked_note, row_label
from mixup_study.views.figures.style import LABEL, line_height, line_style, wrapped

MARKS = 7
"""Markers along a line."""
MANY = 8
"""Lines from which on a panel is made taller."""
Y_LABEL: dict[TaskName, str] = {"classification": "test error (%)", "gan": "modes covered"}
X_LABEL: dict[TaskName, str] = {"classification": "epoch", "gan": "epoch (100 generator steps)"}
"""Of the axes, by what the task measures."""
_SIZES = ((5.0, 3.0), (3.5, 2.6), (2.55, 2.3))
"""Width and height of a panel, in inches, where one, two or three stand side by side."""
_STEPS = (1, 2, 5, 10)
"""Of ticks, up to a power of ten."""
_LEFT, _BELOW, _BETWEEN = 0.5, 0.4, 0.2


@dataclass(frozen=True)
class Curve:
    """A measurement over the epochs: mean over the seeds, and standard deviation where there are several."""

    epochs: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray | None

    @property
    def highest(self) -> float:
        """Return how far up it reaches, its band included."""
        return float(np.max(self.mean if self.deviation is None else self.mean + self.deviation))


def draw(page: Page, study: Study, rows: Sequence[TableRow], store: ResultStore) -> str:
    """Put a panel per condition on the page, which share their axis; return what the caption says of them."""
    task = study.cells[0].trial.task
    shown = [trial_id for row in rows for trial_id in row.trials]
    kept = by_trial(store.epochs(), shown, "epoch")
    arms = list(dict.fromkeys(cell.arm for cell in study.cells))
    panels = [
        (title, [(row, curve_of(row, kept, task)) for row in lines])
        for title, lines in by_condition(study, rows).items()
    ]
    curves = [curve for _, lines in panels for _, curve in lines if curve is not None]
    keys = [[_key_entry(study, row, curve, arms) for row, curve in lines] for _, lines in panels]
    one_key = all(key == keys[0] for key in keys)

    side_by_side = min(len(panels), len(_SIZES))
    width, height = _SIZES[side_by_side - 1]
    height *= 1.5 if len(arms) > MANY else 1
    highest = max((curve.highest for curve in curves), default=1.0)
    last = max((int(curve.epochs[-1]) for curve in curves), default=1)
    top, bottom = 0.0, 0.0
    for index, (title, lines) in enumerate(panels):
        column = index % side_by_side
        if column == 0:
            top = bottom + GAP if index else 0.0
        left = _LEFT + column * (width + _BETWEEN)
        title_lines = wrapped(title, width, LABEL)
        title_height = max(len(wrapped(other, width, LABEL)) for other, _ in panels) * line_height(LABEL)
        start = top + title_height + (0.06 if title_height else 0.0)
        page.text(left, top + title_height - len(title_lines) * line_height(LABEL), title_lines)
        axes = page.axes(left, start, width, height)
        _frame(axes, task, last, highest)
        axes.tick_params(labelleft=column == 0)
        if not curves:
            without_scale(axes)
        if column == 0:
            axes.set_ylabel(Y_LABEL[task])
        for row, curve in lines:
            if curve is not None:
                _line(axes, curve, arms.index(row.keys["arm"]), len(arms))
        if all(curve is None for _, curve in lines):
            reasons = dict.fromkeys(absence(row, "epochs") for row, _ in lines)
            say(axes, " / ".join(reasons))
        end = start + height + _BELOW
        if not one_key:
            end = page.key(keys[index], left, end + 0.04, width)
        bottom = max(bottom, end)
        page.grow(left + width + 0.1, bottom)
    if one_key:
        page.key(keys[0], _LEFT, bottom + 0.04, page.width - _LEFT)
    several = any(curve.deviation is not None for curve in curves)
    notes = ["Lines are means over the seeds, bands one standard deviation." if several else "", picked_note(study)]
    return " ".join(filter(None, notes))


def curve_of(row: TableRow, kept: Mapping[str, pa.Table], task: TaskName) -> Curve | None:
    """Return the curve of a row, errors in percent; None where its trials, by trial_id in ``kept``, kept no epochs."""
    measure = HEADLINE[task]
    tables = [kept[trial_id].select(["epoch", measure]).drop_null() for trial_id in row.trials if trial_id in kept]
    tables = [table for table in tables if len(table)]
    if not tables:
        return None
    found = [(table["epoch"].to_numpy(), table[measure].to_numpy()) for table in tables]
    epochs = reduce(np.intersect1d, [epochs for epochs, _ in found])  # all of them, unless a file was spoilt
    if not len(epochs):
        return None
    scale = 100 if task == "classification" else 1
    values = scale * np.stack([values[np.searchsorted(own, epochs)] for own, values in found])
    return Curve(epochs, values.mean(0), values.std(0, ddof=1) if len(values) > 1 else None)


def _key_entry(study: Study, row: TableRow, curve: Curve | None, arms: Sequence[str]) -> KeyEntry:
    if curve is None:
        return KeyEntry(f"{row.keys['arm']}: {absence(row, 'epochs')}", None)
    return KeyEntry(row_label(study, row), line_style(arms.index(row.keys["arm"])))


def _frame(axes: Axes, task: TaskName, last: int, highest: float) -> None:
    axes.set_xlabel(X_LABEL[task])
    axes.set_xlim(0, last * 1.02 if last > 1 else 2)
    axes.set_ylim(0, highest * 1.05 or 1)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=_STEPS, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=_STEPS, integer=task == "gan"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.5)
    axes.set_axisbelow(True)


def _line(axes: Axes, curve: Curve, index: int, count: int) -> None:
    """Draw the line of arm ``index`` of ``count``; their markers do not stand over each other."""
    style = line_style(index)
    step = max(1, len(curve.epochs) // MARKS)
    axes.plot(curve.epochs, curve.mean, markevery=(index * step // count, step), clip_on=False, **style)
    if curve.deviation is not None:
        low, high = np.maximum(curve.mean - curve.deviation, 0), curve.mean + curve.deviation
        axes.fill_between(curve.epochs, low, high, color=style["color"], alpha=0.15, linewidth=0)
