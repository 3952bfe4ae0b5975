"""The study's drawn figures, as images within the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from mixup_study.analysis.findings import Findings

DPI = 110


@dataclass(frozen=True)
class Drawing:
    """An image, with what it shows."""

    title: str
    source: str
    """A data URL."""
    width: int
    """CSS pixels."""


def embed_drawings(findings: Findings) -> list[Drawing]:
    """Return the figures of the study but its learning curves, which the report draws itself. Raises StorageError."""
    figures = [figure for figure in findings.study.figures if figure.kind != "curves"]
    if not figures:
        return []
    from mixup_study.views.figures import draw_figure  # imports matplotlib, which nothing else of the report needs
    from mixup_study.views.figures.print_style import apply_style

    drawings = []
    for figure in figures:
        drawing = draw_figure(findings, figure)
        out = io.BytesIO()
        with apply_style():
            drawing.savefig(out, format="png", dpi=DPI)
        encoded = base64.b64encode(out.getvalue()).decode()
        drawings.append(Drawing(figure.title, f"data:image/png;base64,{encoded}", round(96 * drawing.get_figwidth())))
    return drawings
