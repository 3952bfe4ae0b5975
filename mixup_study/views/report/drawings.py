"""The study's drawn figures, as images within the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from mixup_study.analysis.table import Records
from mixup_study.store.store import ResultStore
from mixup_study.study.study import Study
from mixup_study.views.figures import draw
from mixup_study.views.figures.style import styled

DPI = 110


@dataclass(frozen=True)
class Drawing:
    """An image, with what it shows."""

    title: str
    source: str
    """A data URL."""
    width: int
    """CSS pixels."""


def drawings(study: Study, records: Records, store: ResultStore, reason: str) -> list[Drawing]:
    """Return the figures of the study but its learning curves, which the report draws itself. Raises StorageError."""
    found = []
    for figure in study.figures:
        if figure.kind == "curves":
            continue
        drawn = draw(study, figure, records, store, reason)
        out = io.BytesIO()
        with styled():
            drawn.savefig(out, format="png", dpi=DPI)
        encoded = base64.b64encode(out.getvalue()).decode()
        found.append(Drawing(figure.title, f"data:image/png;base64,{encoded}", round(96 * drawn.get_figwidth())))
    return found
