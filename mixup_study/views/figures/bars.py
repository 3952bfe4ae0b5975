"""The first column of the table as bars, with the paper's numbers beside what was measured (Figure 3a)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import TableRow
from mixup_study.catalogue import CATALOGUE
from mixup_study.study.labels import key_text, title_text
from mixup_study.views.captions import describe_published
from mixup_study.views.figures.page import GAP, KeyEntry, Page
from mixup_study.views.figures.print_style import LABEL, MUTED, SMALL, line_height, text_width
from mixup_study.views.rows import absence_text, pick_note
from mixup_study.views.style import COLOURS

_HEIGHT = 2.2
_BAR = 0.42
"""Inches of a bar, wide enough for its number."""
_APART = 0.35
"""Inches between groups of bars."""
_LEFT, _BELOW = 0.5, 0.3
_NUMBER: dict[str, Any] = {
    "ha": "center",
    "va": "bottom",
    "size": SMALL,
    "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1},
}
"""Of the number at the foot of a bar, where no whisker and no other mark stands."""
_SIDE_BY_SIDE = 2
"""Panels; more of them go on below."""
_HATCHES = ("", "////", "....", "xxxx", "----")
_PUBLISHED: dict[str, Any] = {
    "marker": "D",
    "markersize": 5,
    "markerfacecolor": "white",
    "markeredgecolor": "black",
    "markeredgewidth": 0.9,
    "linestyle": "",
}


def draw(page: Page, findings: Findings) -> str:
    """Put a panel per value of the table's first key on the page, in which each arm has a bar in each group of bars.

    Return what the caption says.
    """
    keys = [name for name in findings.study.table.keys if name != "arm"]
    outer, inner = keys[:1] if len(keys) > 1 else [], keys[1:] if len(keys) > 1 else keys
    panels: dict[str, dict[str, list[TableRow]]] = {}
    for row in findings.rows:
        groups = panels.setdefault(_key_text(row, outer), {})
        groups.setdefault(_key_text(row, inner), []).append(row)
    column = findings.study.table.columns[0]
    metric = CATALOGUE.metrics[column.metric]
    top, left = 0.0, _LEFT
    for number, (title, groups) in enumerate(panels.items()):
        if number and number % _SIDE_BY_SIDE == 0:
            top, left = top + line_height(LABEL) + _HEIGHT + _BELOW + GAP, _LEFT
        start = page.text(left, top, [title]) + 0.06
        width = sum(_group_width(name, rows) for name, rows in groups.items()) + _APART * len(groups)
        axes = page.axes(left, start, width, _HEIGHT)
        _draw_panel(axes, findings, groups)
        axes.set_ylabel(metric.label)
        left += width + _LEFT + 0.15
        page.grow(left - _LEFT, start + _HEIGHT + _BELOW)
    bottom = top + line_height(LABEL) + _HEIGHT + _BELOW
    entries = [
        KeyEntry(arm, {"marker": "s", "markersize": 7, "linestyle": "", "color": _colour(number)})
        for number, arm in enumerate(findings.arms)
    ]
    has_published = any(_published(row, column.metric) is not None for row in findings.rows)
    entries += [KeyEntry("the paper's number", _PUBLISHED)] if has_published else []
    page.key(entries, _LEFT, bottom + GAP, page.width - _LEFT)
    measured = [row.measured[0] for row in findings.rows]
    bands = any(statistic is not None and statistic.deviation is not None for statistic in measured)
    notes = [
        f"Bars are the {metric.title} of the table.",
        f"Diamonds are {describe_published(findings.study)}." if has_published else "",
        "Whiskers are one standard deviation over the seeds." if bands else "",
        pick_note(findings),
    ]
    return " ".join(filter(None, notes))


def _key_text(row: TableRow, names: Sequence[str]) -> str:
    return ", ".join(
        text if isinstance(row.keys[name], str) else f"{title_text(name)} {text}"
        for name in names
        if row.keys[name] is not None
        for text in [key_text(name, row.keys[name])]
    )


def _colour(arm: int) -> str:
    """Return the colour of an arm's bars, light enough for a hatch to be seen on it."""
    return (*COLOURS[3:], *COLOURS[1:3])[arm % (len(COLOURS) - 1)]


def _group_width(name: str, rows: Sequence[TableRow]) -> float:
    return max(len(rows) * _BAR, text_width(name, SMALL))


def _published(row: TableRow, metric: str) -> float | None:
    return None if row.published is None else row.published.get(metric)


def _draw_panel(axes: Axes, findings: Findings, groups: dict[str, list[TableRow]]) -> None:
    column = findings.study.table.columns[0]
    unit = CATALOGUE.metrics[column.metric].unit
    left, middles, highest = 0.0, [], 0.0
    for name, rows in groups.items():
        width = _group_width(name, rows) + _APART
        middle = left + width / 2
        middles.append(middle)
        for number, row in enumerate(rows):
            place = middle + (number - (len(rows) - 1) / 2) * _BAR
            statistic, published = row.measured[0], _published(row, column.metric)
            if statistic is None:
                text = f" {absence_text(row, 'measurements')}"
                axes.text(place, 0, text, rotation=90, ha="center", va="bottom", color=MUTED, size=SMALL)
            else:
                arm = findings.arms.index(row.keys["arm"])
                mean, deviation = unit.scaled(statistic.mean), unit.scaled(statistic.deviation or 0)
                look: dict[str, Any] = {
                    "color": _colour(arm),
                    "hatch": _HATCHES[arm % len(_HATCHES)],
                    "edgecolor": "white",
                }
                axes.bar(place, mean, 0.86 * _BAR, linewidth=0, **look)
                if deviation:
                    axes.errorbar(place, mean, deviation, color="black", linewidth=0.8, capsize=2)
                top = mean + deviation
                number_text = f"{mean:.{column.decimals}f}"
                axes.annotate(number_text, (place, 0), (0, 3), textcoords="offset points", **_NUMBER)
                highest = max(highest, top)
            if published is not None:
                axes.plot([place], [published], zorder=3, **_PUBLISHED)
                highest = max(highest, published)
        left += width
    axes.set_xlim(0, left)
    axes.set_ylim(0, 1.08 * highest or 1)
    axes.set_xticks(middles, list(groups), size=SMALL)
    axes.tick_params(axis="x", length=0)
    axes.spines[["top", "right"]].set_visible(False)
