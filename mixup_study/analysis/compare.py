"""Whether two arms differ, seed by seed: p-values and confidence intervals over the seeds.

An interval is a bootstrap over the seeds: pairs of the same seed are drawn together where both sides ran the seed, else
each side by itself. It is the expanded percentile interval (Hesterberg, "What Teachers Should Know About the
Bootstrap", 2015), whose levels allow for few seeds; where seeds split a table, it is widened for overlapping training
sets as p-values are (Nadeau and Bengio, 2003). It never reaches beyond the differences seen. Without any difference
between the sides all n pairs agree in sign with probability 2 / 2**n, so with fewer than ENOUGH_SEEDS seeds it is too
narrow, however it is drawn: of normally distributed differences it holds the mean in 50 % of cases with two seeds, 75 %
with three, 88 % with four.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mixup_study.analysis.table import Records, TableRow
from mixup_study.catalogue import CATALOGUE, Dataset
from mixup_study.catalogue.data_sets import TEST_SHARE
from mixup_study.study.study import Study
from mixup_study.study.trial import Trial

CONFIDENCE = 0.95
ENOUGH_SEEDS = 6
"""The fewest seeds of which all agree in sign by chance in less than 5 % of cases."""
_RESAMPLES = 10_000
DECIMALS = 9
"""Of what is compared, so that no rounding of floats makes a difference."""

Values = npt.NDArray[np.float64]


def p_values(study: Study, records: Records, rows: Sequence[TableRow]) -> dict[TableRow, list[float | None]]:
    """Return the p-values of all columns of each row, against the row of the baseline that has its other keys.

    Rows without such a one, the baseline's own among them, are left out.
    """
    baseline = study.table.baseline
    others = [name for name in study.table.keys if name != "arm"]
    references = {row.values(others): row for row in rows if row.keys["arm"] == baseline}
    p_values = {}
    for row in rows:
        reference = references.get(row.values(others))
        if reference is not None and reference is not row:
            p_values[row] = [
                paired_p(study, records, row.trials, reference.trials, column.metric) for column in study.table.columns
            ]
    return p_values


def paired_p(study: Study, records: Records, trials: Sequence[str], others: Sequence[str], metric: str) -> float | None:
    """Return the two-sided p-value of a paired t-test between ``trials`` and ``others``; None without pairs.

    Trials, given by trial_id, are paired by their seeds; at least two pairs are needed. Where seeds also split a
    table into training and test rows, training sets overlap and differences are correlated: their variance is
    then that of Nadeau and Bengio (2003), larger by n times the test rows for each training row.
    """
    ours, theirs = by_seeds(study, records, trials, metric), by_seeds(study, records, others, metric)
    differences = [ours[seeds] - theirs[seeds] for seeds in ours if seeds in theirs]
    if len(differences) < 2:
        return None
    mean, variance = statistics.fmean(differences), statistics.variance(differences)
    if variance == 0:
        return 1.0 if mean == 0 else 0.0
    from scipy.special import stdtr

    t = mean / (variance * (1 / len(differences) + overlap(study, trials))) ** 0.5
    return float(2 * stdtr(len(differences) - 1, -abs(t)))


def is_split(study: Study, trial_ids: Sequence[str]) -> bool:
    """Return whether these trials split their data set differently, each by its seeds."""
    trials = (study.trials[trial_id] for trial_id in trial_ids)
    split = [trial for trial in trials if (dataset := _dataset(trial)) is not None and dataset.is_split]
    return len({trial.seed if trial.split_seed is None else trial.split_seed for trial in split}) > 1


def overlap(study: Study, trial_ids: Sequence[str]) -> float:
    """Return what Nadeau and Bengio (2003) add to 1 / n in the variance of a mean over n seeds: 0 without splits.

    That is the number of test rows for each training row; of several trials, the largest.
    """
    if not is_split(study, trial_ids):
        return 0.0
    return max(map(_test_rows_per_training_row, (study.trials[trial_id] for trial_id in trial_ids)))


def _test_rows_per_training_row(trial: Trial) -> float:
    dataset = _dataset(trial)
    if dataset is None or dataset.shape is None:
        return 0.0
    shape = dataset.shape
    test = math.ceil(TEST_SHARE * shape.rows)
    return test / min(trial.train_size or shape.rows, shape.rows - test)


def _dataset(trial: Trial) -> Dataset | None:
    """Return the data set of a trial, or of the one that it evaluates."""
    return (trial.evaluated or trial).components.dataset


def by_seeds(study: Study, records: Records, trial_ids: Sequence[str], metric: str) -> dict[tuple[int, ...], float]:
    """Return what trials, given by trial_id, measured, by their seeds."""
    values = {}
    for trial_id in trial_ids:
        value = records[trial_id][metric]
        if value is not None and not math.isnan(value):
            trial = study.trials[trial_id]
            values[tuple(getattr(trial, name) for name in CATALOGUE.seeds)] = value
    return values


Interval = tuple[float, float]


def bootstrap_interval(samples: Sequence[Values], overlap: float) -> Interval | None:
    """Return the confidence interval of the sum of the samples' means; None where a sample is of one seed.

    ``overlap`` is what is added to 1 / n in the variance of a mean of n seeds.
    """
    least = min(map(len, samples))
    if least < 2:
        return None
    tail = _tail(least)
    total = np.sum(_resample_means([sample[np.newaxis] for sample in samples], overlap), axis=0)
    low, high = np.round(np.quantile(total, [tail, 1 - tail]), DECIMALS)
    return float(low), float(high)


def bootstrap_ratio_interval(first: Values, second: Values, paired: bool, overlap: float) -> Interval | None:
    """Return the confidence interval of the mean of ``first`` over that of ``second``, drawn as the others are.

    It is None where a side is of one seed, and infinite at its upper end where the second mean may well be 0. Where
    both drawn means are 0, the ratio may be any: it counts as 0 for the lower end and as infinite for the upper.
    """
    least = min(len(first), len(second))
    if least < 2:
        return None
    tail = _tail(least)
    samples = [np.stack([first, second])] if paired else [first[np.newaxis], second[np.newaxis]]
    firsts, seconds = np.maximum(_resample_means(samples, overlap), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = firsts / seconds
    low = np.quantile(np.where(np.isnan(ratios), 0, ratios), tail, method="lower")
    high = np.quantile(np.where(np.isnan(ratios), np.inf, ratios), 1 - tail, method="higher")
    return round(float(low), DECIMALS), round(float(high), DECIMALS)


def _tail(count: int) -> float:
    """Return the share of resamples beyond each end of the interval of ``count`` seeds (Hesterberg, 2015)."""
    from scipy.special import ndtr, stdtrit

    return float(ndtr(stdtrit(count - 1, (1 - CONFIDENCE) / 2) * (count / (count - 1)) ** 0.5))


def _resample_means(samples: Sequence[Values], overlap: float) -> Values:
    """Return the resampled means of each row of the samples, stacked; rows of the same sample draw the same seeds."""
    generator = np.random.default_rng(0)
    resampled = []
    for sample in samples:
        count = sample.shape[1]
        drawn = generator.integers(count, size=(_RESAMPLES, count))
        for row in sample:
            means = row[drawn].mean(axis=1)
            resampled.append(row.mean() + (means - row.mean()) * (1 + count * overlap) ** 0.5)
    return np.stack(resampled)
