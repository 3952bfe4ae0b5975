"""List the studies of a folder, and how far each is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from mixup_study import cli
from mixup_study.analysis.efficiency import ended_at
from mixup_study.analysis.findings import Findings
from mixup_study.errors import InputError
from mixup_study.store.store import ResultStore
from mixup_study.study.labels import time_text
from mixup_study.study.shipped import list_shipped
from mixup_study.study.study import StudyFile
from mixup_study.views.render import FORMATS, render
from mixup_study.views.sheet import Sheet

DEFAULT_FOLDER = Path("studies")


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status: that of bad input where a study cannot be read, others shown."""
    options = _options(arguments)
    if not options.folder.is_dir():
        raise InputError(f"{options.folder}: no such folder; expected one of study files")
    store = ResultStore(options.results)
    rows, errors = [], []
    for path in sorted(options.folder.glob("*.yaml")):
        try:
            file = StudyFile(path, tuple(options.overrides), files=cli.data_files(None, options.results))
            rows += _list_profiles(file, store)
        except InputError as unreadable:
            errors.append(f"error: {unreadable}")
    headings = ["file", "study", "profile", "trials", "done", "failed", "left", "last recorded"]
    print(render(Sheet(headings, rows, numeric=frozenset(range(3, 7))), options.format), end="")
    for error in errors:
        print(error, file=sys.stderr)
    return cli.BAD_INPUT if errors else cli.DONE


def _list_profiles(file: StudyFile, store: ResultStore) -> list[list[str]]:
    """Return a row for each profile of a study."""
    rows = []
    for profile in file.profiles:
        findings = Findings.read(file.load(profile), store, "")
        progress = findings.progress
        counts = [progress.total, progress.done, progress.failed, progress.left]
        last = _last_recorded(findings)
        texts = [file.path.name, findings.study.name, profile, *map(str, counts)]
        rows.append([*texts, "" if last is None else time_text(last)])
    return rows


def _last_recorded(findings: Findings) -> datetime | None:
    """Return when the last of a study's trials ended that are recorded; None where that is unknown."""
    records = (findings.records.get(trial_id) for trial_id in findings.study.trials)
    ends = (ended_at(record) for record in records if record is not None)
    return max((end for end in ends if end is not None), default=None)


def _default_folder() -> Path:
    """Return the folder of studies here, or that of the studies that come with the package."""
    return DEFAULT_FOLDER if DEFAULT_FOLDER.is_dir() else next(iter(list_shipped().values())).parent


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "list",
        "List the studies of a folder, their profiles, and how many trials of each are done and left.",
        "list",
        "list studies --results s3://bucket/folder",
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=_default_folder(),
        help="folder of study files (default: studies, or the studies that come with the package)",
    )
    cli.add_overrides(parser)
    cli.add_results(parser)
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.command(main)
