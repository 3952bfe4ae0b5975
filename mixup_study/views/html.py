"""A sheet as HTML, alone or within a page."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from mixup_study.views.sheet import NOT_PUBLISHED, Sheet


def build_environment() -> Environment:
    """Return what fills in the templates; text is escaped."""
    environment = Environment(
        loader=PackageLoader("mixup_study.views.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(not_published=NOT_PUBLISHED)
    return environment


def render_html(sheet: Sheet, marked: str) -> str:
    """Return a sheet as a table and its caption; ``marked`` says what the entries are that stand out."""
    template = build_environment().from_string(
        '{% from "sheet.html.j2" import table, caption with context %}{{ table(sheet) }}{{ caption(sheet) }}'
    )
    return template.render(sheet=sheet.escaped(" "), marked=marked)
