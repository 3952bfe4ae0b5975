"""Figures of a study, drawn from its results alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Literal

from matplotlib.figure import Figure as PrintedFigure

from mixup_study.analysis.findings import Findings
from mixup_study.store.place import Place
from mixup_study.study.document import Figure, FigureKind
from mixup_study.views.captions import what_ran
from mixup_study.views.figures import bars, between, curves, regions, samples
from mixup_study.views.figures.page import Page
from mixup_study.views.figures.print_style import DPI, apply_style

FIGURES: dict[FigureKind, Callable[[Page, Findings], str]] = {
    "curves": curves.draw,
    "samples": samples.draw,
    "regions": regions.draw,
    "between": between.draw,
    "bars": bars.draw,
}
"""What puts the panels of each kind on a page, and returns what the caption says of them."""

FORMATS: tuple[Literal["png", "svg"], ...] = ("png", "svg")


def draw_figure(findings: Findings, figure: Figure) -> PrintedFigure:
    """Return a figure of the study with its caption. Panels of what has not been run say so.

    The first of the study is the paper's. Raises StorageError.
    """
    study = findings.study
    with apply_style():
        page = Page()
        notes = FIGURES[figure.kind](page, findings)
        number = study.paper.figure if study.paper and study.figures and figure is study.figures[0] else None
        title = f"Figure {number}: {figure.title}" if number else figure.title
        return page.finish(title, f"{what_ran(findings)} {notes}".strip())


def list_figures(findings: Findings) -> Sequence[Figure]:
    """Return the figures that a study lists; of one that lists none, its learning curves, if it has any by now."""
    if findings.study.figures or not any(group.curves for group in findings.curves):
        return findings.study.figures
    return [Figure(kind="curves", title="Learning curves")]


def write_figures(findings: Findings, out: str | None = None) -> list[str]:
    """Draw every figure of ``list_figures`` as PNG and as SVG; return where each file stands, without secrets.

    They go to the folder or URL ``out``, by default to ``figures/`` in the results. The same results give the same
    bytes. Raises InputError where that is not possible.
    """
    study, store = findings.study, findings.store
    files = {}
    for figure in list_figures(findings):
        printed = draw_figure(findings, figure)
        for format in FORMATS:
            files[f"{study.name}_{figure.kind}.{format}"] = _file_content(printed, format)
    place = Place.of(store.location) if out is None else Place.of(out, "--out")
    folder = f"{place.root}/figures" if out is None else place.root
    for name, content in files.items():
        if out is None:
            place.check_inside(f"{folder}/{name}")
        place.write(f"{folder}/{name}", content)
    return [place.shown_path(f"{folder}/{name}") for name in files]


def _file_content(printed: PrintedFigure, format: Literal["png", "svg"]) -> bytes:
    """Return a figure as a file that says nothing of when it was made."""
    out = io.BytesIO()
    with apply_style():
        printed.savefig(out, format=format, dpi=DPI, metadata={"Date": None} if format == "svg" else None)
    return out.getvalue()
