"""What models do in between training examples as data: a line over lambda for each row of the table (Figure 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixup_study.analysis.table import TableRow
from mixup_study.catalogue import CATALOGUE

QUANTITIES = {
    "misses": "misses (%)",
    "loss_gradient_norm": "gradient norm of the loss",
    "logit_gradient_norm": "gradient norm of the largest logit",
}
"""The kinds of points that a trial of task ``between`` keeps, and what an axis calls them."""


@dataclass(frozen=True, eq=False)
class LambdaCurve:
    """A quantity over lambda, as shown, each array (L,)."""

    lams: np.ndarray
    mean: np.ndarray
    """Over the seeds."""
    deviation: np.ndarray
    """Standard deviation over the seeds; of one seed, standard error over its pairs."""
    seeds: int


@dataclass(frozen=True)
class LambdaPanel:
    """The lines of one quantity; None in place of a curve where a row's trials kept no points."""

    label: str
    lines: Sequence[tuple[TableRow, LambdaCurve | None]]


def lambda_panels(rows: Sequence[TableRow], points: Mapping[str, pa.Table]) -> list[LambdaPanel]:
    """Return a panel of each quantity with a line of each row; ``points`` holds what trials kept, by trial_id."""
    return [
        LambdaPanel(label, [(row, _curve(row, points, kind)) for row in rows]) for kind, label in QUANTITIES.items()
    ]


def describe_bands(panels: Sequence[LambdaPanel]) -> str:
    """Return what a caption says of the bands; empty where there are none."""
    seeds = {curve.seeds for panel in panels for _, curve in panel.lines if curve is not None}
    parts = [
        "Lines are means over the seeds, bands one standard deviation." if max(seeds, default=0) > 1 else "",
        "Bands of one seed are standard errors over the pairs." if 1 in seeds else "",
    ]
    return " ".join(filter(None, parts))


def _curve(row: TableRow, points: Mapping[str, pa.Table], kind: str) -> LambdaCurve | None:
    tables = [points[trial_id] for trial_id in row.trials if trial_id in points]
    own = [table.filter(pc.equal(table["kind"], kind)) for table in tables]
    own = [table for table in own if len(table)]
    if not own:
        return None
    scale = CATALOGUE.metrics[f"{kind}_mean"].unit.scale
    values = scale * np.stack([table["y"].to_numpy().astype(float) for table in own])
    errors = scale * own[0]["value"].to_numpy().astype(float)
    deviation = values.std(0, ddof=1) if len(own) > 1 else errors
    return LambdaCurve(own[0]["x"].to_numpy().astype(float), values.mean(0), deviation, len(own))
