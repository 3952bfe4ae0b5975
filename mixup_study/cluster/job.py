"""A job: what Ray schedules."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mixup_study.study.document import Resources
from mixup_study.study.labels import cell_labels
from mixup_study.study.packs import largest_pack, pack_key
from mixup_study.study.study import Study
from mixup_study.study.trial import Trial, joint_id

MESSAGE = "mixup_study"
"""The key of Tune's results under which a job tells how it is doing."""


class Job(BaseModel):
    """A trial that one process, or one group of data-parallel workers, trains, or several that one trains as a pack."""

    model_config = ConfigDict(frozen=True)

    trials: tuple[Trial, ...]
    resources: Resources
    results: str
    data: Path
    code_version: str
    checkpoint_seconds: float
    study: str
    """Name of the study that the job is of."""
    arms: dict[str, str]
    """The arm of each trial, by trial_id."""
    labels: dict[str, str]
    """What each trial is within its study, in a few words, by trial_id."""
    stop_flag: str = ""
    """Name of the StopFlag that the job's processes ask; none by default."""

    @property
    def name(self) -> str:
        """Return the id of the trial, or one of all trials together."""
        return joint_id(self.trials)

    @property
    def title(self) -> str:
        """Return what the job trains, for people: ``corrupt_labels: label noise 50%, mixup, α=8``."""
        more = f" and {len(self.trials) - 1} more" if len(self.trials) > 1 else ""
        return f"{self.study}: {self.labels[self.trials[0].trial_id]}{more}"

    @property
    def workers(self) -> int:
        """Return the number of data-parallel workers, the same for all trials of a job."""
        return self.trials[0].workers


def jobs_of(study: Study, left: Collection[str], slots: int, results: str, data: Path, code_version: str) -> list[Job]:
    """Return the jobs that train the trials of a study whose trial_ids are ``left``.

    Trials that may are trained as packs, of no more than every slot's share of them. A pack is drawn from all
    trials of the study, so that what is left of one after an interruption is that pack again.
    """
    groups: dict[Hashable, list[Trial]] = {}
    for trial_id, trial in study.trials.items():
        groups.setdefault(pack_key(trial) or trial_id, []).append(trial)
    share = -(-sum(len(group) for group in groups.values() if len(group) > 1) // max(1, slots))
    packs = []
    for group in groups.values():
        largest = min(share, largest_pack(group[0])) if len(group) > 1 else 1
        count = -(-len(group) // largest)
        bounds = [len(group) * number // count for number in range(count + 1)]
        packs += [group[start:end] for start, end in itertools.pairwise(bounds)]
    arms = {cell.trial.trial_id: cell.arm for cell in study.cells}
    labels = cell_labels(study)
    return [
        Job(
            trials=trials,
            resources=study.resources,
            results=results,
            data=data,
            code_version=code_version,
            checkpoint_seconds=study.checkpoint_seconds,
            study=study.name,
            arms={trial.trial_id: arms[trial.trial_id] for trial in trials},
            labels={trial.trial_id: labels[trial.trial_id] for trial in trials},
        )
        for pack in packs
        if (trials := tuple(trial for trial in pack if trial.trial_id in left))
    ]
