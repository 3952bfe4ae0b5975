"""A study's results as event files of TensorBoard."""

from __future__ import annotations

import shutil
from pathlib import Path

from mixup_study.analysis.findings import Findings
from mixup_study.exports.exported_trial import ExportedTrial, list_exported
from mixup_study.exports.targets import writing_to


def write_event_files(findings: Findings, folder: Path) -> str:
    """Write each trial's curves, results and settings to ``folder/<study>/<profile>/<label> <trial_id>/``.

    Curves stand under Time Series, settings and results under HParams. What stood there of the same trial is replaced.
    Returns what was written. Raises InputError where that is not possible.
    """
    count = 0
    with writing_to("--tensorboard", folder):
        for trial in list_exported(findings):
            profile = folder / findings.study.name / findings.study.profile
            for earlier in profile.glob(f"* {trial.trial_id}"):  # whatever it was called in the study by then
                shutil.rmtree(earlier)
            _write_trial(trial, profile / _name_folder(trial))
            count += 1
    return f"{count} runs; tensorboard --logdir {folder}"


def _name_folder(trial: ExportedTrial) -> str:
    """Return the name of a trial's folder, which is that of its run in TensorBoard."""
    label = trial.label.replace("/", "∕")  # a slash begins a folder within it
    return f"{label[:60]} {trial.trial_id}"


def _write_trial(trial: ExportedTrial, path: Path) -> None:
    from tensorboardX import SummaryWriter  # imports protobuf, which other exports do without
    from tensorboardX.summary import hparams

    results = {f"result/{name}": value for name, value in trial.results.items()}
    with SummaryWriter(logdir=str(path)) as writer:
        for row, time in zip(trial.epochs, trial.epoch_times(), strict=True):
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(f"epoch/{name}", value, int(row["epoch"]), walltime=time.timestamp())
        for name, value in results.items():
            writer.add_scalar(name, value, len(trial.epochs), walltime=trial.ended_at.timestamp())
        for summary in hparams(dict(trial.settings), results):  # add_hparams would write a run of its own for them
            writer.file_writer.add_summary(summary)
        writer.add_text("trial", _describe(trial))


def _describe(trial: ExportedTrial) -> str:
    lines = {"trial_id": trial.trial_id, "arm": trial.arm, "status": trial.status, "error": trial.error or ""}
    return "\n".join(f"- {name}: {text}" for name, text in {**lines, **trial.origins}.items() if text)
