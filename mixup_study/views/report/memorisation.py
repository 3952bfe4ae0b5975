"""Memorisation: the training error on real and on corrupted labels (section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import Statistic, TableRow, summarise
from mixup_study.catalogue import CATALOGUE
from mixup_study.views.report.charts import (
    ALONG_X,
    TOOLTIP,
    Chart,
    Datum,
    Label,
    Panel,
    Spec,
    axis_encoding,
    layered_view,
    round_digits,
)
from mixup_study.views.rows import pick_note, row_label
from mixup_study.views.sheet import Sheet

PARTS: dict[str, str] = {"train_error_real": "real labels", "train_error_corrupted": "corrupted labels"}
_ROW = 26
"""Pixels from one arm to the next."""


def chart_memorisation(findings: Findings) -> Chart | None:
    """Return the figure; None where no trial has measured its error on corrupted labels."""
    panels: list[Panel] = []
    numbers: list[list[str]] = []
    for title, rows in findings.conditions.items():
        points: list[Datum] = []
        names = []
        for row in rows:
            errors = _errors(findings, row)
            if errors is None:
                continue
            name = row_label(findings, row)
            names.append(name)
            texts = [error.text(metric, CATALOGUE.metrics[metric].unit.decimals) for metric, error in errors.items()]
            numbers.append([title, name, *texts])
            tooltip = [[number, f"{text} %"] for number, text in enumerate(texts)]
            for part, (metric, error) in enumerate(errors.items()):
                x = round_digits(CATALOGUE.metrics[metric].unit.scaled(error.mean))
                points.append({"n": name, "p": part, "x": x, "h": name, "t": tooltip})
        if points:
            where = f" at {title}" if title else ""
            description = f"Training error on real and on corrupted labels{where} of {', '.join(names)}."
            panels.append(Panel(title, description, _spec(names), {"points": points}, list(map(Label, PARTS.values()))))
    if not panels:
        return None
    notes = [
        "A network that fits corrupted labels has memorised them: its error on them is low. Both errors are of the last"
        " epoch, on the training examples as they are, unmixed.",
        pick_note(findings),
    ]
    headings = ["condition", "arm", *(f"error on {part} (%)" for part in PARTS.values())]
    return Chart(panels, {}, notes, Sheet(headings, numbers, numeric=frozenset({2, 3})))


def _errors(findings: Findings, row: TableRow) -> dict[str, Statistic] | None:
    """Return the error on real and on corrupted labels of the setting chosen, fractions; None where either lacks."""
    errors = {}
    for metric in PARTS:
        values = [findings.records[trial_id][metric] for trial_id in row.trials]
        statistic = summarise([value for value in values if value is not None])
        if statistic is None:
            return None
        errors[metric] = statistic
    return errors


def _spec(names: Sequence[str]) -> Spec:
    x = axis_encoding("x", "x", "training error (%)", -4, 104)
    x["x"]["axis"] = {"tickCount": 5}
    y = {
        "y": {
            "field": "n",
            "type": "nominal",
            "sort": list(names),
            "title": None,
            "axis": {"grid": False, "domain": False, "ticks": False, "labelLimit": 170},
        }
    }
    between = {
        "mark": {"type": "line", "clip": True, "strokeWidth": 2, "color": "var(--faint)"},
        "encoding": {**x, **y, "detail": {"field": "n", "type": "nominal"}},
    }
    parts = {"domain": [0, 1]}
    point = {
        "params": [ALONG_X],
        "mark": {"type": "point", "filled": True, "opacity": 1, "size": 110, "clip": True, **TOOLTIP},
        "encoding": {
            **x,
            **y,
            "color": {
                "field": "p",
                "type": "nominal",
                "scale": {**parts, "range": ["var(--real)", "var(--corrupted)"]},
                "legend": None,
            },
            "shape": {
                "field": "p",
                "type": "nominal",
                "scale": {**parts, "range": ["circle", "diamond"]},
                "legend": None,
            },
        },
    }
    return layered_view(_ROW * len(names) + 10, [between, point])
