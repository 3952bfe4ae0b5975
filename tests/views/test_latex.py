from __future__ import annotations

import dataclasses
import re
import shutil
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixup_study.analysis.table import records_by_id
from mixup_study.catalogue import CATALOGUE
from mixup_study.study.study import StudyFile
from mixup_study.views.render import render
from mixup_study.views.sheet import NOT_PUBLISHED, Sheet
from mixup_study.views.study_table import study_sheet
from tests.fixtures import RecordMaker, findings_of

STUDIES = Path(__file__).parents[2] / "studies"

SHEET = Sheet(
    headings=["noise", "method", "best (paper)", "last in the end", "trials"],
    rows=[
        ["20%", "ERM", "12.7", "16.6", "2/2"],
        ["", "mixup", "5.9", "6.4", "2/2"],
        ["50%", "ERM", "18.8", "–", "0/2"],
    ],
    groups=["", "", "Test error", "Test error", ""],
    name="small_study",
    title="Some results of train_size",
    source="Table 2",
    notes="Errors in percent. Changed with --set: trial.train_size=300.",
    numeric=frozenset({2, 3, 4}),
    breaks=frozenset({2}),
    marked=frozenset({(1, 2)}),
    published={(0, 2): "12.0‡", (1, 2): "5.7", (2, 2): NOT_PUBLISHED},
)


def entry_sheet(entry: str) -> Sheet:
    return Sheet(headings=["a", "b"], rows=[["first", entry]], title=entry)


def test_a_study_table_is_a_float_of_booktabs_without_a_number_of_its_own() -> None:
    assert [line.strip() for line in render(SHEET, "latex").splitlines()] == [
        r"% needs \usepackage{amssymb,booktabs,graphicx}",
        r"\begin{table}",
        r"\centering",
        r"\setlength{\belowcaptionskip}{6pt}",
        r"\caption{Some results of train\_size.}",
        r"\label{tab:small_study}",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        r"\resizebox{\ifdim\width>\linewidth \linewidth\else \width\fi}{!}{%",
        r"\begin{tabular}{llr@{ }rrr}",
        r"\toprule",
        r"&  & \multicolumn{3}{c}{Test error} &  \\",
        r"\cmidrule(lr){3-5}",
        r"noise & method & best & (paper) & \shortstack[r]{last in \\ the end} & trials \\",
        r"\midrule",
        r"20\% & ERM & 12.7 & (12.0‡) & 16.6 & 2/2 \\",
        r"& mixup & \textbf{5.9} & (5.7) & 6.4 & 2/2 \\",
        r"\midrule",
        r"50\% & ERM & 18.8 &  & -- & 0/2 \\",
        r"\bottomrule",
        r"\end{tabular}}",
        "",
        r"\medskip",
        r"\raggedright\footnotesize",
        r"After Table 2 of the paper. Errors in percent. Changed with -{}-set: trial.\allowbreak{}train\_\allowbreak{}"
        r"size=\allowbreak{}300.",
        r"\end{table}",
    ]


def test_columns_of_ticks_are_centred() -> None:
    sheet = Sheet(headings=["method", "input"], rows=[["ERM", "✗"], ["mixup", "✓"]])
    assert r"\begin{tabular}{lc}" in render(sheet, "latex")


def test_a_sheet_without_a_title_has_neither_caption_nor_label() -> None:
    shown = render(Sheet(headings=["a"], rows=[["1"]]), "latex")
    assert "caption{" not in shown
    assert "label" not in shown


@pytest.mark.parametrize(
    ("entry", "escaped"),
    [
        ("a & b", r"a \& b"),
        ("20%", r"20\%"),
        ("$x$", r"\$x\$"),
        ("#1", r"\#1"),
        ("train_size", r"train\_size"),
        ("{x}", r"\{x\}"),
        ("~", r"\textasciitilde{}"),
        ("x^2", r"x\textasciicircum{}2"),
        ("\\", r"\textbackslash{}"),
        ("\\{", r"\textbackslash{}\{"),
        ("[1]", "{[}1]"),
        ("*", "{*}"),
        ("<0.001", "$<$0.001"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ("α=8", r"$\alpha$=8"),
        ("α=∞", r"$\alpha$=$\infty$"),
        ("ε=0.1", r"$\epsilon$=0.1"),
        ("λ=0.5", r"$\lambda$=0.5"),
        ("Σ, Λ", r"$\Sigma$, $\Lambda$"),
        ("x₂", "x$_2$"),
        ("✓", r"$\checkmark$"),
        ("✗", r"$\times$"),
        ("5.0 ± 0.1", r"5.0 $\pm$ 0.1"),
        ("8×8", r"8$\times$8"),
        ("–", "--"),
        ("a\nb", "a b"),
    ],
)
def test_latex_escapes(entry: str, escaped: str) -> None:
    shown = render(entry_sheet(entry), "latex")
    assert rf"    first & {escaped} \\" in shown
    assert rf"  \caption{{{escaped}.}}" in shown


def study_tables(record: RecordMaker) -> Iterator[str]:
    """Yield the tables of all studies, in the paper's profile and in the quick one, with a number in every cell."""
    (row,) = records_by_id(record().trials_table()).values()
    for file in sorted(STUDIES.glob("*.yaml")):
        for profile in StudyFile(file).profiles:
            study = StudyFile(file).load(profile)
            records = {
                trial_id: {**row, "trial_id": trial_id, **dict.fromkeys(CATALOGUE.metrics, index % 89 / 90)}
                for index, trial_id in enumerate(study.trials)
            }
            yield render(study_sheet(findings_of(study, records)), "latex")


def awkward_tables() -> Iterator[str]:
    """Yield tables of every sign that means something to LaTeX, of long words, and of many columns."""
    signs = [*string.punctuation, *"αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ±×∞≤≥≠≈→−✓✗–·†‡…é₀₉", "--", "[x]", "*x"]
    override = f"arms.mixup.alpha=[{','.join(map(str, range(60)))}]"
    everywhere = Sheet(
        [" ".join(signs), "[x] *x"],
        [[sign, sign] for sign in signs],
        groups=["[x] *x", "*x [x]"],
        name="signs",
        title=" ".join(signs),
        notes=f"{' '.join(signs)} {''.join(signs)} {override}",
    )
    # A few rows at a time, as a page has room for no more.
    for first in range(0, len(signs), 30):
        yield render(dataclasses.replace(everywhere, rows=everywhere.rows[first : first + 30]), "latex")
    yield render(Sheet(["heading"] * 40, [["12.5 ± 0.1"] * 40], numeric=frozenset(range(40))), "latex")
    yield render(Sheet(["empty"], []), "latex")


def test_pdflatex_sets_every_table_within_the_margins(record: RecordMaker, tmp_path: Path) -> None:
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.fail("pdflatex not found; install with: apt-get install texlive-latex-recommended", pytrace=False)
    tables = [render(SHEET, "latex"), *study_tables(record), *awkward_tables()]
    packages = {table.splitlines()[0].removeprefix("% needs ") for table in tables}
    body = "\n\\clearpage\n".join(tables)
    lines = [r"\documentclass{article}", *packages, r"\begin{document}", body, r"\end{document}"]
    (tmp_path / "tables.tex").write_text("\n".join(lines), encoding="utf-8")
    command = [pdflatex, "-interaction=nonstopmode", "-no-shell-escape", "tables.tex"]
    ended = subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL, timeout=120, check=False)
    log = (tmp_path / "tables.log").read_text(encoding="utf-8", errors="replace")
    complaint = re.compile(r"!|Overfull|Missing character|LaTeX (Font )?Warning: (?!Label|There were mul)")
    assert [line for line in log.splitlines() if complaint.match(line)] == []
    assert ended.returncode == 0
    assert r"\newlabel{tab:corrupt_labels}" in (tmp_path / "tables.aux").read_text()
