"""A sheet as a LaTeX table that a paper can take as it stands."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

from mixup_study.views.sheet import NOT_PUBLISHED, PAPER, Row, Sheet

LONG_WORD = 16
"""Characters that a word of the caption or the notes has at most before it may break after its signs."""
COLUMN_SEPARATION = 2
"""Characters that have room between two columns."""


def render_latex(sheet: Sheet) -> str:
    """Return a float of booktabs, as wide as the text at most, with a label where the sheet has a name.

    LaTeX numbers it: the caption is the title alone, and the notes stand below the rows.
    """
    columns = range(len(sheet.headings))
    published = {column for _, column in sheet.published}
    widths = [2 if column in published else 1 for column in columns]
    lines = [r"\toprule", *_groups(sheet, widths), _row(_headings(sheet, published)), r"\midrule"]
    for index, row in enumerate(sheet.rows):
        lines += [r"\midrule"] if index in sheet.breaks else []
        cells = []
        for column, entry in enumerate(row):
            text = escape_latex(entry)
            cells.append(rf"\textbf{{{text}}}" if (index, column) in sheet.marked else text)
            if column in published:
                paper = sheet.published.get((index, column), NOT_PUBLISHED)
                cells.append("" if paper == NOT_PUBLISHED else f"({escape_latex(paper)})")
        lines.append(_row(cells))
    alignment = "".join(_alignment(sheet, column, column in published) for column in columns)
    return "\n".join(
        [
            r"% needs \usepackage{amssymb,booktabs,graphicx}",
            r"\begin{table}",
            r"  \centering",
            r"  \setlength{\belowcaptionskip}{6pt}",
            *_caption(sheet),
            r"  \small",
            r"  \setlength{\tabcolsep}{4pt}",
            r"  \resizebox{\ifdim\width>\linewidth \linewidth\else \width\fi}{!}{%",
            rf"  \begin{{tabular}}{{{alignment}}}",
            *(f"    {line}" for line in [*lines, r"\bottomrule"]),
            r"  \end{tabular}}",
            *_notes(sheet),
            r"\end{table}",
            "",
        ]
    )


def _row(cells: Row) -> str:
    return " & ".join(cells) + r" \\"


def _alignment(sheet: Sheet, column: int, is_pair: bool) -> str:
    """Return the alignment of a column; the paper's numbers stand in their own, close to those measured."""
    sign = "r" if column in sheet.numeric else "l"
    if sheet.rows and all(row[column] in ("✓", "✗") for row in sheet.rows):
        sign = "c"
    return f"{sign}@{{ }}{sign}" if is_pair else sign


def _groups(sheet: Sheet, widths: Sequence[int]) -> list[str]:
    """Return the headings of groups, and the rules below them."""
    cells, rules = [], []
    column, place = 0, 1
    for group, count in sheet.group_spans():
        columns = range(column, column + count)
        width = sum(widths[column] for column in columns)
        if group:
            longest = (max(len(sheet.headings[column]), _longest_entry(sheet, column)) for column in columns)
            room = sum(longest) + COLUMN_SEPARATION * (width - 1)
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{_heading(group, room, 'c')}}}")
            rules.append(rf"\cmidrule(lr){{{place}-{place + width - 1}}}")
        else:
            cells += [""] * width
        column, place = column + count, place + width
    return [_row(cells), " ".join(rules)] if cells else []


def _headings(sheet: Sheet, published: Collection[int]) -> list[str]:
    """Return what stands over each column, the paper's own included."""
    cells = []
    for column, heading in enumerate(sheet.headings):
        room, sign = _longest_entry(sheet, column), "r" if column in sheet.numeric else "l"
        if column in published:
            cells += [_heading(heading.removesuffix(PAPER), room, sign), PAPER.strip()]
        else:
            cells.append(_heading(heading, room, sign))
    return cells


def _longest_entry(sheet: Sheet, column: int) -> int:
    return max((len(row[column]) for row in sheet.rows), default=0)


def _heading(text: str, room: int, sign: str) -> str:
    """Return a heading, in two lines where it has more characters than ``room``, which would widen its column."""
    words = text.split(" ")
    if len(text) <= room or len(words) == 1:
        return escape_latex(text)
    breaks = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    lines = min(breaks, key=lambda lines: max(map(len, lines)))
    return rf"\shortstack[{sign}]{{" + r" \\ ".join(map(escape_latex, lines)) + "}"


def _caption(sheet: Sheet) -> list[str]:
    """Return the title, which LaTeX numbers itself, and what to refer to the table by."""
    if not sheet.title:
        return []
    label = [rf"  \label{{tab:{sheet.name}}}"] if sheet.name else []
    return [rf"  \caption{{{_prose(sheet.title)}.}}", *label]


def _notes(sheet: Sheet) -> list[str]:
    source = f"After {sheet.source} of the paper." if sheet.source else ""
    notes = " ".join(filter(None, [source, sheet.notes]))
    return ["", r"  \medskip", r"  \raggedright\footnotesize", f"  {_prose(notes)}"] if notes else []


def escape_latex(text: str) -> str:
    """Return a text that LaTeX sets as it stands; two hyphens stay two."""
    return "-{}".join("".join(_SIGNS.get(sign, sign) for sign in part) for part in _HYPHEN_BEFORE_HYPHEN.split(text))


def _prose(text: str) -> str:
    """Return the same of sentences; a long word, such as an override, may break after its signs."""
    words = (_SIGN_WITHIN.split(word) if len(word) > LONG_WORD else [word] for word in text.split(" "))
    return " ".join(r"\allowbreak{}".join(map(escape_latex, parts)) for parts in words)


_GREEK = {letter: unicodedata.name(letter).split()[-1] for letter in "αβγδεζηθικμνξπρστυφχψωΓΔΘΞΠΣΦΨΩ"}
_SIGNS = {  # a line break before a bare bracket or star would take it for its argument
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",
    "*": "{*}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "`": r"\textasciigrave{}",
    "λ": r"$\lambda$",
    "Λ": r"$\Lambda$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "∞": r"$\infty$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "→": r"$\to$",
    "−": "$-$",
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "–": "--",
    "·": r"$\cdot$",
    "\n": " ",
    **{letter: rf"$\{name.lower() if letter.islower() else name.capitalize()}$" for letter, name in _GREEK.items()},
    **{digit: f"$_{index}$" for index, digit in enumerate("₀₁₂₃₄₅₆₇₈₉")},
}
_HYPHEN_BEFORE_HYPHEN = re.compile("-(?=-)")
_SIGN_WITHIN = re.compile(r"(?<=[\W_])(?=.)")
