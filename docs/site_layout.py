"""Lay the site out as the repository is, so that a page's links lead to the same place on the site and on GitHub."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).parent.parent
SHOWN = (
    "*.md",
    "LICENSE",
    "CITATION.cff",
    "dashboards/**/*.*",
    "deploy/**/*.*",
    "docs/**/*.md",
    "docs/**/*.png",
    "docs/*.json",
    "docs/*.ipynb",
    "studies/*.yaml",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return what the pages consist of and link to, by its place in the repository, beside the theme's own files."""
    theme = [file for file in files if file.src_dir != config.docs_dir]
    own = sorted(path.relative_to(REPOSITORY).as_posix() for pattern in SHOWN for path in REPOSITORY.glob(pattern))
    return Files([*theme, *(File(path, str(REPOSITORY), config.site_dir, config.use_directory_urls) for path in own)])
