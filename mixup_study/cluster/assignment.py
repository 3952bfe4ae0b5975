"""What a process that trains is given: a job, and how the run wants it done."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError
from mixup_study.study.data_files import check_files
from mixup_study.study.document import Resources
from mixup_study.study.plan import Job, Plan
from mixup_study.study.study import Study
from mixup_study.study.trial import SentTrial


class RunSettings(BaseModel):
    """How a run trains its trials, the same for all of them and no part of their identity."""

    model_config = ConfigDict(frozen=True)

    resources: Resources
    """The slot of one worker."""
    results: str
    """Location of the ResultStore."""
    data: Path
    """Folder of the data sets."""
    code_version: str
    checkpoint_seconds: float
    """A trial saves a checkpoint where the last is at least so old, also within an epoch that may be long."""
    retries: int
    """How often a job that raised, or whose process died, is trained again."""
    trial_time_limit: float | None = None
    """Seconds after which a job saves and makes room for the next, to go on in another run; None for no limit."""
    plugins: tuple[str, ...] = ()
    """Modules whose entries the trials may choose."""

    @classmethod
    def from_study(
        cls, study: Study, results: str, data: Path, code_version: str, trial_time_limit: float | None = None
    ) -> Self:
        """Return the settings of a run of ``study``."""
        return cls(
            resources=study.resources,
            results=results,
            data=data,
            code_version=code_version,
            checkpoint_seconds=study.checkpoint_seconds,
            retries=study.retries,
            trial_time_limit=trial_time_limit,
            plugins=CATALOGUE.plugins,
        )


class Assignment(BaseModel):
    """A job, and all that the process needs to know that trains it; it travels as JSON."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    log: str
    """Name of the log: the job's own, whatever is left of it when it starts again."""
    trials: dict[str, SentTrial]
    """Those left to train, by trial_id."""
    keep_models: frozenset[str]
    """trial_ids of those whose model must be written before the record."""
    until: int | None = None
    """The epoch after which they are to stop and leave a checkpoint; None for their last."""
    study: str
    """Name of the study that the job is of."""
    arms: dict[str, str]
    """The arm of each trial, by trial_id."""
    labels: dict[str, str]
    """What each trial is within its study, in a few words, by trial_id."""
    settings: RunSettings

    @classmethod
    def from_job(cls, job: Job, plan: Plan, settings: RunSettings) -> Self:
        """Return the assignment of a job of ``plan``."""
        return cls(
            log=job.name,
            trials=dict(zip(job.trial_ids, job.trials, strict=True)),
            keep_models=job.keep_models,
            until=job.until,
            study=plan.study,
            arms={trial_id: plan.arms[trial_id] for trial_id in job.trial_ids},
            labels={trial_id: plan.labels[trial_id] for trial_id in job.trial_ids},
            settings=settings,
        )

    @property
    def title(self) -> str:
        """Return what is trained, for people: ``corrupt_labels: label noise 50%, mixup, α=8``."""
        more = f" and {len(self.trials) - 1} more" if len(self.trials) > 1 else ""
        return f"{self.study}: {self.labels[next(iter(self.trials))]}{more}"

    @property
    def workers(self) -> int:
        """Return the number of data-parallel workers, the same for all trials of a job."""
        return next(iter(self.trials.values())).processes

    def check_components(self) -> None:
        """Raise InputError where a trial's components are not here what they are where the command runs."""
        for trial_id, trial in self.trials.items():
            if trial.trial_id != trial_id:
                names = ", ".join(trial.components.revisions)
                raise InputError(
                    f"{self.labels[trial_id]}: its code on this node is not what the command read ({names}); expected"
                    " the same files of plugins everywhere, unchanged while a study runs"
                )

    def check_files(self) -> None:
        """Raise InputError where the user's own data files are not here what they are where the command runs."""
        for trial in self.trials.values():
            check_files(trial, self.settings.data)

    def without(self, trial_ids: Collection[str]) -> Self:
        """Return the assignment of the other trials."""
        left = {trial_id: trial for trial_id, trial in self.trials.items() if trial_id not in trial_ids}
        return self.model_copy(update={"trials": left})
