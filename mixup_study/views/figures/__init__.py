"""Figures of a study, drawn from its results alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Literal

from matplotlib.figure import Figure as Drawn

from mixup_study.analysis.table import Records, TableRow, table_rows
from mixup_study.store.place import Place
from mixup_study.store.store import ResultStore
from mixup_study.study.document import Figure, FigureKind
from mixup_study.study.study import Study
from mixup_study.views.figures import curves, regions, samples
from mixup_study.views.figures.page import Page
from mixup_study.views.figures.style import DPI, styled
from mixup_study.views.layout import what_ran

FIGURES: dict[FigureKind, Callable[[Page, Study, Sequence[TableRow], ResultStore], str]] = {
    "curves": curves.draw,
    "samples": samples.draw,
    "regions": regions.draw,
}
"""What puts the panels of each kind on a page, and returns what the caption says of them."""

FORMATS: tuple[Literal["png", "svg"], ...] = ("png", "svg")


def draw(study: Study, figure: Figure, records: Records, store: ResultStore, reason: str) -> Drawn:
    """Return a figure of the study with its caption; ``records`` are those of ``store``.

    Panels of what has not been run say so. The first of the study is the paper's. ``reason`` says why this profile.
    Raises StorageError.
    """
    with styled():
        page = Page()
        notes = FIGURES[figure.kind](page, study, table_rows(study, records), store)
        number = study.paper.figure if study.paper and figure is study.figures[0] else None
        title = f"Figure {number}: {figure.title}" if number else figure.title
        return page.finish(title, f"{what_ran(study, records, reason)} {notes}".strip())


def write(study: Study, records: Records, store: ResultStore, reason: str, out: str | None = None) -> list[str]:
    """Draw every figure of the study as PNG and as SVG; return where each file stands, without secrets.

    They go to the folder or URL ``out``, by default to ``figures/`` in the results. The same results give the same
    bytes. Raises InputError where that is not possible.
    """
    files = {}
    for figure in study.figures:
        drawn = draw(study, figure, records, store, reason)
        for format in FORMATS:
            files[f"{study.name}_{figure.kind}.{format}"] = _rendered(drawn, format)
    place = Place.of(store.location) if out is None else Place.of(out, "--out")
    folder = f"{place.root}/figures" if out is None else place.root
    for name, content in files.items():
        place.write(f"{folder}/{name}", content)
    return [place.shown_path(f"{folder}/{name}") for name in files]


def _rendered(drawn: Drawn, format: Literal["png", "svg"]) -> bytes:
    """Return a drawn figure as a file that says nothing of when it was made."""
    out = io.BytesIO()
    with styled():
        drawn.savefig(out, format=format, dpi=DPI, metadata={"Date": None} if format == "svg" else None)
    return out.getvalue()
