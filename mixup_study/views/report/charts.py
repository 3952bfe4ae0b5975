"""What the report's figures share: Vega-Lite views of the project's look, in colours that the page sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mixup_study.views.sheet import Sheet
from mixup_study.views.style import COLOURS, DASHES, MARKERS

Spec = dict[str, Any]
"""A Vega-Lite specification, or a part of one."""
Datum = dict[str, Any]
"""A row of a data set. ``a`` is the number of its arm; ``h`` and ``t`` are what stands beside the pointer: a heading,
and pairs of a label's number and a text."""

LINE_WIDTH = 1.8
"""Pixels."""
SHAPES = {
    "o": "M0,-1A1,1,0,1,1,0,1A1,1,0,1,1,0,-1Z",
    "^": "M0,-1L1,.8L-1,.8Z",
    "s": "M-.85,-.85L.85,-.85L.85,.85L-.85,.85Z",
    "D": "M0,-1L1,0L0,1L-1,0Z",
    "v": "M0,1L1,-.8L-1,-.8Z",
    "X": "M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z",
    "P": "M-.35,-1L.35,-1L.35,-.35L1,-.35L1,.35L.35,.35L.35,1L-.35,1L-.35,.35L-1,.35L-1,-.35L-.35,-.35Z",
    "<": "M-1,0L.8,-1L.8,1Z",
    ">": "M1,0L-.8,-1L-.8,1Z",
}
"""Markers as paths in a square from -1 to 1."""
ZOOM: Spec = {
    "name": "zoom",
    "select": {
        "type": "interval",
        "zoom": "wheel![event.ctrlKey || event.metaKey]",  # a wheel alone scrolls the page
        "translate": "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!",
    },
    "bind": "scales",
}
ALONG_X: Spec = {**ZOOM, "select": {**ZOOM["select"], "encodings": ["x"]}}
HOVER: Spec = {"name": "hover", "select": {"type": "point", "on": "pointerover", "clear": "pointerout"}}
TOOLTIP: Spec = {"tooltip": {"content": "data"}}
"""Of a mark: what ``h`` and ``t`` of its datum say stands beside the pointer."""
VISIBLE: Spec = {"filter": "indexof(hidden, datum.a) < 0"}
"""Leaves out the arms that the reader has hidden."""


@dataclass(frozen=True)
class Look:
    """How an arm is drawn."""

    colour: str
    """A property of the page, which has one for light and one for dark."""
    dash: Sequence[float]
    """Pixels."""
    shape: str


def arm_look(arm: int) -> Look:
    """Return the look of an arm by its number, that of the static figures."""
    dash = [round(LINE_WIDTH * length, 2) for length in DASHES[arm % len(DASHES)]]
    return Look(f"var(--arm-{arm % len(COLOURS)})", dash, SHAPES[MARKERS[arm % len(MARKERS)]])


@dataclass(frozen=True)
class Label:
    """What a text beside the pointer is of; ``arm`` is the number of an arm, whose look stands before it."""

    text: str
    arm: int | None = None


@dataclass(frozen=True)
class Panel:
    """One view: its title, what it shows in words, its specification and the data sets that this one names."""

    title: str
    description: str
    spec: Spec
    data: Mapping[str, Sequence[Datum]]
    labels: Sequence[Label]


@dataclass(frozen=True)
class Chart:
    """A figure: panels under one key of arms, what is to be said of them, and their numbers."""

    panels: Sequence[Panel]
    key: Mapping[int, str]
    """Names of arms by their numbers; the reader hides and shows them there."""
    notes: Sequence[str]
    numbers: Sheet
    """What it shows, to be read as a table."""
    wide: bool = False
    """Panels take the whole width of the page."""


def layered_view(height: int, layers: Sequence[Spec]) -> Spec:
    """Return a view as wide as its place on the page, of so many pixels' height; its data set is ``points``."""
    return {
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": [{"name": "hidden", "value": []}],
        "data": {"name": "points"},
        "layer": list(layers),
    }


def arm_encoding(kind: Literal["color", "strokeDash", "shape"], arms: int) -> Spec:
    """Return the encoding of an arm's number as ``kind``."""
    looks = [arm_look(arm) for arm in range(arms)]
    values: Mapping[str, list[Any]] = {
        "color": [look.colour for look in looks],
        "strokeDash": [list(look.dash) or [1, 0] for look in looks],
        "shape": [look.shape for look in looks],
    }
    scale = {"domain": list(range(arms)), "range": values[kind]}
    return {kind: {"field": "a", "type": "nominal", "scale": scale, "legend": None}}


def axis_encoding(channel: Literal["x", "y"], field: str, title: str, low: float, high: float, **scale: Any) -> Spec:
    """Return the encoding of a number along an axis from ``low`` to ``high``."""
    limits = {
        "domain": [round_digits(low), round_digits(high)],
        "nice": False,
        **({} if "type" in scale else {"zero": False}),
        **scale,
    }
    return {channel: {"field": field, "type": "quantitative", "title": title, "scale": limits}}


def round_digits(value: float) -> float:
    """Return a number with as many digits as a figure can show."""
    return float(f"{value:.5g}")


def hover_opacity(value: float, otherwise: float) -> Spec:
    """Return the opacity of what is, and is not, under the pointer."""
    return {"condition": {"param": "hover", "empty": False, "value": value}, "value": otherwise}
