"""A study's results as runs of MLflow."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from mixup_study.analysis.findings import Findings
from mixup_study.exports.exported_trial import ExportedTrial, list_exported
from mixup_study.exports.targets import require_package, writing_to
from mixup_study.store.record import Status

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

STATES: dict[Status, str] = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
"""What MLflow calls the state of a trial; a search has stopped those that it calls killed."""
BATCH_METRICS, BATCH_PARAMETERS = 1000, 100
"""How many MLflow takes in one call."""
_TRIAL_ID, _REVISION = "mixup_study.trial_id", "mixup_study.revision"


def write_runs(findings: Findings, uri: str) -> str:
    """Write each trial as a run of the experiment ``<study>, profile <profile>`` at a tracking URI.

    Fields are parameters, curves are metrics with the epoch as their step, and what was measured in the end is a
    metric at the last epoch. A run that has the trial's record already is left as it is, one of another record is
    deleted and written anew. Returns what was written. Raises InputError where that is not possible.
    """
    require_package("mlflow", "mlflow-skinny", "--mlflow")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # the default tries a dead server for four minutes
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for logger in ("mlflow", "alembic"):  # which tell of every table that they add to a new database
        logging.getLogger(logger).setLevel(logging.ERROR)

    name = f"{findings.study.name}, profile {findings.study.profile}"
    with writing_to("--mlflow", uri, MlflowException, SQLAlchemyError):
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(name)
        experiment_id = client.create_experiment(name) if experiment is None else experiment.experiment_id
        present = list(_list_runs(client, experiment_id))
        trials = list(list_exported(findings))
        current = {(trial.trial_id, trial.revision) for trial in trials}
        exported = {trial.trial_id for trial in trials}
        for run_id, (trial_id, revision) in present:  # several interrupted exports may have left a trial several runs
            if trial_id in exported and (trial_id, revision) not in current:
                client.delete_run(run_id)
        recorded = {revision for _, revision in present}
        missing = [trial for trial in trials if (trial.trial_id, trial.revision) not in recorded]
        for trial in missing:
            _write_run(client, experiment_id, trial)
    already = f", {len(trials) - len(missing)} were there" if len(missing) < len(trials) else ""
    return f"{len(missing)} runs of {name!r}{already}"


def _list_runs(client: MlflowClient, experiment_id: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the run_id of each run that an export has written, with the trial_id and the revision of its record.

    The revision is empty where the export was interrupted.
    """
    token = None
    while True:
        runs = client.search_runs([experiment_id], max_results=1000, page_token=token)
        for run in runs:
            tags = run.data.tags
            if _TRIAL_ID in tags:
                yield run.info.run_id, (tags[_TRIAL_ID], tags.get(_REVISION, ""))
        token = runs.token
        if not token:
            return


def _write_run(client: MlflowClient, experiment_id: str, trial: ExportedTrial) -> None:
    from mlflow.entities import Param

    tags = {_TRIAL_ID: trial.trial_id, "arm": trial.arm, "error": trial.error or "", **trial.origins}
    run = client.create_run(
        experiment_id,
        start_time=_milliseconds(trial.started_at),
        run_name=trial.label,
        tags={name: text for name, text in tags.items() if text},
    )
    run_id = run.info.run_id
    parameters = [Param(name, str(value)) for name, value in trial.settings.items()]
    metrics = list(_list_metrics(trial))
    for start in range(0, len(parameters), BATCH_PARAMETERS):
        client.log_batch(run_id, params=parameters[start : start + BATCH_PARAMETERS])
    for start in range(0, len(metrics), BATCH_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH_METRICS])
    client.set_terminated(run_id, STATES[trial.status], end_time=_milliseconds(trial.ended_at))
    client.set_tag(run_id, _REVISION, trial.revision)  # last: without it the next export writes the run anew


def _list_metrics(trial: ExportedTrial) -> Iterator[Metric]:
    from mlflow.entities import Metric

    for row, time in zip(trial.epochs, trial.epoch_times(), strict=True):
        for name, value in row.items():
            if name != "epoch":
                yield Metric(name, value, _milliseconds(time), int(row["epoch"]))
    for name, value in trial.results.items():
        yield Metric(name, value, _milliseconds(trial.ended_at), len(trial.epochs))


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
