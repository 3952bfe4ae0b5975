"""A job: what Ray schedules."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mixup_study.spec.study import Resources, Study
from mixup_study.spec.trial import Trial

MESSAGE = "mixup_study"
"""The key of Tune's results under which a job tells how it is doing."""


class Job(BaseModel):
    """Trials that one process, or one group of data-parallel workers, trains one after the other."""

    model_config = ConfigDict(frozen=True)

    trials: tuple[Trial, ...]
    resources: Resources
    results: str
    data: Path
    code_version: str
    checkpoint_seconds: float
    stop_flag: str = ""
    """Name of the StopFlag that the job's processes ask; none by default."""

    @property
    def workers(self) -> int:
        """Return the number of data-parallel workers, the same for all trials of a job."""
        return self.trials[0].workers


def jobs_of(trials: Iterable[Trial], study: Study, results: str, data: Path, code_version: str) -> list[Job]:
    """Return the jobs that train ``trials`` of a study: one each."""
    return [
        Job(
            trials=(trial,),
            resources=study.resources,
            results=results,
            data=data,
            code_version=code_version,
            checkpoint_seconds=study.checkpoint_seconds,
        )
        for trial in trials
    ]
