"""Memorisation: the training error on real and on corrupted labels (section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

from mixup_study.analysis.table import Records, Statistic, TableRow
from mixup_study.catalogue.metrics import Metric
from mixup_study.study.study import Study
from mixup_study.views.figures.shown import by_condition, picked_note, row_label
from mixup_study.views.report.charts import (
    ALONG_X,
    TOLD,
    Chart,
    Datum,
    Label,
    Numbers,
    Panel,
    Spec,
    along,
    rounded,
    view,
)

PARTS: dict[Metric, str] = {"train_error_real": "real labels", "train_error_corrupted": "corrupted labels"}
_ROW = 26
"""Pixels from one arm to the next."""


def memorisation(study: Study, rows: Sequence[TableRow], records: Records) -> Chart | None:
    """Return the figure; None where no trial has measured its error on corrupted labels."""
    panels, numbers = [], []
    for title, group in by_condition(study, rows).items():
        points: list[Datum] = []
        names = []
        for row in group:
            both = _measured(row, records)
            if both is None:
                continue
            name = row_label(study, row)
            names.append(name)
            texts = [one.text(metric, 2) for metric, one in zip(PARTS, both, strict=True)]
            numbers.append([title, name, *texts])
            for part, one in enumerate(both):
                points.append(
                    {
                        "n": name,
                        "p": part,
                        "x": rounded(100 * one.mean),
                        "h": name,
                        "t": [[number, f"{text} %"] for number, text in enumerate(texts)],
                    }
                )
        if points:
            where = f" at {title}" if title else ""
            description = f"Training error on real and on corrupted labels{where} of {', '.join(names)}."
            panels.append(Panel(title, description, _spec(names), {"points": points}, list(map(Label, PARTS.values()))))
    if not panels:
        return None
    notes = [
        "A network that fits corrupted labels has memorised them: its error on them is low. Both errors are of the last"
        " epoch, on the training examples as they are, unmixed.",
        picked_note(study),
    ]
    headings = ["condition", "arm", *(f"error on {part} (%)" for part in PARTS.values())]
    return Chart(panels, {}, notes, Numbers(headings, numbers, frozenset({2, 3})))


def _measured(row: TableRow, records: Records) -> list[Statistic] | None:
    """Return the error on real and on corrupted labels of the setting shown, fractions; None where either lacks."""
    kept = [records[trial_id] for trial_id in row.trials]
    both = [Statistic.of([record[metric] for record in kept if record[metric] is not None]) for metric in PARTS]
    found = [one for one in both if one is not None]
    return found if len(found) == len(both) else None


def _spec(names: Sequence[str]) -> Spec:
    x = along("x", "x", "training error (%)", -4, 104)
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
        "mark": {"type": "point", "filled": True, "opacity": 1, "size": 110, "clip": True, **TOLD},
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
    return view(_ROW * len(names) + 10, [between, point])
