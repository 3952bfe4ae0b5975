"""What models do in between training examples: misses and gradient norms over lambda (Figure 2)."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mixup_study.analysis.between import LambdaCurve, LambdaPanel, describe_bands, lambda_panels
from mixup_study.analysis.curves import marker_places
from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import TableRow
from mixup_study.views.figures.page import GAP, KeyEntry, Page, remove_scale, write_in_middle
from mixup_study.views.figures.print_style import LABEL, line_height, line_style
from mixup_study.views.rows import absence_text, pick_note, row_label

_WIDTH, _HEIGHT = 2.2, 2.0
"""Inches of a panel."""
_LEFT, _BETWEEN, _BELOW = 0.5, 0.62, 0.4


def draw(page: Page, findings: Findings) -> str:
    """Put a row of panels per condition on the page, one of each quantity; return what the caption says."""
    every: list[LambdaPanel] = []
    top = 0.0
    rows: list[TableRow] = []
    for title, rows_of_condition in findings.conditions.items():
        rows = list(rows_of_condition)
        if title:
            top = page.text(_LEFT, top, [title]) + 0.06
        panels = lambda_panels(rows, findings.points_of_all)
        every += panels
        for column, panel in enumerate(panels):
            axes = page.axes(_LEFT + column * (_WIDTH + _BETWEEN), top, _WIDTH, _HEIGHT)
            _draw_panel(axes, findings, panel)
        top += _HEIGHT + _BELOW + GAP
        page.grow(_LEFT + len(panels) * (_WIDTH + _BETWEEN) - _BETWEEN + 0.1, top)
    entries = [KeyEntry(row_label(findings, row), line_style(_arm(findings, row))) for row in rows]
    page.key(entries, _LEFT, top - GAP + 0.5 * line_height(LABEL), page.width - _LEFT)
    return " ".join(filter(None, [describe_bands(every), pick_note(findings)]))


def _arm(findings: Findings, row: TableRow) -> int:
    return findings.arms.index(row.keys["arm"])


def _draw_panel(axes: Axes, findings: Findings, panel: LambdaPanel) -> None:
    axes.set_xlabel("λ")
    axes.set_ylabel(panel.label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.5)
    axes.set_axisbelow(True)
    curves = [curve for _, curve in panel.lines if curve is not None]
    if not curves:
        remove_scale(axes)
        write_in_middle(axes, " / ".join(dict.fromkeys(absence_text(row, "points") for row, _ in panel.lines)))
        return
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.08 * max(float((curve.mean + curve.deviation).max()) for curve in curves) or 1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    for row, curve in panel.lines:
        if curve is not None:
            _draw_line(axes, curve, _arm(findings, row), len(findings.arms))


def _draw_line(axes: Axes, curve: LambdaCurve, arm: int, arms: int) -> None:
    style = line_style(arm)
    axes.plot(curve.lams, curve.mean, markevery=list(marker_places(len(curve.lams), arm, arms)), clip_on=False, **style)
    low, high = curve.mean - curve.deviation, curve.mean + curve.deviation
    axes.fill_between(curve.lams, low.clip(0), high, color=style["color"], alpha=0.15, linewidth=0)
