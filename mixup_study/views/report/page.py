"""The page: sections filled in, scripts and style within, and nothing to be loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import vl_convert
from markupsafe import Markup

from mixup_study.views.html import build_environment
from mixup_study.views.report.charts import Chart, arm_look
from mixup_study.views.style import COLOURS, DARK, LIGHT

VEGA_LITE = "6.4"
"""The release of Vega-Lite that draws the figures, with the Vega that belongs to it."""
EXPORT = "window.vegaEmbed = vegaEmbed;"
"""What of it the script calls."""
DARK_COLOURS = ("#F2F2F0", "#E98A98", "#DDAA33", "#6FA8E8", "#2FC495", "#56B4E9", "#D993B9")
"""COLOURS for a dark page: black and the dark ones lighter."""
DARK_ON_DARK = "#6FA8E8"
"""DARK for a dark page."""


def render_page(charts: Mapping[str, Chart], **sections: Any) -> str:
    """Return the page; ``charts`` by the names that the template has for them, ``sections`` as the template asks."""
    environment = build_environment()
    environment.globals.update(arm_look=arm_look)
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
        vega_lite=VEGA_LITE,
        **sections,
    )


def _text(name: str) -> str:
    return files("mixup_study.views.report").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Return what allows a script within the page to run, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _colours(arms: Sequence[str], dark: str) -> str:
    colours = {f"--arm-{index}": colour for index, colour in enumerate(arms)}
    colours |= {"--real": dark, "--corrupted": LIGHT}
    return " ".join(f"{name}: {colour};" for name, colour in colours.items())


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
        looks = {arm: {"colour": look.colour, "shape": look.shape} for arm in arms for look in [arm_look(arm)]}
        content[name] = {"specs": specs, "panels": panels, "looks": looks}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
