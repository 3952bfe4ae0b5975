"""How trials did over their epochs: a line per arm, a panel per condition (the form of Figure 3b)."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mixup_study.analysis.curves import BAND, Curve, CurveGroup, CurvePanel, Line, marker_places
from mixup_study.analysis.findings import Findings
from mixup_study.views.figures.page import GAP, KeyEntry, Page, remove_scale, write_in_middle
from mixup_study.views.figures.print_style import LABEL, line_height, line_style, wrap_text
from mixup_study.views.rows import absence_text, pick_note, row_label

MANY = 8
"""Arms from which on a panel is made taller."""
_SIZES = ((5.0, 3.0), (3.5, 2.6), (2.55, 2.3))
"""Width and height of a panel, in inches, where one, two or three stand side by side."""
_STEPS = (1, 2, 5, 10)
"""Of ticks, up to a power of ten."""
_LEFT, _BELOW, _BETWEEN = 0.5, 0.4, 0.2


def draw(page: Page, findings: Findings) -> str:
    """Put a panel per condition on the page, below each other by what they show; return what the caption says."""
    groups = findings.curves
    keys = [[_key_entry(findings, line) for line in panel.lines] for group in groups for panel in group.panels]
    one_key = all(key == keys[0] for key in keys)
    bottom = 0.0
    for group in groups:
        bottom = _draw_group(page, findings, group, bottom + GAP if bottom else 0.0, with_keys=not one_key)
    if one_key:
        page.key(keys[0], _LEFT, bottom + 0.04, page.width - _LEFT)
    notes = [BAND if any(group.has_bands for group in groups) else "", pick_note(findings)]
    return " ".join(filter(None, notes))


def _draw_group(page: Page, findings: Findings, group: CurveGroup, top: float, *, with_keys: bool) -> float:
    """Put panels that share their axes below ``top``, up to three side by side; return where they end."""
    side_by_side = min(len(group.panels), len(_SIZES))
    width, height = _SIZES[side_by_side - 1]
    height *= 1.5 if len(findings.arms) > MANY else 1
    titles = [wrap_text(panel.title, width, LABEL) for panel in group.panels]
    title_height = max(map(len, titles)) * line_height(LABEL)
    bottom = top
    for index, (panel, title) in enumerate(zip(group.panels, titles, strict=True)):
        column = index % side_by_side
        if column == 0 and index:
            top = bottom + GAP
        left = _LEFT + column * (width + _BETWEEN)
        start = top + title_height + (0.06 if title_height else 0.0)
        page.text(left, top + title_height - len(title) * line_height(LABEL), title)
        axes = page.axes(left, start, width, height)
        _draw_panel(axes, findings, group, panel)
        axes.tick_params(labelleft=column == 0)
        if column == 0:
            axes.set_ylabel(group.quantity.label)
        end = start + height + _BELOW
        if with_keys:
            end = page.key([_key_entry(findings, line) for line in panel.lines], left, end + 0.04, width)
        bottom = max(bottom, end)
        page.grow(left + width + 0.1, bottom)
    return bottom


def _key_entry(findings: Findings, line: Line) -> KeyEntry:
    arm = line.row.keys["arm"]
    if line.curve is None:
        return KeyEntry(f"{arm}: {absence_text(line.row, 'epochs')}", None)
    return KeyEntry(row_label(findings, line.row), line_style(findings.arms.index(arm)))


def _draw_panel(axes: Axes, findings: Findings, group: CurveGroup, panel: CurvePanel) -> None:
    axes.set_xlabel(group.epoch_label)
    axes.set_xlim(0, group.x_limit)
    axes.set_ylim(0, group.y_limit)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=_STEPS, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=_STEPS, integer=group.quantity.unit.is_count))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.5)
    axes.set_axisbelow(True)
    if not group.curves:
        remove_scale(axes)
    for line in panel.lines:
        if line.curve is not None:
            _draw_line(axes, line.curve, findings.arms.index(line.row.keys["arm"]), len(findings.arms))
    if all(line.curve is None for line in panel.lines):
        write_in_middle(axes, " / ".join(dict.fromkeys(absence_text(line.row, "epochs") for line in panel.lines)))


def _draw_line(axes: Axes, curve: Curve, arm: int, arms: int) -> None:
    style = line_style(arm)
    places = list(marker_places(len(curve.epochs), arm, arms))
    axes.plot(curve.epochs, curve.mean, markevery=places, clip_on=False, **style)
    if curve.deviation is not None:
        axes.fill_between(curve.epochs, curve.low, curve.high, color=style["color"], alpha=0.15, linewidth=0)
