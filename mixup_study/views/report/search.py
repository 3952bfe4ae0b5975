"""What a study's searches proposed: their history, and what was measured over their space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.optuna_study import find_importances
from mixup_study.catalogue import CATALOGUE, Quantity
from mixup_study.study.labels import describe_condition, field_title, name_search, plain, setting_text, title_text
from mixup_study.study.search_progress import SearchProgress
from mixup_study.study.space import Distribution
from mixup_study.views.report.charts import (
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

POINTS = 400
"""Proposals of a search that are drawn over its space: the best, and the rest evenly."""
CONTOUR_CELLS = 24
"""Cells along each side of a contour plot."""
SCHEME = "viridis"


@dataclass(frozen=True)
class ProposalResult:
    """A proposal that has ended, or was stopped."""

    number: int
    values: Mapping[str, Any]
    result: float
    """As shown; of one that was stopped, what it measured then."""
    stopped: bool


@dataclass(frozen=True)
class SearchResults:
    """The searches of a study with the proposals that have ended."""

    findings: Findings
    quantity: Quantity
    searches: Sequence[tuple[SearchProgress, Sequence[ProposalResult]]]

    @classmethod
    def read(cls, findings: Findings) -> SearchResults | None:
        """Return the searches of a study; None where none of their proposals has ended."""
        if not findings.searches:
            return None
        quantity = CATALOGUE.metrics[findings.searches[0].search.options.objective]
        searches = [(progress, _list_ended(progress, quantity)) for progress in findings.searches]
        return cls(findings, quantity, searches) if any(own for _, own in searches) else None

    def condition(self, progress: SearchProgress) -> str:
        """Return under which values of the table's fields a search is."""
        return describe_condition(self.findings.study, progress.search)

    def name(self, progress: SearchProgress) -> str:
        """Return what a search is called: its condition and its arm."""
        return name_search(self.findings.study, progress.search)

    def arm(self, progress: SearchProgress) -> int:
        """Return the number of a search's arm."""
        return self.findings.arms.index(progress.search.arm)


def _list_ended(progress: SearchProgress, quantity: Quantity) -> list[ProposalResult]:
    proposals = []
    for number, values in enumerate(progress.proposals):
        result = progress.result(number)
        if result is not None and math.isfinite(result):
            stopped = progress.stopped_after(number) is not None
            proposals.append(ProposalResult(number, values, quantity.unit.scaled(result), stopped))
    return proposals


def chart_search(findings: Findings) -> dict[str, tuple[str, Chart]]:
    """Return the figures of the searches with their titles; none where no proposal has ended."""
    results = SearchResults.read(findings)
    if results is None:
        return {}
    charts = {"search-history": ("History", _chart_history(results))}
    for name in dict.fromkeys(name for progress, _ in results.searches for name in progress.search.space):
        chart = _chart_slice(results, name)
        if chart is not None:
            charts[f"search-slice-{name}"] = (f"Over {field_title(name)}", chart)
    for key, title, build in (
        ("search-front", "What is minimised, together", _chart_front),
        ("search-parallel", "All fields together", _chart_parallel),
        ("search-contour", "The two fields that decide most", _chart_contours),
    ):
        if (chart := build(results)) is not None:
            charts[key] = (title, chart)
    return charts


def _result_text(proposal: ProposalResult, results: SearchResults) -> str:
    return f"{proposal.result:.{results.quantity.unit.decimals}f}"


def _numbers(results: SearchResults) -> Sheet:
    rows = [
        [results.name(progress), str(proposal.number), setting_text(proposal.values), _result_text(proposal, results)]
        for progress, own in results.searches
        for proposal in own
    ]
    return Sheet(["search", "proposal", "setting", results.quantity.label], rows, numeric=frozenset({1, 3}))


def _highest(results: SearchResults) -> float:
    return max((proposal.result for _, own in results.searches for proposal in own), default=1.0) * 1.05 or 1.0


def _by_condition(results: SearchResults) -> dict[str, list[tuple[SearchProgress, Sequence[ProposalResult]]]]:
    groups: dict[str, list[tuple[SearchProgress, Sequence[ProposalResult]]]] = {}
    for progress, own in results.searches:
        groups.setdefault(results.condition(progress), []).append((progress, own))
    return groups


def _key(results: SearchResults) -> dict[int, str]:
    return {results.arm(progress): progress.search.arm for progress, _ in results.searches}


def _datum(results: SearchResults, progress: SearchProgress, proposal: ProposalResult, labels: list[Label]) -> Datum:
    """Return a proposal as a point, and append the label of what stands beside the pointer."""
    arm = results.arm(progress)
    labels.append(Label(f"{progress.search.arm}: {setting_text(proposal.values)}", arm))
    text = _result_text(proposal, results)
    return {
        "a": arm,
        "y": round_digits(proposal.result),
        "h": f"proposal {proposal.number}",
        "t": [[len(labels) - 1, text]],
    }


def _draw_points(x: Spec, y: Spec, arms: int) -> Spec:
    """Return the layer of the proposals as points."""
    return {
        "transform": [VISIBLE],
        "params": [ZOOM],
        "mark": {"type": "point", "clip": True, "filled": True, "opacity": 0.75, "size": 45, **TOOLTIP},
        "encoding": {**x, **y, **arm_encoding("color", arms), **arm_encoding("shape", arms)},
    }


def _draw_steps(data: str, x: Spec, y: Spec, arms: int) -> Spec:
    """Return the layer of a line that goes down in steps, for each arm."""
    return {
        "data": {"name": data},
        "transform": [VISIBLE],
        "mark": {"type": "line", "clip": True, "interpolate": "step-after", "strokeWidth": 1.8},
        "encoding": {**x, **y, **arm_encoding("color", arms), **arm_encoding("strokeDash", arms)},
    }


def _chart_history(results: SearchResults) -> Chart:
    arms = len(results.findings.arms)
    most = max(progress.search.options.proposals for progress, _ in results.searches)
    x = axis_encoding("x", "x", "proposal", -0.02 * most - 0.5, most - 0.5 + 0.02 * most)
    x["x"]["axis"] = {"grid": False, "tickMinStep": 1, "format": "d"}
    y = axis_encoding("y", "y", results.quantity.label, 0, _highest(results))
    best = _draw_steps("best", x, y, arms)
    spec = layered_view(260, [best, _draw_points(x, y, arms)])
    panels = []
    for condition, group in _by_condition(results).items():
        labels: list[Label] = []
        points: list[Datum] = []
        lowest: list[Datum] = []
        for progress, own in group:
            least = math.inf
            for proposal in own:
                points.append({**_datum(results, progress, proposal, labels), "x": proposal.number})
                least = least if proposal.stopped else min(least, proposal.result)
                if math.isfinite(least):
                    lowest.append({"a": results.arm(progress), "x": proposal.number, "y": round_digits(least)})
        names = ", ".join(progress.search.arm for progress, _ in group)
        description = f"{results.quantity.title.capitalize()} of each proposal, and the best so far, of {names}."
        panels.append(Panel(condition, description, spec, {"points": points, "best": lowest}, labels))
    note = "A point is a proposal, a mean over its seeds; the line is the best so far"
    if results.searches[0][0].search.options.stop is not None:
        note += " of those trained to their end, the other points what was measured where they were stopped"
    notes = [f"{note}."]
    return Chart(panels, _key(results), notes, _numbers(results))


def _chart_front(results: SearchResults) -> Chart | None:
    """Return the proposals over both of two measurements that are minimised; None of more, or of one."""
    minimised = results.searches[0][0].search.options.minimise
    if len(minimised) != 2:
        return None
    first, second = (CATALOGUE.metrics[name] for name in minimised)

    def place(progress: SearchProgress, proposal: ProposalResult) -> Datum:
        measured = progress.observe(proposal.number).objectives
        return {"x": round_digits(first.unit.scaled(measured[0])), "y": round_digits(second.unit.scaled(measured[1]))}

    drawn = {
        progress.search.search_id: [
            (proposal, where)
            for proposal in own
            if not proposal.stopped and math.isfinite((where := place(progress, proposal))["y"])
        ]
        for progress, own in results.searches
    }
    places = [where for own in drawn.values() for _, where in own]
    x = axis_encoding("x", "x", first.label, *_list_ends([where["x"] for where in places]))
    y = axis_encoding("y", "y", second.label, *_list_ends([where["y"] for where in places]))
    arms = len(results.findings.arms)
    line = _draw_steps("front", x, y, arms)
    spec = layered_view(260, [line, _draw_points(x, y, arms)])
    panels = []
    for condition, group in _by_condition(results).items():
        labels: list[Label] = []
        points: list[Datum] = []
        front: list[Datum] = []
        for progress, _ in group:
            best = set(progress.list_front())
            for proposal, where in drawn[progress.search.search_id]:
                points.append({**_datum(results, progress, proposal, labels), **where})
                if proposal.number in best:
                    front.append({"a": results.arm(progress), **where})
        names = ", ".join(progress.search.arm for progress, _ in group)
        description = f"{first.title.capitalize()} and {second.title} of each proposal of {names}."
        panels.append(Panel(condition, description, spec, {"points": points, "front": front}, labels))
    notes = ["A point is a proposal; the line joins the Pareto front, of which no other proposal is better in both."]
    return Chart(panels, _key(results), notes, _numbers(results))


def _list_ends(values: Sequence[float]) -> tuple[float, float]:
    """Return both ends of an axis that shows all of ``values``, none of which is negative."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low) or 1.0
    return max(0.0, low - margin), high + margin


def _place(distribution: Distribution, value: Any) -> float:
    """Return where a value stands in its range, from 0 to 1."""
    if distribution.choice is not None:
        return distribution.choice.index(value) / max(len(distribution.choice) - 1, 1)
    low, high = distribution.bounds
    if distribution.is_log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return round_digits((value - low) / (high - low))


def _is_number(distribution: Distribution) -> bool:
    return distribution.choice is None


def _chart_slice(results: SearchResults, name: str) -> Chart | None:
    having = [(progress, own) for progress, own in results.searches if name in progress.search.space]
    ranges = [progress.search.space[name] for progress, _ in having]
    if not all(map(_is_number, ranges)) or not any(own for _, own in having):
        return None
    low, high = min(own.bounds[0] for own in ranges), max(own.bounds[1] for own in ranges)
    logarithmic = all(own.is_log for own in ranges)
    margin = (high - low) * 0.04
    if logarithmic:
        x = axis_encoding("x", "x", field_title(name), low / 1.15, high * 1.15, type="log")
    else:
        x = axis_encoding("x", "x", field_title(name), low - margin, high + margin)
    x["x"]["axis"] = {"grid": False, "labelExpr": "format(datum.value, '~r')"}
    y = axis_encoding("y", "y", results.quantity.label, 0, _highest(results))
    arms = len(results.findings.arms)
    spec = layered_view(230, [_draw_points(x, y, arms)])
    panels = []
    for condition, group in _by_condition(results).items():
        labels: list[Label] = []
        points = [
            {**_datum(results, progress, proposal, labels), "x": round_digits(float(proposal.values[name]))}
            for progress, own in group
            if name in progress.search.space
            for proposal in _few(own)
        ]
        description = f"{results.quantity.title.capitalize()} of each proposal against {title_text(name)}."
        panels.append(Panel(condition, description, spec, {"points": points}, labels))
    key = {results.arm(progress): progress.search.arm for progress, _ in having}
    return Chart(panels, key, ["A point is a proposal."], _numbers(results))


def _few(own: Sequence[ProposalResult]) -> Sequence[ProposalResult]:
    """Return the proposals that are drawn: the best half of POINTS, and as many of the rest, evenly."""
    if len(own) <= POINTS:
        return own
    ranked = sorted(own, key=lambda proposal: proposal.result)
    rest = ranked[POINTS // 2 :]
    return ranked[: POINTS // 2] + rest[:: -(-len(rest) // (POINTS // 2))]


def _colour_by_result(results: SearchResults, field: str = "r") -> Spec:
    scale = {"scheme": SCHEME, "reverse": True}
    legend = {"title": results.quantity.label, "gradientLength": 160, "gradientThickness": 10}
    return {"color": {"field": field, "type": "quantitative", "scale": scale, "legend": legend}}


def _chart_parallel(results: SearchResults) -> Chart | None:
    panels = []
    for progress, own in results.searches:
        space = progress.search.space
        if len(space) < 2 or not own:
            continue
        axes = [field_title(name) for name in space]
        lines: list[Datum] = []
        for proposal in sorted(_few(own), key=lambda proposal: -proposal.result):  # the best on top
            for axis, (name, distribution) in zip(axes, space.items(), strict=True):
                point = {"x": axis, "y": _place(distribution, proposal.values[name]), "l": proposal.number}
                lines.append({**point, "r": round_digits(proposal.result)})
        ends = [
            {"x": axis, "y": place, "s": _end_text(distribution, place)}
            for axis, distribution in zip(axes, space.values(), strict=True)
            for place in (0, 1)
        ]
        x: Spec = {"x": {"field": "x", "type": "nominal", "sort": axes, "title": None, "axis": {"labelAngle": 0}}}
        hidden = {"axis": None, "scale": {"domain": [-0.12, 1.12], "nice": False, "zero": False}}
        y: Spec = {"y": {"field": "y", "type": "quantitative", **hidden}}
        rule = {
            "data": {"name": "ends"},
            "mark": {"type": "line", "strokeWidth": 1, "color": "var(--muted)"},
            "encoding": {**x, **y, "detail": {"field": "x"}},
        }
        line = {
            "mark": {"type": "line", "clip": True, "strokeWidth": 1.3, "opacity": 0.7},
            "encoding": {**x, **y, **_colour_by_result(results), "detail": {"field": "l"}},
        }
        above = {"expr": "datum.y > 0 ? -9 : 11"}
        text = {
            "data": {"name": "ends"},
            "mark": {"type": "text", "dy": above, "fontSize": 11},
            "encoding": {**x, **y, "text": {"field": "s"}},
        }
        spec = layered_view(230, [rule, line, text])
        description = f"Proposals of {results.name(progress)} as lines over the ranges of {', '.join(axes)}."
        panels.append(Panel(results.name(progress), description, spec, {"points": lines, "ends": ends}, []))
    notes = ["A line is a proposal; each axis is the range of a field, logarithmic where it is drawn so."]
    return Chart(panels, {}, notes, _numbers(results)) if panels else None


def _end_text(distribution: Distribution, place: int) -> str:
    values = distribution.choice or distribution.bounds
    return plain(values[-1 if place else 0])


def _chart_contours(results: SearchResults) -> Chart | None:
    panels = []
    for progress, own in results.searches:
        space = {name: distribution for name, distribution in progress.search.space.items() if _is_number(distribution)}
        importances = find_importances(results.findings.study, progress)
        if len(space) < 2 or not importances:
            continue
        first, second = sorted(space, key=lambda name: -importances[name])[:2]
        panels.append(_contour_panel(results, progress, _few(own), first, second))
    notes = [
        "A point is a proposal; the colour between them is a mean of all, weighted by the inverse fourth power of the"
        " distance: a guide for the eye."
    ]
    return Chart(panels, {}, notes, _numbers(results)) if panels else None


def _contour_panel(
    results: SearchResults, progress: SearchProgress, own: Sequence[ProposalResult], first: str, second: str
) -> Panel:
    space = progress.search.space
    places = [
        (_place(space[first], proposal.values[first]), _place(space[second], proposal.values[second]))
        for proposal in own
    ]
    cells: list[Datum] = []
    for column in range(CONTOUR_CELLS):
        for row in range(CONTOUR_CELLS):
            x, y = (column + 0.5) / CONTOUR_CELLS, (row + 0.5) / CONTOUR_CELLS
            weights = [1 / ((x - px) ** 2 + (y - py) ** 2 + 1e-3) ** 2 for px, py in places]
            mean = sum(weight * proposal.result for weight, proposal in zip(weights, own, strict=True)) / sum(weights)
            cell = {"x": column / CONTOUR_CELLS, "y": row / CONTOUR_CELLS, "r": float(f"{mean:.3g}")}
            cells.append({name: round(value, 4) for name, value in cell.items()})
    points = [
        {"x": px, "y": py, "r": round_digits(proposal.result)} for (px, py), proposal in zip(places, own, strict=True)
    ]

    def axis(channel: str, name: str) -> Spec:
        return {
            channel: {
                "field": channel,
                "type": "quantitative",
                "title": field_title(name),
                "scale": {"domain": [0, 1], "nice": False},
                "axis": _range_axis(space[name]),
            }
        }

    encoding = {**axis("x", first), **axis("y", second)}
    size = 1 / CONTOUR_CELLS + 1e-3  # no seams
    ends = {
        "transform": [{"calculate": f"datum.x + {size}", "as": "x2"}, {"calculate": f"datum.y + {size}", "as": "y2"}],
        "mark": {"type": "rect", "opacity": 1},
        "encoding": {**encoding, "x2": {"field": "x2"}, "y2": {"field": "y2"}, **_colour_by_result(results)},
    }
    marks = {
        "data": {"name": "tried"},
        "mark": {"type": "point", "filled": True, "size": 30, "stroke": "white", "strokeWidth": 0.8, "opacity": 1},
        "encoding": {**encoding, **_colour_by_result(results)},
    }
    spec = layered_view(260, [ends, marks])
    description = f"{results.quantity.title.capitalize()} of {results.name(progress)} over {first} and {second}."
    return Panel(results.name(progress), description, spec, {"points": cells, "tried": points}, [])


def _range_axis(distribution: Distribution) -> Spec:
    """Return the axis of places from 0 to 1, labelled with the values that stand there."""
    low, high = distribution.bounds
    value = f"{low} * pow({high / low}, datum.value)" if distribution.is_log else f"{low} + {high - low} * datum.value"
    return {"grid": False, "values": [0, 0.25, 0.5, 0.75, 1], "labelExpr": f"format({value}, '.2~r')"}
