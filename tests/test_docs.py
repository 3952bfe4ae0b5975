"""What the README and the manual promise: links that lead somewhere, commands that exist, studies that load."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixup_study import plan

REPOSITORY = Path(__file__).parent.parent
README = REPOSITORY / "README.md"
PAGES = [README, *sorted((REPOSITORY / "docs").rglob("*.md")), REPOSITORY / "dashboards" / "README.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"")
MODULE = re.compile(r"python\s+-m ((?:mixup_study|benchmarks|tests)[\w.]*)")
SCRIPT = re.compile(r"python (benchmarks/\w+\.py)")


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the fragments that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def whole_studies() -> Iterator[tuple[str, str]]:
    """Yield the study files that pages show in full, each with the name of its page."""
    for page in PAGES:
        for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
            own_parts = page.name == "extending.md"  # tests/plugins runs it, with the module that it shows
            if language == "yaml" and re.search(r"^name:", text, re.MULTILINE) and not own_parts:
                yield name_of(page), text


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    for link, image in LINK.findall(prose(page)):
        target, _, fragment = (link or image).partition("#")
        if "://" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.is_relative_to(REPOSITORY)
        assert file.exists(), f"{target} is not there"
        if fragment:
            assert fragment in anchors(file), f"{target}#{fragment}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for module in MODULE.findall(text):
        assert importlib.util.find_spec(module) is not None, f"python -m {module}: no such module"
    for script in SCRIPT.findall(text):
        assert (REPOSITORY / script).exists(), f"{script} is not there"


def test_readme_is_short_and_says_how_to_start() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert "pip install -e . && python -m mixup_study.run studies/corrupt_labels.yaml" in lines
    assert "pip install -e '.[dev]' && pytest" in lines


def test_index_names_every_page() -> None:
    index = REPOSITORY / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link, _ in LINK.findall(index.read_text(encoding="utf-8"))}
    assert linked >= set(PAGES) - {README, index}


@pytest.mark.parametrize(("page", "text"), list(whole_studies()), ids=lambda value: value.partition("\n")[0])
def test_studies_shown_in_full_can_be_planned(
    page: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text, encoding="utf-8")
    for study in (REPOSITORY / "studies").glob("*.yaml"):  # which a page may extend
        shutil.copy(study, tmp_path)
    assert plan.main([str(file), "--results", str(tmp_path / "results")]) == 0
    assert "trials: 0 done already" in capsys.readouterr().out
