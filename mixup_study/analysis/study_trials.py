"""Which trials are of a study, as SQL asks for them."""

from __future__ import annotations

from mixup_study.analysis.table import cell_ids
from mixup_study.store.sql import StudyTrials
from mixup_study.study.plan import GridPlan
from mixup_study.study.study import Study


def list_study_trials(study: Study) -> StudyTrials:
    """Return the trials of a study with their arms.

    What its searches have tried is among them where ``study`` is that of Findings, and so are, of no arm, the models
    that its trials need.
    """
    cells = study.every_cell
    arms = [(cell.arm, trial_id) for cell, trial_id in zip(cells, cell_ids(study, cells), strict=True)]
    models = [(None, trial_id) for trial_id in GridPlan(study, 1).trials if trial_id not in study.trials]
    return StudyTrials(study.name, study.profile, [*arms, *models], {search.search_id for search in study.searches})
