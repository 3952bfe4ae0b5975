"""A table of texts, as every format of it is made from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mixup_study.errors import escape_controls

Row = Sequence[str]
PAPER = " (paper)"
"""What ends the heading of a column in which the paper's entries stand in brackets."""

NOT_PUBLISHED = "not published"
"""What stands in brackets where the paper has nothing for an entry, but has for others of its column."""


@dataclass(frozen=True)
class Sheet:
    """A table whose every entry is text."""

    headings: Row
    rows: Sequence[Row]
    groups: Row = ()
    """A second line of headings over the first; neighbours of the same name belong together."""
    name: str = ""
    """What LaTeX refers to the table by: the study's name."""
    title: str = ""
    source: str = ""
    """The table of the paper that this one follows, as ``Table 2``."""
    notes: str = ""
    """What stands in the caption after the title."""
    labels: int = 1
    """The first columns, which name the row; an entry of all but the last stands for the rows below it too."""
    numeric: frozenset[int] = field(default=frozenset())
    """Columns to align right."""
    breaks: frozenset[int] = field(default=frozenset())
    """Rows that a line is drawn before."""
    marked: frozenset[tuple[int, int]] = field(default=frozenset())
    """Entries to stand out, by row and column."""
    published: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """What the paper has for an entry, by row and column; it stands in brackets after it."""

    @property
    def caption(self) -> str:
        """Return the title and the notes, after the paper's number of the table; empty where there is no title."""
        if not self.title:
            return ""
        return " ".join(filter(None, [f"{self.source or 'Table'}: {self.title}.", self.notes]))

    def texts(self, mark: Callable[[str], str] = str) -> list[list[str]]:
        """Return the rows, the paper's entries included, with ``mark`` applied to the entries that stand out."""
        texts = [list(row) for row in self.rows]
        for (row, column), paper in self.published.items():
            texts[row][column] = f"{texts[row][column]} ({paper})".strip()
        for row, column in self.marked:
            texts[row][column] = mark(texts[row][column])
        return texts

    def escaped(self, line_break: str) -> Sheet:
        """Return the sheet with what a terminal would obey written as escapes, and ``line_break`` for line breaks.

        Line breaks of the title and the notes stay.
        """

        def escape(row: Row) -> list[str]:
            return [line_break.join(map(escape_controls, entry.split("\n"))) for entry in row]

        def escape_lines(text: str) -> str:
            return "\n".join(escape(text.splitlines()))

        return replace(
            self,
            headings=escape(self.headings),
            rows=[escape(row) for row in self.rows],
            groups=escape(self.groups),
            title=escape_lines(self.title),
            notes=escape_lines(self.notes),
            published={place: escape([entry])[0] for place, entry in self.published.items()},
        )

    def group_spans(self) -> list[tuple[str, int]]:
        """Return the second line of headings, each with how many columns it stands over; empty where there is none."""
        if not any(self.groups):
            return []
        return [(group, len(list(columns))) for group, columns in itertools.groupby(self.column_groups())]

    def column_groups(self) -> list[str]:
        """Return what stands over each column."""
        return [*self.groups, *[""] * (len(self.headings) - len(self.groups))]
