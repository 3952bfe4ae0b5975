"""What the README and the manual promise: links that lead somewhere, commands that parse, studies that load."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import pytest
import yaml

from mixup_study import cli, plan
from mixup_study.__main__ import COMMANDS
from mixup_study.study.source import parse

REPOSITORY = Path(__file__).parent.parent
README = REPOSITORY / "README.md"
PAGES = [
    *sorted(REPOSITORY.glob("*.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    REPOSITORY / "dashboards/README.md",
    *sorted((REPOSITORY / "deploy").rglob("README.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"")
MODULE = re.compile(r"python\s+-m ((?:mixup_study|benchmarks|tests)[\w.]*)")
SCRIPT = re.compile(r"python (benchmarks/\w+\.py)")
CODE = re.compile(r"`([^`]+)`")
OURS = re.compile(r"(?:python -m mixup_study[. ]|mixup-study )(\w+) ?")
"""How a command of this package begins; its name is the group."""
PLACEHOLDERS = {"STUDY": "toy"}
READERS: Mapping[str, Callable[[str], object]] = {
    "yaml": lambda text: parse(text, "block"),
    "toml": tomllib.loads,
    "json": json.loads,
    "python": lambda text: compile(text, "block", "exec"),
}
"""What reads a block of a language, or raises."""
PROGRAMS = {
    "cd",
    "eval",
    "docker",
    "export",
    "git",
    "grafana",
    "kubectl",
    "lint-imports",
    "mkdocs",
    "mypy",
    "pip",
    "prometheus",
    "pytest",
    "python",
    "ray",
    "ruff",
    "sbatch",
    "uv",
}
"""What blocks call beside the package's own commands."""


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
    for code in CODE.findall(prose(page)):
        if mentioned := OURS.fullmatch(" ".join(code.split())):
            assert mentioned[1] in COMMANDS, f"{code}: no such command"
    for script in SCRIPT.findall(text):
        assert (REPOSITORY / script).exists(), f"{script} is not there"


def blocks(*languages: str) -> list[tuple[str, str]]:
    """Return the blocks of code in any of these languages, each with the name of its page."""
    pages = ((name_of(page), page.read_text(encoding="utf-8")) for page in PAGES)
    return [(name, code) for name, text in pages for language, code in FENCE.findall(text) if language in languages]


def split_commands(script: str) -> list[list[str]]:
    """Return the words of each command of a shell script, without what sets variables, and where output goes."""
    lexer = shlex.shlex(script.replace("\\\n", " ").replace("\n", "\n ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands = [list(words) for ends, words in groupby(lexer, lambda word: set(word) <= set(";&|")) if not ends]
    for words in commands:
        while words and re.match(r"\w+=", words[0]):
            del words[0]
        if ">" in words:
            del words[words.index(">") :]
    return [words for words in commands if words]


def own_commands() -> list[tuple[str, str]]:
    """Return the commands of this package that pages show, each with the name of its page.

    In sentences, a command without arguments is only mentioned.
    """
    shown = [(page, shlex.join(words)) for page, script in blocks("sh") for words in split_commands(script)]
    for page in PAGES:
        mentioned = [" ".join(code.split()) for code in CODE.findall(prose(page))]
        shown += [(name_of(page), command) for command in mentioned if not OURS.fullmatch(command)]
    return [(page, command) for page, command in dict.fromkeys(shown) if OURS.match(command)]


class Parsed(Exception):
    """A command has understood its arguments."""


def stop_parsed(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    raise Parsed(argparse.ArgumentParser.parse_args(parser, arguments))


@pytest.mark.parametrize(("page", "command"), own_commands())
def test_commands_are_understood(page: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(cli.Parser, "parse_args", stop_parsed)
    start = OURS.match(command)
    assert start
    arguments = [PLACEHOLDERS.get(word, word) for word in shlex.split(command[start.end() :])]
    with pytest.raises(Parsed) as parsed:
        importlib.import_module(f"mixup_study.{start[1]}").main(arguments)
    options = parsed.value.args[0]
    shown_in_full = re.findall(r"^# (\S+\.yaml)$", (REPOSITORY / page).read_text(encoding="utf-8"), re.MULTILINE)
    for study in (*getattr(options, "studies", []), *([options.study] if "study" in options else [])):
        assert study.exists() or study.name in ("my_study.yaml", *shown_in_full), f"{study} is not there"


@pytest.mark.parametrize(("page", "script"), blocks("sh"))
def test_blocks_call_what_is_known_and_there(page: str, script: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for program, *arguments in split_commands(script):
        assert program in {*PROGRAMS, *project["scripts"]}, program
        for argument in arguments:
            if extra := re.search(r"\.\[(\w+)\]$", argument):
                assert extra[1] in project["optional-dependencies"]
            if program == "pytest" and not argument.startswith("-"):
                assert (REPOSITORY / argument).exists()


@pytest.mark.parametrize(
    ("page", "language", "code"), [(page, kind, code) for kind in READERS for page, code in blocks(kind)]
)
def test_blocks_can_be_read(page: str, language: str, code: str) -> None:
    READERS[language](code)


def test_readme_is_short_and_says_how_to_start() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert "pip install -e . && python -m mixup_study.run studies/corrupt_labels.yaml" in lines
    assert "pip install -e '.[dev]' && pytest" in lines


def test_index_names_every_page() -> None:
    index = REPOSITORY / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link, _ in LINK.findall(index.read_text(encoding="utf-8"))}
    assert linked >= set(PAGES) - {README, index}


def test_citation_names_the_software_and_the_paper() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert [paper["title"] for paper in citation["references"]] == ["mixup: Beyond Empirical Risk Minimization"]


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
