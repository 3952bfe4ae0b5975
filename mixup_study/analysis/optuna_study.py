"""A search as Optuna has it, for what Optuna and its tools know to do with one."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from mixup_study.study.labels import name_search
from mixup_study.study.sampling import build_distributions, build_trial
from mixup_study.study.search_progress import SearchProgress
from mixup_study.study.study import Study

if TYPE_CHECKING:
    import optuna

LEAST = 8
"""Proposals from which on importances are told."""


def name_study(study: Study, progress: SearchProgress) -> str:
    """Return what a search is called beside others: ``corrupt_labels: label noise 50%, mixup``."""
    return f"{study.name}: {name_search(study, progress.search)}"


def build_optuna_study(
    study: Study, progress: SearchProgress, storage: optuna.storages.BaseStorage | None = None
) -> optuna.Study:
    """Return a search as a study of Optuna, in ``storage`` or in memory.

    Each proposal is a trial of the same number: complete with what is minimised, pruned where it was stopped before
    its last epoch, failed where every trial of it failed, running while one of them has not ended. Its user attributes
    name the trials. Raises optuna.exceptions.DuplicatedStudyError where the storage has a study of that name.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = progress.search
    directions = [optuna.study.StudyDirection.MINIMIZE] * len(search.options.minimise)
    created = optuna.create_study(storage=storage, study_name=name_study(study, progress), directions=directions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        created.set_metric_names(search.options.minimise)
    distributions = build_distributions(search.space)
    for number, values in enumerate(progress.proposals):
        attributes = {"trial_ids": list(progress.list_trial_ids(number))}
        if progress.has_failed(number):
            trial = build_trial(distributions, values, state=optuna.trial.TrialState.FAIL, user_attrs=attributes)
        elif progress.measured(number) is None:
            trial = build_trial(distributions, values, user_attrs=attributes)
        else:
            trial = build_trial(distributions, progress.observe(number), user_attrs=attributes)
        created.add_trial(trial)
    return created


def find_importances(study: Study, progress: SearchProgress) -> dict[str, float]:
    """Return how much each field of a search decides of what is minimised, in [0, 1], adding up to 1.

    By PED-ANOVA (Watanabe et al., 2023), among the better proposals. Empty before LEAST proposals have ended well.
    """
    import optuna

    created = build_optuna_study(study, progress)
    if len(created.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])) < LEAST:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        importances = optuna.importance.get_param_importances(created, evaluator=evaluator)
    return {name: importances.get(name, 0.0) for name in progress.search.space}
