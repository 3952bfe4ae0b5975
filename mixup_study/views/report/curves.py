"""Learning curves: a panel per condition and a line per arm, mean and standard deviation over the seeds (Figure 3b)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from mixup_study.analysis.curves import BAND, Curve, CurveGroup, CurvePanel, Line, marker_places, thin
from mixup_study.analysis.findings import Findings
from mixup_study.catalogue import Quantity
from mixup_study.views.report.charts import (
    HOVER,
    LINE_WIDTH,
    TOOLTIP,
    VISIBLE,
    ZOOM,
    Chart,
    Datum,
    Label,
    Panel,
    Spec,
    arm_encoding,
    axis_encoding,
    hover_opacity,
    layered_view,
    round_digits,
)
from mixup_study.views.rows import absence_text, pick_note, row_label
from mixup_study.views.sheet import Sheet

POINTS = 24_000
"""Of all lines of a figure together."""
LEAST, MOST = 20, 200
"""Points of a line."""
LISTED = 16
"""Lines whose values stand beside the pointer, the best first."""


def chart_curves(findings: Findings) -> dict[str, Chart]:
    """Return a figure of each quantity that was measured over the epochs, by its label; each row of the table a line.

    Raises StorageError.
    """
    return {group.quantity.label: _chart(findings, group) for group in findings.curves if group.curves}


def _chart(findings: Findings, group: CurveGroup) -> Chart:
    limit = max(LEAST, min(MOST, POINTS // len(group.curves)))
    spec = _spec(len(findings.arms), group)
    panels = [_panel(findings, panel, spec, limit, group.quantity) for panel in group.panels]
    rows = [_numbers(findings, panel.title, line, group.quantity) for panel in group.panels for line in panel.lines]
    thinner = any(len(curve.epochs) > limit for curve in group.curves)
    notes = [
        BAND if group.has_bands else "",
        pick_note(findings),
        f"Of each line the lowest and the highest point of each of {limit // 2} stretches are drawn."
        if thinner
        else "",
    ]
    extreme = "lowest" if group.quantity.better == "lower" else "highest"
    headings = ["condition", "arm", f"{extreme} {group.quantity.label}", "at epoch", "last"]
    drawn = {line.row.keys["arm"] for panel in group.panels for line in panel.lines}
    key = {number: arm for number, arm in enumerate(findings.arms) if arm in drawn}
    return Chart(panels, key, notes, Sheet(headings, rows, numeric=frozenset({2, 3, 4})))


def _panel(findings: Findings, panel: CurvePanel, spec: Spec, limit: int, quantity: Quantity) -> Panel:
    points: list[Datum] = []
    at_epoch: dict[int, list[tuple[float, int, str]]] = {}
    labels: list[Label] = []
    for line in panel.lines:
        if line.curve is None:
            continue
        arm = findings.arms.index(line.row.keys["arm"])
        for epoch, mean, text, point in _points(line.curve, arm, len(findings.arms), limit):
            points.append(point)
            rank = mean if quantity.better == "lower" else -mean
            at_epoch.setdefault(epoch, []).append((rank, len(labels), text))
        labels.append(Label(row_label(findings, line.row), arm))
    names = ", ".join(label.text for label in labels) or "nothing yet"
    where = f" at {panel.title}" if panel.title else ""
    data = {"points": points, "epochs": _tooltips(at_epoch, labels)}
    return Panel(panel.title, f"Learning curves{where} of {names}.", spec, data, labels)


def _points(curve: Curve, arm: int, arms: int, limit: int) -> list[tuple[int, float, str, Datum]]:
    """Return of each point drawn its epoch, its mean, its text and its datum."""
    places = thin(curve.mean, limit)
    markers = marker_places(len(places), arm, arms)
    points = []
    for order, place in enumerate(places.tolist()):
        epoch, mean = int(curve.epochs[place]), float(curve.mean[place])
        datum: Datum = {"x": epoch, "a": arm, "y": round_digits(mean)}
        text = f"{mean:.1f}"
        if curve.deviation is not None:
            datum |= {"lo": round_digits(float(curve.low[place])), "hi": round_digits(float(curve.high[place]))}
            text += f" ± {curve.deviation[place]:.1f}"
        if order in markers:
            datum["m"] = 1
        points.append((epoch, mean, text, datum))
    return points


def _tooltips(at_epoch: dict[int, list[tuple[float, int, str]]], labels: Sequence[Label]) -> list[Datum]:
    """Return a stretch of the axis around each epoch, and what stands beside the pointer there."""
    epochs = sorted(at_epoch)
    middles = [(left + right) / 2 for left, right in itertools.pairwise(epochs)]
    starts, ends = [min(epochs, default=0) - 0.5, *middles], [*middles, max(epochs, default=0) + 0.5]
    return [
        {
            "x": start,
            "x2": end,
            "h": f"epoch {epoch}" + (f", {LISTED} of {len(labels)} lines" if len(labels) > LISTED else ""),
            "t": [[label, text] for _, label, text in sorted(at_epoch[epoch])[:LISTED]],
        }
        for epoch, start, end in zip(epochs, starts, ends, strict=True)
    ]


def _numbers(findings: Findings, title: str, line: Line, quantity: Quantity) -> list[str]:
    label, curve = row_label(findings, line.row), line.curve
    if curve is None:
        return [title, label, absence_text(line.row, "epochs"), "", ""]
    best = int(curve.mean.argmin() if quantity.better == "lower" else curve.mean.argmax())
    return [title, label, f"{curve.mean[best]:.1f}", str(curve.epochs[best]), f"{curve.mean[-1]:.1f}"]


def _spec(arms: int, group: CurveGroup) -> Spec:
    x = axis_encoding("x", "x", group.epoch_label, 0, group.x_limit)
    x["x"]["axis"] = {"grid": False, "tickCount": 6, "tickMinStep": 1}
    y = axis_encoding("y", "y", group.quantity.label, 0, group.y_limit)
    if group.quantity.unit.is_count:
        y["y"]["axis"] = {"tickMinStep": 1}
    band = {
        "transform": [VISIBLE, {"filter": "isValid(datum.lo)"}],
        "mark": {"type": "area", "clip": True, "opacity": 0.16},
        "encoding": {**x, "y": {**y["y"], "field": "lo"}, "y2": {"field": "hi"}, **arm_encoding("color", arms)},
    }
    line = {
        "transform": [VISIBLE],
        "params": [ZOOM],
        "mark": {"type": "line", "clip": True, "strokeWidth": LINE_WIDTH},
        "encoding": {**x, **y, **arm_encoding("color", arms), **arm_encoding("strokeDash", arms)},
    }
    markers = {
        "transform": [VISIBLE, {"filter": "datum.m"}],
        "mark": {"type": "point", "clip": True, "filled": True, "opacity": 1, "size": 42},
        "encoding": {**x, **y, **arm_encoding("color", arms), **arm_encoding("shape", arms)},
    }
    pointer = {
        "data": {"name": "epochs"},
        "params": [HOVER],
        "mark": {"type": "rect", "clip": True, "color": "var(--ink)", **TOOLTIP},
        "encoding": {**x, "x2": {"field": "x2"}, "opacity": hover_opacity(0.1, 0)},
    }
    return layered_view(230, [band, line, markers, pointer])
