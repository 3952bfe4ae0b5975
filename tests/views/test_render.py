from __future__ import annotations

import csv
import dataclasses
import io
import re
import time

import pytest

from mixup_study.views.render import FORMATS, Format, render
from mixup_study.views.sheet import NOT_PUBLISHED, Sheet

SHEET = Sheet(
    headings=["noise", "method", "best", "last"],
    rows=[["20%", "ERM", "12.7", "16.6"], ["", "mixup", "5.9", "6.4"], ["50%", "ERM", "18.8", "44.6"]],
    groups=["", "", "Test error", "Test error"],
    name="small_study",
    title="Some results",
    source="Table 2",
    notes="Errors in percent.",
    numeric=frozenset({2, 3}),
    breaks=frozenset({2}),
)


MARKED = dataclasses.replace(SHEET, marked=frozenset({(1, 2), (2, 3)}))


def one_entry(entry: str, title: str = "") -> Sheet:
    return Sheet(headings=["a", "b"], rows=[["first", entry]], title=title, notes=title)


def test_text_shows_a_caption_groups_headings_and_rows_in_columns() -> None:
    caption, blank, groups, headings, rule, *rows = render(SHEET, "text").splitlines()
    assert (caption, blank) == ("Table 2: Some results. Errors in percent.", "")
    assert groups.split() == ["Test", "error"]
    assert headings.split() == ["noise", "method", "best", "last"]
    assert set(rule.strip()) == {"─"}
    assert [row.split() for row in rows if row] == [
        ["20%", "ERM", "12.7", "16.6"],
        ["mixup", "5.9", "6.4"],
        ["50%", "ERM", "18.8", "44.6"],
    ]
    assert rows[1].index("mixup") == rows[0].index("ERM")


def test_text_aligns_numbers_right() -> None:
    lines = render(SHEET, "text").splitlines()
    ends = [re.search(r"(12\.7|5\.9|18\.8)", line) for line in lines]
    assert len({found.end() for found in ends if found}) == 1


def test_text_draws_a_line_before_a_break() -> None:
    lines = render(SHEET, "text").splitlines()
    before = lines[next(index for index, line in enumerate(lines) if "50%" in line) - 1]
    assert not before.strip(" ─")


def test_text_leaves_colons_alone() -> None:
    assert "a:x:b :100:" in render(one_entry("a:x:b :100:"), "text")


def test_text_leaves_brackets_alone() -> None:
    assert "[bold]x[/bold] [0]" in render(one_entry("[bold]x[/bold] [0]"), "text")


def test_text_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = render(one_entry("word " * 40, title="word " * 40), "text")
    assert max(len(line) for line in shown.splitlines()) <= 60
    assert shown.count("word") == 120


def test_text_breaks_what_is_wider_than_its_column_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    lines = render(Sheet(["trial_id", "error"], [["0123456789abcdef", "12.51 (13.5)"]]), "text").splitlines()
    assert max(map(len, lines)) <= 20
    columns = [line.split() for line in lines[2:]]
    assert "".join(columns[0][:1] + [parts[0] for parts in columns[1:]]) == "0123456789abcdef"
    assert "".join(part for parts in columns for part in parts[1:]) == "12.51(13.5)"


def test_ten_thousand_rows_are_written_at_once() -> None:
    sheet = Sheet(["trial_id", "arm", "alpha", "seed"], [[f"{n:016x}", "mixup", "0.2", str(n)] for n in range(10_000)])
    begun = time.process_time()
    lines = render(sheet, "text").splitlines()
    assert len(lines) == 10_002
    assert time.process_time() - begun < 2  # 0.15 s, and a table of Rich's takes 5


PAPER = Sheet(
    headings=["noise", "method", "setting (paper)", *["best (paper)"] * 4],
    rows=[["20%", "mixup + dropout", "α=2, p=0.1", "82.5", "82.5", "82.53", "82.35"]] * 2,
    groups=["", "", "", *["Test error"] * 4],
    numeric=frozenset({3, 4, 5, 6}),
    marked=frozenset({(0, 3)}),
    published={
        (0, 2): "α=8, p=0.3",
        **{(0, column): "12.71" for column in range(3, 7)},
        **{(1, column): NOT_PUBLISHED for column in range(3, 7)},
    },
)


@pytest.mark.parametrize("columns", [92, 100, 120])
def test_text_keeps_the_papers_numbers_beside_those_measured(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = render(PAPER, "text").splitlines()
    assert max(map(len, lines)) <= columns
    measured = [line.split("82.5", 1)[1] for line in lines if "82.5" in line]
    assert " ".join(measured[0].split()) == "(12.71) 82.5 (12.71) 82.53 (12.71) 82.35 (12.71)"
    assert " ".join(measured[1].split()) == "(–) 82.5 (–) 82.53 (–) 82.35 (–)"
    assert render(PAPER, "markdown").count("(not published)") == 4


@pytest.mark.parametrize("columns", range(72, 100, 4))
def test_text_breaks_no_word_where_there_is_room(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert "…" not in render(PAPER, "text")


def test_markdown_is_a_table_of_pipes() -> None:
    assert render(SHEET, "markdown").splitlines() == [
        "Table 2: Some results. Errors in percent.",
        "",
        "| noise | method | Test error, best | Test error, last |",
        "| --- | --- | ---: | ---: |",
        "| 20% | ERM | 12.7 | 16.6 |",
        "|  | mixup | 5.9 | 6.4 |",
        "| 50% | ERM | 18.8 | 44.6 |",
    ]


def test_markdown_escapes_pipes_and_line_breaks() -> None:
    assert render(one_entry("a|b\nc"), "markdown").splitlines()[-1] == r"| first | a\|b c |"


def test_csv_has_headings_and_rows_and_no_caption() -> None:
    assert render(SHEET, "csv") == (
        'noise,method,"Test error, best","Test error, last"\n20%,ERM,12.7,16.6\n,mixup,5.9,6.4\n50%,ERM,18.8,44.6\n'
    )


@pytest.mark.parametrize("entry", ["a,b", 'say "x"', "a\nb", " a ", "a;b", ""])
def test_csv_quotes_what_would_not_come_back(entry: str) -> None:
    shown = render(one_entry(entry), "csv")
    assert list(csv.reader(io.StringIO(shown))) == [["a", "b"], ["first", entry]]


@pytest.mark.parametrize("entry", ["=1+1", "+1+1", "-x", "@SUM(A1)", '=HYPERLINK("x")'])
def test_csv_holds_no_formula(entry: str) -> None:
    assert list(csv.reader(io.StringIO(render(one_entry(entry), "csv"))))[1] == ["first", f"'{entry}"]


@pytest.mark.parametrize("entry", ["-0.5", "+1e3", "-inf", "1=1", "−1", "a-b"])
def test_csv_leaves_numbers_and_other_text_alone(entry: str) -> None:
    assert list(csv.reader(io.StringIO(render(one_entry(entry), "csv"))))[1] == ["first", entry]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\r", "\x9b", "\u2028", "\u202e"])
def test_no_format_lets_a_terminal_be_told_what_to_do(sign: str, format: Format) -> None:
    for sheet in (one_entry(f"a{sign}[31mb"), Sheet([f"a{sign}b"], [["c"]], groups=[f"d{sign}e"], title=f"f{sign}g")):
        shown = render(sheet, format)
        assert sign not in shown
        assert "a" in shown


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_ends_in_one_newline(format: str) -> None:
    shown = render(SHEET, format)
    assert shown.endswith("\n")
    assert not shown.endswith("\n\n")


@pytest.mark.parametrize("format", FORMATS)
def test_a_sheet_without_rows_still_shows_its_headings(format: str) -> None:
    assert "heading" in render(Sheet(["heading"], []), format)


@pytest.mark.parametrize(
    ("format", "rows"),
    [
        ("text", ["20% ERM 12.7 16.6", "mixup * 5.9 6.4", "50% ERM 18.8 * 44.6"]),
        ("markdown", ["| 20% | ERM | 12.7 | 16.6 |", "| | mixup | **5.9** | 6.4 |", "| 50% | ERM | 18.8 | **44.6** |"]),
        (
            "latex",
            [
                r"20\% & ERM & 12.7 & 16.6 \\",
                r"& mixup & \textbf{5.9} & 6.4 \\",
                r"50\% & ERM & 18.8 & \textbf{44.6} \\",
            ],
        ),
    ],
)
def test_marked_entries_stand_out(format: Format, rows: list[str]) -> None:
    lines = [" ".join(line.split()) for line in render(MARKED, format).splitlines()]
    assert [line for line in lines if "ERM" in line or "mixup" in line] == rows


def test_csv_marks_nothing() -> None:
    assert render(MARKED, "csv") == render(SHEET, "csv")


def test_a_marked_entry_is_escaped_within_its_mark() -> None:
    sheet = dataclasses.replace(one_entry("a|b_c & 5%"), marked=frozenset({(0, 1)}))
    assert render(sheet, "markdown").splitlines()[-1] == r"| first | **a\|b_c & 5%** |"
    assert r"    first & \textbf{a$|$b\_c \& 5\%} \\" in render(sheet, "latex").splitlines()


def test_text_aligns_marked_numbers_right() -> None:
    lines = render(MARKED, "text").splitlines()
    ends = [re.search(r"(12\.7|5\.9|18\.8)", line) for line in lines]
    assert len({found.end() for found in ends if found}) == 1
    assert sum(line.count("* ") for line in lines) == 2
