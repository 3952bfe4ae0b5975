"""The page: sections filled in, scripts and style within, and nothing to be loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mixup_study.views.figures.style import COLOURS, DARK, LIGHT
from mixup_study.views.layout import NOT_PUBLISHED
from mixup_study.views.render import Sheet
from mixup_study.views.report.charts import Chart, Look

VEGA_LITE = "6.4"
"""The release of Vega-Lite that draws the figures, with the Vega that belongs to it."""
EXPORT = "window.vegaEmbed = vegaEmbed;"
"""What of it the script calls."""
DARK_COLOURS = ("#F2F2F0", "#E98A98", "#DDAA33", "#6FA8E8", "#2FC495", "#56B4E9", "#D993B9")
"""COLOURS for a dark page: black and the dark ones lighter."""
DARK_ON_DARK = "#6FA8E8"
"""DARK for a dark page."""


@dataclass(frozen=True)
class Entry:
    """An entry of the study's table: what was measured, and what stands in the paper."""

    text: str
    paper: str
    numeric: bool
    marked: bool


@dataclass(frozen=True)
class Heading:
    """A heading over neighbouring columns."""

    text: str
    columns: int
    numeric: bool = False


@dataclass(frozen=True)
class Grid:
    """The study's table as HTML has it."""

    caption: str
    groups: Sequence[Heading]
    """Empty where there are none."""
    headings: Sequence[Heading]
    rows: Sequence[tuple[bool, Sequence[Entry]]]
    """Whether a line stands before the row, and its entries."""
    gaps: bool
    """Whether the paper lacks any of the numbers."""


def html(charts: Mapping[str, Chart], sheet: Sheet, **sections: Any) -> str:
    """Return the page; ``charts`` by the names that the template has for them, ``sections`` as the template asks."""
    environment = Environment(
        loader=PackageLoader("mixup_study.views.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(look=Look.of)
    library = f"(() => {{{vl_convert.javascript_bundle(EXPORT, VEGA_LITE)}}})();"
    script = _text("report.js")
    policy = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "script-src": f"{_hash(library)} {_hash(script)}",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return environment.get_template("report.html.j2").render(
        policy="; ".join(f"{name} {value}" for name, value in policy.items()),
        style=Markup(_text("report.css")),
        colours=Markup(_colours(COLOURS, DARK)),
        dark_colours=Markup(_colours(DARK_COLOURS, DARK_ON_DARK)),
        library=Markup(library),
        script=Markup(script),
        data=Markup(_json(charts)),
        charts=charts,
        grid=_grid(sheet),
        not_published=NOT_PUBLISHED,
        vega_lite=VEGA_LITE,
        **sections,
    )


def _text(name: str) -> str:
    return files("mixup_study.views.report").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Return what allows a script within the page to run, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _colours(arms: Sequence[str], dark: str) -> str:
    found = {f"--arm-{index}": colour for index, colour in enumerate(arms)}
    found |= {"--real": dark, "--corrupted": LIGHT}
    return " ".join(f"{name}: {colour};" for name, colour in found.items())


def _json(charts: Mapping[str, Chart]) -> str:
    """Return what the script draws, as JSON that cannot end the element it stands in."""
    content = {}
    for name, chart in charts.items():
        specs: list[Any] = []
        panels = []
        for panel in chart.panels:
            if panel.spec not in specs:
                specs.append(panel.spec)
            labels = [[label.text, label.arm] for label in panel.labels]
            panels.append({"spec": specs.index(panel.spec), "data": panel.data, "labels": labels})
        arms = sorted({label.arm for panel in chart.panels for label in panel.labels if label.arm is not None})
        looks = {arm: {"colour": look.colour, "shape": look.shape} for arm in arms for look in [Look.of(arm)]}
        content[name] = {"specs": specs, "panels": panels, "looks": looks}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _grid(sheet: Sheet) -> Grid:
    groups: list[Heading] = []
    for group in [*sheet.groups, *[""] * (len(sheet.headings) - len(sheet.groups))]:
        if groups and groups[-1].text == group:
            groups[-1] = Heading(group, groups[-1].columns + 1)
        else:
            groups.append(Heading(group, 1))
    rows = []
    for row, entries in enumerate(sheet.rows):
        made = []
        for column, text in enumerate(entries):
            place = row, column
            made.append(Entry(text, sheet.published.get(place, ""), column in sheet.numeric, place in sheet.marked))
        rows.append((row in sheet.breaks, made))
    headings = [Heading(text, 1, index in sheet.numeric) for index, text in enumerate(sheet.headings)]
    gaps = NOT_PUBLISHED in sheet.published.values()
    return Grid(sheet.caption, groups if any(sheet.groups) else [], headings, rows, gaps)
