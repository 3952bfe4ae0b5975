"""Learning curves: a panel per condition and a line per arm, mean and standard deviation over the seeds (Figure 3b)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from mixup_study.analysis.table import TableRow
from mixup_study.store.store import ResultStore
from mixup_study.study.study import Study
from mixup_study.views.figures.curves import X_LABEL, Y_LABEL, Curve, curve_of
from mixup_study.views.figures.shown import absence, by_condition, by_trial, picked_note, row_label
from mixup_study.views.report.charts import (
    HOVER,
    TOLD,
    VISIBLE,
    ZOOM,
    Chart,
    Datum,
    Label,
    Numbers,
    Panel,
    Spec,
    along,
    by_arm,
    rounded,
    view,
)

POINTS = 24_000
"""Of all lines of the figure together."""
LEAST, MOST = 20, 200
"""Points of a line."""
MARKS = 7
"""Markers along a line."""
NAMED = 16
"""Lines whose values stand beside the pointer, the best first."""

Line = tuple[TableRow, Curve]


def curves(study: Study, rows: Sequence[TableRow], store: ResultStore) -> Chart | None:
    """Return the figure, each row of the table a line; None where nothing has been measured."""
    task = study.cells[0].trial.task
    kept = by_trial(store.epochs(), [trial_id for row in rows for trial_id in row.trials], "epoch")
    arms = list(dict.fromkeys(cell.arm for cell in study.cells))
    found = {
        title: [(row, curve_of(row, kept, task)) for row in group] for title, group in by_condition(study, rows).items()
    }
    drawn = [curve for lines in found.values() for _, curve in lines if curve is not None]
    if not drawn:
        return None
    limit = max(LEAST, min(MOST, POINTS // len(drawn)))
    last, highest = max(int(curve.epochs[-1]) for curve in drawn), max(curve.highest for curve in drawn)
    spec = _spec(len(arms), X_LABEL[task], Y_LABEL[task], last, highest * 1.05 or 1.0)
    lowest_first = task == "classification"
    panels = [
        _panel(
            study, title, [(row, curve) for row, curve in lines if curve is not None], arms, spec, limit, lowest_first
        )
        for title, lines in found.items()
    ]
    entries = [
        _numbers(study, title, row, curve, lowest_first) for title, lines in found.items() for row, curve in lines
    ]
    several = any(curve.deviation is not None for curve in drawn)
    thinner = any(len(curve.epochs) > limit for curve in drawn)
    notes = [
        "Lines are means over the seeds, bands one standard deviation." if several else "",
        picked_note(study),
        f"Of each line the lowest and the highest point of each of {limit // 2} stretches are drawn."
        if thinner
        else "",
    ]
    best = "lowest" if lowest_first else "highest"
    headings = ["condition", "arm", f"{best} {Y_LABEL[task]}", "at epoch", "last"]
    shown = {arms.index(row.keys["arm"]): row.keys["arm"] for row in rows}
    return Chart(panels, dict(sorted(shown.items())), notes, Numbers(headings, entries, frozenset({2, 3, 4})))


def thinned(values: np.ndarray, limit: int) -> np.ndarray:
    """Return the places of at most ``limit`` values, rising: both ends, and of each stretch the lowest and highest."""
    if len(values) <= limit:
        return np.arange(len(values))
    stretches = np.array_split(np.arange(1, len(values) - 1), limit // 2 - 1)
    extremes = [stretch[[values[stretch].argmin(), values[stretch].argmax()]] for stretch in stretches]
    return np.unique(np.concatenate([[0], *extremes, [len(values) - 1]]))


def _panel(
    study: Study, title: str, lines: Sequence[Line], arms: Sequence[str], spec: Spec, limit: int, lowest_first: bool
) -> Panel:
    points: list[Datum] = []
    at_epoch: dict[int, list[tuple[float, int, str]]] = {}
    for label, (row, curve) in enumerate(lines):
        number = arms.index(row.keys["arm"])
        places = thinned(curve.mean, limit)
        step = max(1, len(places) // MARKS)
        for order, place in enumerate(places.tolist()):
            epoch, mean = int(curve.epochs[place]), float(curve.mean[place])
            point: Datum = {"x": epoch, "a": number, "y": rounded(mean)}
            text = f"{mean:.1f}"
            if curve.deviation is not None:
                deviation = float(curve.deviation[place])
                point |= {"lo": rounded(max(mean - deviation, 0)), "hi": rounded(mean + deviation)}
                text += f" ± {deviation:.1f}"
            if order % step == number * step // len(arms):  # markers of the lines do not stand over each other
                point["m"] = 1
            points.append(point)
            at_epoch.setdefault(epoch, []).append((mean if lowest_first else -mean, label, text))
    labels = [Label(row_label(study, row), arms.index(row.keys["arm"])) for row, _ in lines]
    told = _told(at_epoch, labels)
    names = ", ".join(label.text for label in labels) or "nothing yet"
    where = f" at {title}" if title else ""
    return Panel(title, f"Learning curves{where} of {names}.", spec, {"points": points, "epochs": told}, labels)


def _told(at_epoch: dict[int, list[tuple[float, int, str]]], labels: Sequence[Label]) -> list[Datum]:
    """Return a stretch of the axis around each epoch, and what stands beside the pointer there."""
    epochs = sorted(at_epoch)
    middles = [(left + right) / 2 for left, right in itertools.pairwise(epochs)]
    starts, ends = [min(epochs, default=0) - 0.5, *middles], [*middles, max(epochs, default=0) + 0.5]
    return [
        {
            "x": start,
            "x2": end,
            "h": f"epoch {epoch}" + (f", {NAMED} of {len(labels)} lines" if len(labels) > NAMED else ""),
            "t": [[label, text] for _, label, text in sorted(at_epoch[epoch])[:NAMED]],
        }
        for epoch, start, end in zip(epochs, starts, ends, strict=True)
    ]


def _numbers(study: Study, title: str, row: TableRow, curve: Curve | None, lowest_first: bool) -> list[str]:
    if curve is None:
        return [title, row_label(study, row), absence(row, "epochs"), "", ""]
    best = int(curve.mean.argmin() if lowest_first else curve.mean.argmax())
    numbers = (f"{curve.mean[best]:.1f}", str(curve.epochs[best]), f"{curve.mean[-1]:.1f}")
    return [title, row_label(study, row), *numbers]


def _spec(arms: int, x_title: str, y_title: str, last: int, highest: float) -> Spec:
    x = along("x", "x", x_title, 0, last * 1.02 if last > 1 else 2)
    x["x"]["axis"] = {"grid": False, "tickCount": 6, "tickMinStep": 1}
    y = along("y", "y", y_title, 0, highest)
    band = {
        "transform": [VISIBLE, {"filter": "isValid(datum.lo)"}],
        "mark": {"type": "area", "clip": True, "opacity": 0.16},
        "encoding": {**x, "y": {**y["y"], "field": "lo"}, "y2": {"field": "hi"}, **by_arm("color", arms)},
    }
    line = {
        "transform": [VISIBLE],
        "params": [ZOOM],
        "mark": {"type": "line", "clip": True, "strokeWidth": 1.8},
        "encoding": {**x, **y, **by_arm("color", arms), **by_arm("strokeDash", arms)},
    }
    marks = {
        "transform": [VISIBLE, {"filter": "datum.m"}],
        "mark": {"type": "point", "clip": True, "filled": True, "opacity": 1, "size": 42},
        "encoding": {**x, **y, **by_arm("color", arms), **by_arm("shape", arms)},
    }
    told = {
        "data": {"name": "epochs"},
        "params": [HOVER],
        "mark": {"type": "rect", "clip": True, "color": "var(--ink)", **TOLD},
        "encoding": {**x, "x2": {"field": "x2"}, "opacity": hovered(0.1, 0)},
    }
    return view(230, [band, line, marks, told])


def hovered(value: float, otherwise: float) -> Spec:
    """Return the opacity of what is, and is not, under the pointer."""
    return {"condition": {"param": "hover", "empty": False, "value": value}, "value": otherwise}
