"""Effects of the hyper-parameters: what was measured against each number that an arm tries several of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import Statistic, cell_ids, summarise
from mixup_study.catalogue import CATALOGUE, Quantity
from mixup_study.study.expand import Cell
from mixup_study.study.labels import condition_text, plain, setting_text, title_text
from mixup_study.views.report.charts import (
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
    layered_view,
    round_digits,
)
from mixup_study.views.sheet import Sheet

POINTS = 600
"""Of a panel; where there are more, of each arm and value the lowest, the middle and the highest stand for all."""
PANELS = 24
"""Of a hyper-parameter; the notes say how many more conditions there are."""
TICKS = 9
"""Values that stand at the axis each."""
WIDE, WIDE_FROM_0 = 8, 100
"""Ratios of the largest to the smallest value above 0 from which on an axis is logarithmic; with 0 among them."""


@dataclass(frozen=True)
class ValueAxis:
    """Where the values of a hyper-parameter stand along their axis; infinity stands beyond the others."""

    values: Sequence[float]
    """Distinct, rising."""

    @property
    def _finite(self) -> list[float]:
        return [value for value in self.values if math.isfinite(value)] or [1.0]

    @property
    def scale(self) -> Spec:
        """Return the kind of scale: logarithmic where the values are far apart, as far as zero allows it."""
        least, most = min((value for value in self._finite if value > 0), default=1.0), self._finite[-1]
        if most < (WIDE if self._finite[0] > 0 else WIDE_FROM_0) * least:
            return {"type": "linear"}
        return {"type": "log"} if self._finite[0] > 0 else {"type": "symlog", "constant": least}

    def place(self, value: float) -> float:
        """Return where a value stands."""
        if math.isfinite(value):
            return round_digits(value)
        least, most = self._finite[0], self._finite[-1]
        return round_digits(most + (most - least or 1) / 4 if self.scale["type"] == "linear" else 4 * most)

    def encoding(self, title: str) -> Spec:
        """Return the encoding of the places, which stand under ``x``."""
        places = [self.place(value) for value in self.values]
        low, high, kind = places[0], places[-1], self.scale["type"]
        if kind == "linear":
            margin = (high - low or 1) * 0.06
            low, high = low - margin, high + margin
        elif kind == "log":
            low, high = low / 1.25, high * 1.25
        else:
            low, high = low - 0.3 * min(place for place in places if place > 0), high * 1.25
        encoding = axis_encoding("x", "x", title, low, high, **self.scale)
        axis: Spec = {"grid": False, "labelExpr": f"datum.value === {places[-1]} ? '∞' : format(datum.value, '~r')"}
        if math.isfinite(self.values[-1]):
            axis["labelExpr"] = "format(datum.value, '~r')"
        if len(places) <= TICKS:
            axis["values"] = places
        encoding["x"]["axis"] = axis
        return encoding


@dataclass(frozen=True)
class Setting:
    """A setting of an arm, seeds aside: its fields, and what it measured over the seeds, as shown."""

    arm: str
    fields: Mapping[str, Any]
    label: str
    measured: Statistic


def chart_effects(findings: Findings) -> dict[str, Chart]:
    """Return a figure per hyper-parameter, by its name; there is none before two of its values have finished."""
    settings = _settings(findings)
    charts = {name: _chart(findings, name, settings) for name in _varied(findings)}
    return {name: chart for name, chart in charts.items() if chart is not None}


def _quantity(findings: Findings) -> Quantity:
    return CATALOGUE.metrics[findings.study.table.metric]


def _varied(findings: Findings) -> list[str]:
    """Return the fields, seeds aside, of which an arm tries several numbers; those of the table's rows come last."""
    tried: dict[tuple[str, str], set[Any]] = {}
    for cell in findings.study.cells:
        for name in CATALOGUE.fields:
            value = getattr(cell.trial, name)
            if name not in CATALOGUE.seeds and isinstance(value, int | float) and not isinstance(value, bool):
                tried.setdefault((name, cell.arm), set()).add(value if cell.trial.departs(name) else None)
    varied = {name for (name, _), values in tried.items() if len(values) > 1}
    order = list(CATALOGUE.fields)
    return sorted(varied, key=lambda name: (name in findings.study.table.keys, order.index(name)))


def _settings(findings: Findings) -> list[Setting]:
    study, quantity = findings.study, _quantity(findings)
    names = [name for name in CATALOGUE.fields if name not in CATALOGUE.seeds]
    measured: dict[tuple[Any, ...], list[float]] = {}
    cells: dict[tuple[Any, ...], Cell] = {}
    for cell, trial_id in zip(study.cells, cell_ids(study, study.cells), strict=True):
        record = findings.records.get(trial_id)
        value = record[quantity.name] if record is not None and record["status"] == "done" else None
        if value is not None and not math.isnan(value):
            key = (cell.arm, *(getattr(cell.trial, name) for name in names))
            measured.setdefault(key, []).append(quantity.unit.scaled(value))
            cells.setdefault(key, cell)
    settings = []
    for key, values in measured.items():
        statistic = summarise(values)
        cell = cells[key]
        text = setting_text({name: getattr(cell.trial, name) for name in cell.settings})
        label = f"{cell.arm} ({text})" if text else cell.arm
        if statistic is not None:
            settings.append(Setting(cell.arm, dict(zip(names, key[1:], strict=True)), label, statistic))
    return settings


def _chart(findings: Findings, name: str, settings: Sequence[Setting]) -> Chart | None:
    arms, quantity = findings.arms, _quantity(findings)
    tried = {arm: {setting.fields[name] for setting in settings if setting.arm == arm} for arm in arms}
    if all(len(values - {None}) < 2 for values in tried.values()):
        return None
    having = {arm for arm, values in tried.items() if values - {None}}
    labels = {arm: {setting.label for setting in settings if setting.arm == arm} for arm in arms}
    without = {arm for arm, values in tried.items() if values == {None} and len(labels[arm]) == 1}
    drawn = [setting for setting in settings if setting.arm in having | without]
    conditions = [key for key in findings.study.table.keys if key not in ("arm", name)]
    groups: dict[str, list[Setting]] = {}
    for setting in drawn:
        title = condition_text({key: setting.fields[key] for key in conditions})
        groups.setdefault(title, []).append(setting)

    axis = ValueAxis(sorted({float(value) for setting in drawn if (value := setting.fields[name]) is not None}))
    sign = CATALOGUE.fields[name].traits.sign or title_text(name)
    x_title = title_text(name) if sign == title_text(name) else f"{title_text(name)} {sign}"
    highest = max(setting.measured.mean + (setting.measured.deviation or 0) for setting in drawn)
    spec = _spec(axis.encoding(x_title), quantity.label, highest * 1.05 or 1.0, len(arms))
    panels = [_panel(title, group, name, axis, arms, spec, quantity) for title, group in list(groups.items())[:PANELS]]
    notes = [
        f"A point is a setting, its mean over the seeds; lines join settings that differ in {title_text(name)} alone.",
        f"Horizontal lines are of arms that have none: {', '.join(arm for arm in arms if arm in without)}."
        if without
        else "",
        f"{len(groups) - PANELS} further conditions are not drawn." if len(groups) > PANELS else "",
        "Of each arm and value the lowest, the middle and the highest point are drawn."
        if any(len(group) > POINTS for group in groups.values())
        else "",
    ]
    rows = [
        [
            title,
            setting.label,
            _value_text(setting.fields[name]),
            _measured_text(setting, quantity),
            str(setting.measured.count),
        ]
        for title, group in groups.items()
        for setting in group
    ]
    key = {number: arm for number, arm in enumerate(arms) if arm in having | without}
    headings = ["condition", "setting", sign, quantity.label, "seeds"]
    return Chart(panels, key, notes, Sheet(headings, rows[:POINTS], numeric=frozenset({2, 3, 4})))


def _panel(
    title: str,
    settings: Sequence[Setting],
    name: str,
    axis: ValueAxis,
    arms: Sequence[str],
    spec: Spec,
    quantity: Quantity,
) -> Panel:
    trying = [setting for setting in settings if setting.fields[name] is not None]
    drawn = trying if len(trying) <= POINTS else _few(trying, name)
    others = [field for field in CATALOGUE.fields if field not in (*CATALOGUE.seeds, name)]
    lines: dict[tuple[Any, ...], int] = {}
    labels: list[Label] = []
    points: list[Datum] = []
    for setting in sorted(drawn, key=lambda setting: float(setting.fields[name])):
        key = (setting.arm, *(setting.fields[field] for field in others))
        point = _datum(setting, arms, quantity, labels)
        point["x"] = axis.place(float(setting.fields[name]))
        if drawn is trying:
            point["l"] = lines.setdefault(key, len(lines))
        points.append(point)
    levels = [_datum(setting, arms, quantity, labels) for setting in settings if setting.fields[name] is None]
    where = f" at {title}" if title else ""
    names = ", ".join(dict.fromkeys(setting.arm for setting in settings))
    description = f"{title_text(quantity.name).capitalize()} against {title_text(name)}{where}, of {names}."
    return Panel(title, description, spec, {"points": points, "levels": levels}, labels)


def _few(settings: Sequence[Setting], name: str) -> list[Setting]:
    """Return of each arm and value the settings that measured lowest, highest, and in the middle."""
    groups: dict[tuple[str, Any], list[Setting]] = {}
    for setting in sorted(settings, key=lambda setting: setting.measured.mean):
        groups.setdefault((setting.arm, setting.fields[name]), []).append(setting)
    return [
        setting
        for group in groups.values()
        for place, setting in enumerate(group)
        if place in (0, len(group) // 2, len(group) - 1)
    ]


def _datum(setting: Setting, arms: Sequence[str], quantity: Quantity, labels: list[Label]) -> Datum:
    mean, deviation = setting.measured.mean, setting.measured.deviation
    arm = arms.index(setting.arm)
    datum: Datum = {"a": arm, "y": round_digits(mean), "t": [[len(labels), _measured_text(setting, quantity)]]}
    labels.append(Label(setting.label, arm))
    if deviation is not None:
        datum |= {"lo": round_digits(max(mean - deviation, 0)), "hi": round_digits(mean + deviation)}
    return datum


def _measured_text(setting: Setting, quantity: Quantity) -> str:
    mean, deviation = setting.measured.mean, setting.measured.deviation
    digits = quantity.unit.decimals
    return f"{mean:.{digits}f}" if deviation is None else f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def _value_text(value: float | None) -> str:
    return "∞" if value == math.inf else plain(value)


def _spec(x: Spec, y_title: str, highest: float, arms: int) -> Spec:
    y = axis_encoding("y", "y", y_title, 0, highest)
    look = {**arm_encoding("color", arms), **arm_encoding("shape", arms)}
    deviation = {
        "transform": [VISIBLE, {"filter": "isValid(datum.lo)"}],
        "mark": {"type": "rule", "clip": True, "opacity": 0.5},
        "encoding": {**x, "y": {**y["y"], "field": "lo"}, "y2": {"field": "hi"}, **arm_encoding("color", arms)},
    }
    level = {
        "data": {"name": "levels"},
        "transform": [VISIBLE],
        "mark": {"type": "rule", "clip": True, "strokeWidth": LINE_WIDTH, **TOOLTIP},
        "encoding": {**y, **arm_encoding("color", arms), **arm_encoding("strokeDash", arms)},
    }
    line = {
        "transform": [VISIBLE, {"filter": "isValid(datum.l)"}],
        "mark": {"type": "line", "clip": True, "strokeWidth": 1.4},
        "encoding": {
            **x,
            **y,
            **arm_encoding("color", arms),
            **arm_encoding("strokeDash", arms),
            "detail": {"field": "l", "type": "nominal"},
        },
    }
    point = {
        "transform": [VISIBLE],
        "params": [ZOOM],
        "mark": {"type": "point", "clip": True, "filled": True, "opacity": 1, "size": 70, **TOOLTIP},
        "encoding": {**x, **y, **look},
    }
    return layered_view(230, [level, deviation, line, point])
