"""Export a study's searches to a file that Optuna and its tools open."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Sequence
from pathlib import Path

from mixup_study import cli
from mixup_study.analysis.findings import Findings
from mixup_study.analysis.optuna_study import build_optuna_study
from mixup_study.errors import InputError
from mixup_study.study.labels import count_text


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    findings = cli.read_findings(options)
    if not findings.searches:
        raise InputError(f"{options.study}: it has no search; expected a study with one")
    _write_journal(findings, options.optuna)
    proposals = sum(len(progress.proposals) for progress in findings.searches)
    studies = f"{len(findings.searches)} studies" if len(findings.searches) != 1 else "1 study"
    print(f"{options.optuna}: {studies} of Optuna, {count_text(proposals, 'trial')}")
    return cli.DONE


def _write_journal(findings: Findings, path: Path) -> None:
    """Write the searches as a journal of Optuna, in place of what stands there. Raises InputError."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        storage = JournalStorage(JournalFileBackend(str(part)))
        for progress in findings.searches:
            build_optuna_study(findings.study, progress, storage)
        part.replace(path)
    except OSError as error:
        raise InputError(f"--optuna {path}: cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "export",
        "Export a study's searches to a file that Optuna and its tools open.",
        "export studies/search_corrupt_labels.yaml --optuna search.journal",
    )
    cli.add_study(parser)
    cli.add_results(parser)
    cli.add_data(parser)
    parser.add_argument(
        "--optuna",
        type=Path,
        required=True,
        metavar="FILE",
        help="a journal of Optuna, written anew: optuna-dashboard opens it",
    )
    return cli.resolve_data(parser.parse_args(arguments))


if __name__ == "__main__":
    cli.command(main)
