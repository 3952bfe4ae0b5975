"""A study's report: one HTML file with its table, claims and figures that needs nothing else to be read."""

from __future__ import annotations

from mixup_study.analysis.table import Records, table_rows
from mixup_study.store.place import Place
from mixup_study.store.store import ResultStore
from mixup_study.study.labels import title_text
from mixup_study.study.study import Study
from mixup_study.views.layout import study_sheet, what_ran
from mixup_study.views.report.charts import Chart
from mixup_study.views.report.curves import curves
from mixup_study.views.report.drawings import drawings
from mixup_study.views.report.effects import effects
from mixup_study.views.report.facts import facts
from mixup_study.views.report.memorisation import memorisation
from mixup_study.views.report.page import html
from mixup_study.views.report.timeline import timeline
from mixup_study.views.report.trials import failed, progress, slowest
from mixup_study.views.report.verdicts import verdicts
from mixup_study.views.verdicts import title

SECTIONS = {
    "table": "Measured",
    "claims": "Claims",
    "curves": "Learning curves",
    "effects": "Hyper-parameters",
    "memorisation": "Memorisation",
    "drawings": "Figures",
    "efficiency": "Efficiency",
    "failed": "Failed trials",
    "made": "How it was made",
}
"""Headings of the sections by their ids, in their order; some say more where the study does."""


def report(study: Study, records: Records, store: ResultStore, reason: str) -> str:
    """Return the report as HTML; ``records`` are those of ``store``, and ``reason`` says why this profile.

    The same results give the same text. What has no data is left out. Raises StorageError.
    """
    rows = table_rows(study, records)
    effect = effects(study, records)
    time = timeline(study, records)
    found: dict[str, Chart | None] = {
        "curves": curves(study, rows, store),
        **{f"effect-{name}": chart for name, chart in effect.items()},
        "memorisation": memorisation(study, rows, records),
        "timeline": time.chart if time else None,
    }
    headings = SECTIONS | {"claims": title(study)}
    if study.published:
        headings["table"] = "Measured beside published"
    images = drawings(study, records, store, reason)
    losers = failed(study, records)
    claims = verdicts(study, records)
    present = {
        "table": True,
        "claims": claims,
        "curves": found["curves"],
        "effects": effect,
        "memorisation": found["memorisation"],
        "drawings": images,
        "efficiency": time,
        "failed": losers.rows,
        "made": True,
    }
    return html(
        {name: chart for name, chart in found.items() if chart is not None},
        study_sheet(study, records, reason),
        study=study,
        source=_source(study),
        ran=what_ran(study, records, reason),
        progress=progress(study, records),
        contents={id: name for id, name in headings.items() if present[id]},
        effects={f"effect-{name}": title_text(name) for name in effect},
        verdicts=claims,
        drawings=images,
        efficiency="" if time is None else time.text,
        slowest=slowest(study, records),
        failed=losers,
        facts=facts(study, records, reason),
    )


def _source(study: Study) -> str:
    """Return where in the paper the study comes from."""
    if study.paper is None:
        return "A study of its own"
    table, figure, section = study.paper.table, study.paper.figure, study.paper.section
    parts = [
        f"table {table}" if table else "",
        f"figure {figure}" if figure else "",
        f"section {section}" if section else "",
    ]
    where = ", ".join(filter(None, parts))
    return f"{where[:1].upper()}{where[1:]} of “mixup: Beyond Empirical Risk Minimization”"


def write(study: Study, records: Records, store: ResultStore, reason: str, out: str | None = None) -> str:
    """Write the report; return where it stands, without secrets.

    It goes to the file or URL ``out``, by default to ``reports/<study>.html`` in the results. Raises InputError where
    that is not possible.
    """
    text = report(study, records, store, reason)
    place = Place.of(store.location) if out is None else Place.of(out, "--out")
    path = f"{place.root}/reports/{study.name}.html" if out is None else place.root
    place.write(path, text.encode())
    return place.shown_path(path)
