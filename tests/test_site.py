"""The manual as a site."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parent.parent
TARGET = re.compile(r"<(?:a|img|link|script)\b[^>]*? (?:href|src)=\"?([^\s\">]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built without a warning."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_leads_to_files_that_are_there(site: Path) -> None:
    pages = [page for page in site.rglob("*.html") if page.name != "404.html"]
    assert len(pages) == len(
        [
            *REPOSITORY.glob("*.md"),
            *REPOSITORY.glob("docs/**/*.md"),
            *REPOSITORY.glob("dashboards/*.md"),
            *REPOSITORY.glob("deploy/*/*.md"),
        ]
    )
    for page in pages:
        for element in TARGET.finditer(page.read_text(encoding="utf-8")):
            path = unquote(element[1].partition("#")[0])
            if "://" in path or path.startswith("mailto:"):
                assert element[0].startswith("<a"), f"{page}: {element[0]}"
            elif path:
                assert (page.parent / path).exists(), f"{page}: {element[0]}"


def test_reference_shows_what_entries_declare(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "docs" / "reference.html").read_text(encoding="utf-8"))
    for line in (
        "Turns a minibatch of training examples into virtual ones.",
        "A part of a trial that its study chooses by name.",
    ):
        assert line in text
