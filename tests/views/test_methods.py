"""What a study's paragraph under Methods says, and that LaTeX and BibTeX set it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import records_by_id
from mixup_study.study.study import StudyFile
from mixup_study.views.methods import TEXT_WIDTH, render_methods
from tests.fixtures import PAPER_STUDY, RecordMaker, findings_of

STUDIES = Path(__file__).parents[2] / "studies"


def study_findings(file: Path, record: RecordMaker, profile: str = "paper") -> Findings:
    """Return the findings of a study all of whose trials are recorded alike."""
    (row,) = records_by_id(record().trials_table()).values()
    study = StudyFile(file).load(profile)
    return findings_of(study, {trial_id: {**row, "trial_id": trial_id} for trial_id in study.trials})


@pytest.fixture
def small(tmp_path: Path, record: RecordMaker) -> Findings:
    (tmp_path / "small.yaml").write_text(PAPER_STUDY)
    return study_findings(tmp_path / "small.yaml", record)


def test_text_says_what_ran_and_cites_by_name(small: Findings) -> None:
    methods, _, bibtex = render_methods(small, "text").partition("\n\nBibTeX\n\n")
    assert max(map(len, methods.splitlines())) <= TEXT_WIDTH
    title, training, arms, numbers, software = (" ".join(part.split()) for part in methods.split("\n\n"))
    assert title == "Methods"
    assert training.startswith("Study small, profile paper: 12 of 12 trials are done. All trials share task")
    assert "dataset digits" in training
    assert "lr 0.1" in training
    assert "They differ in label noise, method, alpha α and mix across workers." in training
    assert training.endswith("Trials were repeated with seed 0, 1.")
    assert arms == "Arms: mixup (method mixup, alpha α 2, 8, mix across workers); ERM (method erm)."
    assert numbers == (
        "Of each arm the setting with the lowest mean test error last is reported. Numbers are means over the seeds,"
        " ± the standard deviation of a sample. Beside those measured stand the paper's own numbers: CIFAR-10 for 200"
        " epochs (Zhang et al., 2018)."
    )
    assert software == (
        "Trials were trained with mixup_study (the mixup_study developers) 0.1.0, PyTorch (Paszke et al., 2019) 2.7.0"
        " and Python 3.11.0. Ray (Moritz et al., 2018) Tune (Liaw et al., 2018) 2.60.0 scheduled them. They ran on"
        " device a CPU."
    )
    keys = re.findall(r"^@\w+{(\w+),$", bibtex, re.MULTILINE)
    assert keys == ["zhang2018mixup", "mixup_study", "paszke2019pytorch", "moritz2018ray", "liaw2018tune"]
    assert "note = {Version 0.1.0}," in bibtex


def test_markdown_cites_as_pandoc_does(small: Findings) -> None:
    text = render_methods(small, "markdown")
    assert text.startswith("**Methods.** Study small")
    assert "PyTorch [@paszke2019pytorch] 2.7.0" in text
    assert text.endswith("}\n```\n")


def test_a_study_without_records_says_nothing_of_software(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(PAPER_STUDY)
    text = render_methods(findings_of(StudyFile(tmp_path / "small.yaml").load("paper"), {}), "text")
    assert "0 of 12 trials are done" in text
    assert "trained with" not in text
    assert "paszke" not in text


def all_methods(record: RecordMaker) -> Iterator[str]:
    for file in sorted(STUDIES.glob("*.yaml")):
        for profile in StudyFile(file).profiles:
            yield render_methods(study_findings(file, record, profile), "latex")


@pytest.mark.slow
def test_latex_and_bibtex_set_the_methods_of_every_study(record: RecordMaker, tmp_path: Path) -> None:
    texts = list(all_methods(record))
    entries = {entry for text in texts for entry in list_commented_entries(text)}
    (tmp_path / "methods.bib").write_text("\n\n".join(sorted(entries)), encoding="utf-8")
    end = [r"\bibliographystyle{plain}", r"\bibliography{methods}", r"\end{document}"]
    lines = [r"\documentclass{article}", r"\usepackage{amssymb}", r"\begin{document}", r"\sloppy", *texts, *end]
    (tmp_path / "methods.tex").write_text("\n".join(lines), encoding="utf-8")
    for program in ("pdflatex", "bibtex", "pdflatex", "pdflatex"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} not found; install with: apt-get install texlive-latex-recommended", pytrace=False)
        options = ["-interaction=nonstopmode", "-no-shell-escape"] if program == "pdflatex" else []
        command = [program, *options, "methods"]
        subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL, timeout=120, check=True)
    log = (tmp_path / "methods.log").read_text(encoding="utf-8", errors="replace")
    complaint = re.compile(r"!|Missing character|LaTeX (Font )?Warning")
    assert [line for line in log.splitlines() if complaint.match(line)] == []
    assert "Warning" not in (tmp_path / "methods.blg").read_text().partition("warnings")[0]


def list_commented_entries(text: str) -> list[str]:
    """Return the BibTeX entries that stand in comments."""
    comments = [line[2:] for line in text.splitlines() if line.startswith("%")]
    return ["@" + entry.strip() for entry in "\n".join(comments).split("@")[1:]]
