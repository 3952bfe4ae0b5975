"""Learning curves as data: what is drawn of each row of the table, on which axes, and where its markers stand.

The figure and the report draw them with different libraries, and take from here everything that there is to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import pyarrow as pa

from mixup_study.analysis.table import TableRow
from mixup_study.catalogue import CATALOGUE, Quantity

MARKERS = 7
"""Along a line."""
BAND = "Lines are means over the seeds, bands one standard deviation."
"""What a caption says where any curve has a deviation."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A measurement over the epochs, as shown: mean over the seeds, and standard deviation where there are several."""

    epochs: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray | None

    @property
    def low(self) -> np.ndarray:
        """Return the lower edge of its band; no measurement lies below 0."""
        return self.mean if self.deviation is None else np.maximum(self.mean - self.deviation, 0)

    @property
    def high(self) -> np.ndarray:
        """Return the upper edge of its band."""
        return self.mean if self.deviation is None else self.mean + self.deviation


@dataclass(frozen=True)
class Line:
    """A row of the table and its curve; None where its trials kept no epochs."""

    row: TableRow
    curve: Curve | None


@dataclass(frozen=True)
class CurvePanel:
    """The lines of one condition."""

    title: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class CurveGroup:
    """Panels that share their axes: those of one quantity."""

    quantity: Quantity
    epoch_label: str
    panels: Sequence[CurvePanel]

    @cached_property
    def curves(self) -> list[Curve]:
        """Return all that there are."""
        return [line.curve for panel in self.panels for line in panel.lines if line.curve is not None]

    @property
    def has_bands(self) -> bool:
        """Return whether any curve has a deviation."""
        return any(curve.deviation is not None for curve in self.curves)

    @property
    def x_limit(self) -> float:
        """Return where the epochs' axis ends; it starts at 0."""
        last = max((int(curve.epochs[-1]) for curve in self.curves), default=1)
        return last * 1.02 if last > 1 else 2

    @property
    def y_limit(self) -> float:
        """Return where the quantity's axis ends; it starts at 0."""
        return max((float(curve.high.max()) for curve in self.curves), default=1.0) * 1.05 or 1


def learning_curves(conditions: Mapping[str, Sequence[TableRow]], epochs: Mapping[str, pa.Table]) -> list[CurveGroup]:
    """Return the curves of rows of the table: of each quantity that tasks are followed by, a panel per condition.

    ``epochs`` holds what trials kept, by trial_id, each in the order of its epochs.
    """
    tasks = list(dict.fromkeys(row.task for rows in conditions.values() for row in rows))
    groups = []
    for task in map(CATALOGUE.tasks.__getitem__, tasks):
        quantity = task.headline_curve
        if quantity is None:
            continue
        own = {title: [row for row in rows if row.task == task.name] for title, rows in conditions.items()}
        panels = [
            CurvePanel(title, [Line(row, _curve(row, epochs, quantity)) for row in rows])
            for title, rows in own.items()
            if rows
        ]
        groups.append(CurveGroup(quantity, task.epoch_label, panels))
    return groups


def _curve(row: TableRow, epochs: Mapping[str, pa.Table], quantity: Quantity) -> Curve | None:
    trials = [epochs[trial_id] for trial_id in row.trials if trial_id in epochs]
    tables = [table.select(["epoch", quantity.name]).drop_null() for table in trials]
    seeds = [(table["epoch"].to_numpy(), table[quantity.name].to_numpy()) for table in tables if len(table)]
    if not seeds:
        return None
    common = reduce(np.intersect1d, [epochs for epochs, _ in seeds])  # all of them, unless a file was spoilt
    if not len(common):
        return None
    values = quantity.unit.scale * np.stack([values[np.searchsorted(own, common)] for own, values in seeds])
    return Curve(common, values.mean(0), values.std(0, ddof=1) if len(values) > 1 else None)


def marker_places(count: int, arm: int, arms: int) -> range:
    """Return at which of ``count`` points a line has markers, so that those of several arms do not stand on another."""
    step = max(1, count // MARKERS)
    return range(arm * step // arms, count, step)


def thin(values: np.ndarray, limit: int) -> np.ndarray:
    """Return the places of at most ``limit`` values, rising: both ends, and of each stretch the lowest and highest."""
    if len(values) <= limit:
        return np.arange(len(values))
    stretches = np.array_split(np.arange(1, len(values) - 1), limit // 2 - 1)
    extremes = [stretch[[values[stretch].argmin(), values[stretch].argmax()]] for stretch in stretches]
    return np.unique(np.concatenate([[0], *extremes, [len(values) - 1]]))
