"""The records of trials that ended, well or not."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import ray

from mixup_study.analysis.table import records_by_id
from mixup_study.catalogue.metrics import headline_metric
from mixup_study.cluster.job import Job
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.study.trial import Trial

if TYPE_CHECKING:
    import torch

    from mixup_study.training.task import Measured


def recorded(results: str, trials: Sequence[Trial]) -> dict[str, float]:
    """Return the headline of each of these trials that the results hold as finished by now, by trial_id."""
    store = ResultStore(results)
    done = store.done_among([trial.trial_id for trial in trials])
    if not done:
        return {}
    records = records_by_id(store.trials())
    return {
        trial.trial_id: records[trial.trial_id][headline_metric(trial.task)]
        for trial in trials
        if trial.trial_id in done
    }


def done(trial: Trial, made: dict[str, Any], measured: Measured) -> TrialRecord:
    """Return the record of a trial that finished."""
    return TrialRecord(
        trial,
        "done",
        made,
        train_seconds=measured.seconds,
        resumed_seconds=measured.resumed_seconds,
        measurements=measured.measurements,
        epochs=measured.epochs,
        points=measured.points,
    )


def failed(trial: Trial, made: dict[str, Any], error: Exception, told: str | None = None) -> TrialRecord:
    """Return the record of a trial that ``error`` ended; ``told`` is its traceback where another process raised it."""
    return TrialRecord(
        trial,
        "failed",
        made,
        train_seconds=(datetime.now(UTC) - made["started_at"]).total_seconds() / made["pack_size"],
        error=one_line(error),
        traceback=told or "".join(traceback.format_exception(error)),
    )


def one_line(error: Exception) -> str:
    """Return what went wrong in one line of at most 500 characters."""
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "its process was killed: the node ran out of memory"
    if isinstance(error, ray.exceptions.RayActorError):
        return "its process died"
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def made(job: Job, started_at: datetime, device: torch.device | None) -> dict[str, Any]:
    """Return how a record was made; ``device`` is None in a process that did not train."""
    by: dict[str, str | None] = {"device": None, "torch_version": None}
    if device is not None:
        import torch

        name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
        by = {"device": name, "torch_version": str(torch.__version__)}
    return {
        "pack_size": len(job.trials),
        "started_at": started_at,
        **by,
        "code_version": job.code_version,
        "python_version": platform.python_version(),
        "ray_version": ray.__version__,
    }
