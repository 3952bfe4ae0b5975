"""A study's results as offline runs of Weights & Biases, which ``wandb sync`` uploads."""

from __future__ import annotations

import shutil
from pathlib import Path

from mixup_study.analysis.findings import Findings
from mixup_study.exports.exported_trial import ExportedTrial, list_exported
from mixup_study.exports.targets import require_package, writing_to


def write_offline_runs(findings: Findings, folder: Path) -> str:
    """Write each trial as an offline run to ``folder/wandb/``; nothing is sent anywhere.

    The project is the study's name, the group is the arm, the run's id is the trial_id. What stood there of the same
    trial is replaced. Returns what was written. Raises InputError where that is not possible.
    """
    require_package("wandb", "wandb", "--wandb-offline")
    count = 0
    with writing_to("--wandb-offline", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for trial in list_exported(findings):
            for path in folder.glob(f"wandb/offline-run-*-{trial.trial_id}"):
                shutil.rmtree(path)
            _write_run(findings, trial, folder)
            count += 1
    return f"{count} runs; wandb sync {folder}/wandb/offline-run-*"


def _write_run(findings: Findings, trial: ExportedTrial, folder: Path) -> None:
    import wandb

    settings = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        x_disable_stats=True,
        x_disable_meta=True,  # of this machine, not of the one that trained
    )
    run = wandb.init(
        mode="offline",
        dir=str(folder),
        project=findings.study.name,
        group=trial.arm[:128] or None,
        name=trial.label[:128],
        id=trial.trial_id,
        tags=[findings.study.profile, trial.status],
        config={**trial.settings, **trial.origins, "trial_id": trial.trial_id},
        settings=settings,
    )
    for row in trial.epochs:
        run.log(dict(row), step=int(row["epoch"]))
    run.summary.update({**trial.results, "status": trial.status, "error": trial.error})
    run.finish(exit_code=0 if trial.status == "done" else 1)
