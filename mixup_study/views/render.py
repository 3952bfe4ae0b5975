"""A sheet as a terminal table, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import itertools
import shutil
import textwrap
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, get_args

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from mixup_study.views.latex import render_latex
from mixup_study.views.sheet import NOT_PUBLISHED, Row, Sheet

Format = Literal["text", "markdown", "latex", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
GAP = 3
"""Signs between two columns of text; one less where that keeps numbers whole."""
_CONSOLE = Console(width=80)
"""What Rich breaks lines for, of whatever width."""


def render(sheet: Sheet, format: Format) -> str:
    """Return ``sheet`` in ``format``, ending in a newline; CSV leaves out the caption.

    What a terminal would obey is written as escapes; in CSV, what a spreadsheet would take for a formula begins with
    an apostrophe.
    """
    return _RENDERERS[format](sheet.escaped(_LINE_BREAKS[format]))


def _mark(entry: str) -> str:
    return f"* {entry}"


def render_vertical(sheet: Sheet) -> str:
    """Return ``sheet`` for a terminal with a line for each entry, ending in a newline; line breaks of entries stay."""
    sheet = sheet.escaped("\n")
    headings = _one_line_headings(sheet)
    width = max(map(len, headings), default=0)
    blocks = []
    for number, row in enumerate(sheet.texts(), start=1):
        entries = zip(headings, row, strict=True)
        lines = (f"  {name:{width}}  " + entry.replace("\n", "\n" + " " * (width + 4)) for name, entry in entries)
        blocks.append("\n".join([f"row {number}", *(line.rstrip() for line in lines)]))
    return "\n\n".join(blocks or ["no rows"]) + "\n"


def _text(sheet: Sheet) -> str:
    width = shutil.get_terminal_size((10_000, 40)).columns  # a pipe is as wide as it takes
    columns = _measure_columns(sheet)
    if sum(column.whole for column in columns) + _count_between(sheet, GAP) > width:
        short = {place: "–" if text == NOT_PUBLISHED else text for place, text in sheet.published.items()}
        sheet = replace(sheet, published=short)
        columns = _measure_columns(sheet)
    is_tight = sum(column.unbroken for column in columns) + _count_between(sheet, GAP) > width
    gap = " " * (GAP - is_tight)
    shares = _share_space(columns, width - _count_between(sheet, len(gap)))
    headings = [_break(heading, share) for heading, share in zip(_list_headings(sheet), shares, strict=True)]
    height = max(map(len, headings))
    headings = [[*[""] * (height - len(heading)), *heading] for heading in headings]  # those of one line stand below
    lines = _align(headings, shares, sheet.numeric, gap)
    lines.append(" " + "─" * (sum(shares) + len(gap) * (len(shares) - 1)))
    for index, row in enumerate(sheet.texts(_mark)):
        if index in sheet.breaks and index:
            lines.append("")
        entries = [_break(entry, share) for entry, share in zip(row, shares, strict=True)]
        lines += _align(entries, shares, sheet.numeric, gap)
    body = "\n".join(lines).strip("\n")
    caption = textwrap.fill(sheet.caption, min(width, 120))
    return f"{caption}\n\n{body}\n" if caption else f"{body}\n"


def _align(entries: Sequence[Sequence[str]], widths: Sequence[int], right: Collection[int], gap: str) -> list[str]:
    """Return the lines of a row by those of its entries, the columns ``right`` aligned right."""
    lines = []
    for parts in itertools.zip_longest(*entries, fillvalue=""):
        padding = [" " * (width - cell_len(part)) for part, width in zip(parts, widths, strict=True)]
        texts = (
            space + part if column in right else part + space
            for column, (part, space) in enumerate(zip(parts, padding, strict=True))
        )
        lines.append(f" {gap.join(texts)}".rstrip())
    return lines


def _break(entry: str, width: int) -> Sequence[str]:
    """Return the lines of an entry, none wider than ``width``: broken between words where that is possible."""
    if cell_len(entry) <= width and "\n" not in entry:
        return (entry,)
    return [line.plain.rstrip() for line in Text(entry).wrap(_CONSOLE, width, overflow="fold")] or [""]


def _list_headings(sheet: Sheet) -> list[str]:
    """Return what stands over each column, on two lines where columns have groups."""
    if not sheet.groups:
        return list(sheet.headings)
    groups = sheet.column_groups()
    first = [group if index == 0 or groups[index - 1] != group else "" for index, group in enumerate(groups)]
    return [f"{group}\n{heading}" for group, heading in zip(first, sheet.headings, strict=True)]


def _count_between(sheet: Sheet, gap: int) -> int:
    """Return the signs of a line that belong to no column."""
    return gap * (len(sheet.headings) - 1) + 2


class _Width(NamedTuple):
    """The width of a column."""

    words: int
    """At which words stay whole."""
    unbroken: int
    """At which numbers stay beside those in brackets as well."""
    entries: int
    """At which every entry stays on its line."""
    whole: int
    """At which the heading does so too."""


def _measure_columns(sheet: Sheet) -> list[_Width]:
    rows = sheet.texts(_mark)
    widths = []
    for column, heading in enumerate(_list_headings(sheet)):
        entries = {row[column] for row in rows}
        words = max(map(cell_len, " ".join([heading, *entries]).split()), default=1)
        longest = max([words, *map(cell_len, entries)])
        unbroken = longest if column in sheet.numeric else words
        widths.append(_Width(words, unbroken, longest, max([longest, *map(cell_len, heading.split("\n"))])))
    return widths


def _share_space(columns: Sequence[_Width], space: int) -> Sequence[int]:
    """Return the widths of columns that fit into ``space``, first for what is best kept whole.

    Where words do not fit, the widest columns break theirs.
    """
    shares = [column.words for column in columns]
    while sum(shares) > space and max(shares) > 1:
        shares[shares.index(max(shares))] -= 1
    for wanted in [[column[level] for column in columns] for level in range(1, len(_Width._fields))]:
        lacking = [width - share for width, share in zip(wanted, shares, strict=True)]
        for _ in range(min(space - sum(shares), sum(lacking))):
            column = lacking.index(max(lacking))
            shares[column] += 1
            lacking[column] -= 1
    return shares


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
