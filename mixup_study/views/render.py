"""A sheet as a terminal table, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import shutil
import textwrap
from collections.abc import Callable
from typing import Literal, get_args

from rich import box
from rich.console import Console
from rich.table import Table as TextTable

from mixup_study.views.latex import render_latex
from mixup_study.views.sheet import Row, Sheet

Format = Literal["text", "markdown", "latex", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)


def render(sheet: Sheet, format: Format) -> str:
    """Return ``sheet`` in ``format``, ending in a newline; CSV leaves out the caption.

    What a terminal would obey is written as escapes; in CSV, what a spreadsheet would take for a formula begins with
    an apostrophe.
    """
    return _RENDERERS[format](sheet.escaped(_LINE_BREAKS[format]))


def _text(sheet: Sheet) -> str:
    table = TextTable(box=box.SIMPLE_HEAD, pad_edge=False)
    groups = sheet.column_groups()
    first = [group if index == 0 or groups[index - 1] != group else "" for index, group in enumerate(groups)]
    for index, heading in enumerate(sheet.headings):
        header = f"{first[index]}\n{heading}" if sheet.groups else heading
        table.add_column(header, justify="right" if index in sheet.numeric else "left")
    for index, row in enumerate(sheet.texts(lambda entry: f"* {entry}")):
        if index in sheet.breaks:
            table.add_section()
        table.add_row(*row)
    width = shutil.get_terminal_size((10_000, 40)).columns  # a pipe is as wide as it takes
    out = io.StringIO()
    Console(file=out, width=width, markup=False, emoji=False).print(table)
    body = "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n")
    caption = textwrap.fill(sheet.caption, min(width, 120))
    return f"{caption}\n\n{body}\n" if caption else f"{body}\n"


def _markdown(sheet: Sheet) -> str:
    def line(row: Row) -> str:
        return "| " + " | ".join(entry.replace("|", "\\|") for entry in row) + " |"

    rows = sheet.texts(lambda entry: f"**{entry}**")
    marks = ["---:" if index in sheet.numeric else "---" for index in range(len(sheet.headings))]
    body = "\n".join([line(_one_line_headings(sheet)), line(marks), *map(line, rows)])
    return f"{sheet.caption}\n\n{body}\n" if sheet.caption else f"{body}\n"


def _csv(sheet: Sheet) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_quote_formula, _one_line_headings(sheet)))
    writer.writerows([_quote_formula(entry) for entry in row] for row in sheet.texts())
    return out.getvalue()


def _quote_formula(entry: str) -> str:
    """Return an entry that no spreadsheet computes; a number stays one."""
    if not entry.startswith(("=", "+", "-", "@")):
        return entry
    try:
        float(entry)
    except ValueError:
        return f"'{entry}"
    return entry


def _one_line_headings(sheet: Sheet) -> Row:
    return [
        f"{group}, {name}" if group else name for group, name in zip(sheet.column_groups(), sheet.headings, strict=True)
    ]


_LINE_BREAKS: dict[Format, str] = {"text": r"\n", "markdown": " ", "latex": " ", "csv": "\n"}
"""What stands for a line break in an entry; CSV keeps it, in quotes."""
_RENDERERS: dict[Format, Callable[[Sheet], str]] = {
    "text": _text,
    "markdown": _markdown,
    "latex": render_latex,
    "csv": _csv,
}
