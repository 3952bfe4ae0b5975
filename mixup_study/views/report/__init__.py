"""A study's report: one HTML file with its table, claims and figures that needs nothing else to be read."""

from __future__ import annotations

from mixup_study.analysis.findings import Findings
from mixup_study.store.place import Place
from mixup_study.study.labels import title_text
from mixup_study.study.study import Study
from mixup_study.views.captions import marked_text, what_ran
from mixup_study.views.methods import cite, list_paragraphs, list_references
from mixup_study.views.report.charts import Chart
from mixup_study.views.report.claims import list_claims
from mixup_study.views.report.curves import chart_curves
from mixup_study.views.report.drawings import embed_drawings
from mixup_study.views.report.effects import chart_effects
from mixup_study.views.report.facts import list_facts
from mixup_study.views.report.memorisation import chart_memorisation
from mixup_study.views.report.page import render_page
from mixup_study.views.report.search import chart_search
from mixup_study.views.report.timeline import chart_timeline
from mixup_study.views.search_tables import front_sheet, importances_sheet, picked_sheet
from mixup_study.views.study_table import study_sheet
from mixup_study.views.trials_table import failed_sheet, slowest_sheet
from mixup_study.views.verdicts import verdicts_title

SECTIONS = {
    "table": "Measured",
    "claims": "Claims",
    "curves": "Learning curves",
    "search": "Search",
    "effects": "Hyper-parameters",
    "memorisation": "Memorisation",
    "drawings": "Figures",
    "efficiency": "Efficiency",
    "failed": "Failed trials",
    "methods": "Methods",
    "made": "How it was made",
}
"""Headings of the sections by their ids, in their order; some say more where the study does."""


def report_html(findings: Findings) -> str:
    """Return the report as HTML; the same results give the same text.

    What has no data is left out. Raises StorageError.
    """
    study = findings.study
    curves, effects, search = chart_curves(findings), chart_effects(findings), chart_search(findings)
    charts: dict[str, Chart | None] = {
        **{f"curves-{label}": chart for label, chart in curves.items()},
        **{name: chart for name, (_, chart) in search.items()},
        **{f"effect-{name}": chart for name, chart in effects.items()},
        "memorisation": chart_memorisation(findings),
        "timeline": chart_timeline(findings),
    }
    headings = SECTIONS | {"claims": verdicts_title(study)}
    if findings.has_published:
        headings["table"] = "Measured beside published"
    drawings = embed_drawings(findings)
    failed = failed_sheet(findings)
    claims, references = list_claims(findings), list_references(findings)
    present = {
        "table": True,
        "claims": claims,
        "curves": curves,
        "search": search,
        "effects": effects,
        "memorisation": charts["memorisation"],
        "drawings": drawings,
        "efficiency": charts["timeline"],
        "failed": failed.rows,
        "methods": True,
        "made": True,
    }
    return render_page(
        {name: chart for name, chart in charts.items() if chart is not None},
        study=study,
        sheet=study_sheet(findings),
        marked=marked_text(study),
        source=_source(study),
        ran=what_ran(findings),
        progress=findings.progress,
        contents={id: name for id, name in headings.items() if present[id]},
        curves={f"curves-{label}": label for label in curves},
        search={name: title for name, (title, _) in search.items()},
        picked=picked_sheet(findings),
        front=front_sheet(findings),
        importances=importances_sheet(findings),
        effects={f"effect-{name}": title_text(name) for name in effects},
        claims=claims,
        drawings=drawings,
        efficiency="" if findings.slot_use is None else findings.slot_use.text,
        slowest=slowest_sheet(findings),
        failed=failed,
        methods=[cite(paragraph, references, "text") for paragraph in list_paragraphs(findings)],
        bibtex="\n\n".join(reference.bibtex for reference in references),
        facts=list_facts(findings),
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


def write_report(findings: Findings, out: str | None = None) -> str:
    """Write the report; return where it stands, without secrets.

    It goes to the file or URL ``out``, by default to ``reports/<study>.html`` in the results. Raises InputError where
    that is not possible.
    """
    text = report_html(findings)
    place = Place.of(findings.store.location) if out is None else Place.of(out, "--out")
    path = f"{place.root}/reports/{findings.study.name}.html" if out is None else place.root
    if out is None:
        place.check_inside(path)
    place.write(path, text.encode())
    return place.shown_path(path)
