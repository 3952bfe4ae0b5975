"""A study's searches as a journal of Optuna."""

from __future__ import annotations

import uuid
from pathlib import Path

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.optuna_study import build_optuna_study
from mixup_study.errors import InputError
from mixup_study.exports.targets import writing_to
from mixup_study.study.labels import count_text


def write_journal(findings: Findings, path: Path) -> str:
    """Write the searches as a journal that Optuna and its dashboard open, in place of what stands there.

    Returns what was written. Raises InputError for a study without a search, and where the file cannot be written.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if not findings.searches:
        raise InputError(f"--optuna: {findings.study.name} has no search; expected a study with one")
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with writing_to("--optuna", path):
            storage = JournalStorage(JournalFileBackend(str(part)))
            for progress in findings.searches:
                build_optuna_study(findings.study, progress, storage)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    proposals = sum(len(progress.proposals) for progress in findings.searches)
    studies = f"{len(findings.searches)} studies" if len(findings.searches) != 1 else "1 study"
    return f"{studies} of Optuna, {count_text(proposals, 'trial')}"
