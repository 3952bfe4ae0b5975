"""Whether two arms differ, seed by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from mixup_study.analysis.table import Records
from mixup_study.catalogue.metrics import Metric
from mixup_study.catalogue.rules import DATASET_KINDS, TABLE_SHAPES, TEST_SHARE
from mixup_study.study.study import Study
from mixup_study.study.trial import SEEDS, Trial


def paired_p(study: Study, records: Records, one: Sequence[str], other: Sequence[str], metric: Metric) -> float | None:
    """Return the two-sided p-value of a paired t-test between the trials ``one`` and ``other``, None without pairs.

    Trials, given by trial_id, are paired by their seeds; at least two pairs are needed. Where seeds also split a
    table into training and test rows, training sets overlap and differences are correlated: their variance is
    then that of Nadeau and Bengio (2003), larger by n times the test rows for each training row.
    """
    ours, theirs = by_seeds(study, records, one, metric), by_seeds(study, records, other, metric)
    differences = [ours[seeds] - theirs[seeds] for seeds in ours if seeds in theirs]
    if len(differences) < 2:
        return None
    mean, variance = statistics.fmean(differences), statistics.variance(differences)
    if variance == 0:
        return 1.0 if mean == 0 else 0.0
    from scipy.special import stdtr

    t = mean / (variance * (1 / len(differences) + overlap(study, one))) ** 0.5
    return float(2 * stdtr(len(differences) - 1, -abs(t)))


def is_split(study: Study, trial_ids: Sequence[str]) -> bool:
    """Return whether these trials split their data set differently, each by its seeds."""
    tables = [trial for trial_id in trial_ids if DATASET_KINDS[(trial := study.trials[trial_id]).dataset] == "table"]
    return len({trial.seed if trial.split_seed is None else trial.split_seed for trial in tables}) > 1


def overlap(study: Study, trial_ids: Sequence[str]) -> float:
    """Return what Nadeau and Bengio (2003) add to 1 / n in the variance of a mean over n seeds: 0 without splits.

    That is the number of test rows for each training row; of several trials, the largest.
    """
    if not is_split(study, trial_ids):
        return 0.0
    return max(map(_test_rows_per_training_row, (study.trials[trial_id] for trial_id in trial_ids)))


def _test_rows_per_training_row(trial: Trial) -> float:
    shape = TABLE_SHAPES.get(trial.dataset)
    if shape is None:
        return 0.0
    test = math.ceil(TEST_SHARE * shape.rows)
    return test / min(trial.train_size or shape.rows, shape.rows - test)


def by_seeds(study: Study, records: Records, trial_ids: Sequence[str], metric: Metric) -> dict[tuple[int, ...], float]:
    """Return what trials, given by trial_id, measured, by their seeds."""
    values = {}
    for trial_id in trial_ids:
        value = records[trial_id][metric]
        if value is not None and not math.isnan(value):
            trial = study.trials[trial_id]
            values[tuple(getattr(trial, name) for name in SEEDS)] = value
    return values
