from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from scipy import stats

from mixup_study.analysis.compare import is_split, paired_p
from mixup_study.analysis.table import Records
from mixup_study.study.expand import Cell
from mixup_study.study.study import Study

Loader = Callable[..., Study]
Measure = Callable[[Study, Callable[[Cell], Any]], Records]

TEXT = """\
name: small
trial: {dataset: digits, model: mlp, width: 8, epochs: 4, batch_size: 50, lr: 0.1}
grid: {seed: [0, 1, 2, 3, 4]}
arms:
  ERM: {}
  mixup: {method: mixup, alpha: 8}
table:
  title: Small results
  rows: [arm]
  columns:
    - {title: last, metric: test_error_last}
"""
IRIS = TEXT.replace("digits", "iris")
ERM = [0.30, 0.28, 0.35, 0.31, 0.26]
MIXUP = [0.27, 0.29, 0.30, 0.28, 0.25]


def errors(cell: Cell) -> float:
    return (ERM if cell.arm == "ERM" else MIXUP)[cell.trial.seed]


def trials_of(study: Study, arm: str) -> list[str]:
    return [cell.trial.trial_id for cell in study.cells if cell.arm == arm]


def p(study: Study, records: Records, metric: Any = "test_error_last") -> float | None:
    """Return how likely it is that mixup and ERM, as far as they have been run, differ as much by chance."""
    ran = {arm: [trial_id for trial_id in trials_of(study, arm) if trial_id in records] for arm in ("mixup", "ERM")}
    return paired_p(study, records, ran["mixup"], ran["ERM"], metric)


def test_where_seeds_do_not_split_it_is_the_paired_t_test(load: Loader, measure: Measure) -> None:
    study = load(TEXT)
    assert p(study, measure(study, errors)) == pytest.approx(stats.ttest_rel(MIXUP, ERM).pvalue)


def test_where_one_split_is_shared_it_is_the_paired_t_test(load: Loader, measure: Measure) -> None:
    study = load(IRIS.replace("epochs: 4", "epochs: 4, split_seed: 3"))
    assert p(study, measure(study, errors)) == pytest.approx(stats.ttest_rel(MIXUP, ERM).pvalue)


def test_where_seeds_split_the_variance_is_that_of_nadeau_and_bengio(load: Loader, measure: Measure) -> None:
    study = load(IRIS)
    # Differences -3, 1, -5, -3, -1 percent: their mean is -2.2, their variance 20.8 / 4 = 5.2. One row of five is
    # for testing, so that 5.2 · (1/5 + 1/4) = 2.34 is the variance of the mean.
    expected = 2 * stats.t.sf(2.2 / math.sqrt(2.34), df=4)
    assert p(study, measure(study, errors)) == pytest.approx(expected)


def test_fewer_training_rows_make_the_variance_larger(load: Loader, measure: Measure) -> None:
    study = load(IRIS, "trial.train_size=20")
    # Of the 150 rows 30 are for testing, so that 5.2 · (1/5 + 30/20) = 8.84 is the variance of the mean.
    expected = 2 * stats.t.sf(2.2 / math.sqrt(8.84), df=4)
    assert p(study, measure(study, errors)) == pytest.approx(expected)


def test_the_order_of_the_arms_and_of_their_trials_makes_no_difference(load: Loader, measure: Measure) -> None:
    study = load(IRIS)
    records = measure(study, errors)
    mixup, erm = trials_of(study, "mixup"), trials_of(study, "ERM")
    backwards = paired_p(study, records, erm[::-1], mixup, "test_error_last")
    assert backwards == pytest.approx(p(study, records))


@pytest.mark.parametrize("text", [TEXT, IRIS], ids=["images", "table"])
@pytest.mark.parametrize(("difference", "expected"), [(0.0, 1.0), (0.25, 0.0)], ids=["none", "always the same"])
def test_differences_that_do_not_vary_leave_no_doubt(
    text: str, difference: float, expected: float, load: Loader, measure: Measure
) -> None:
    study = load(text)
    records = measure(study, lambda cell: 0.125 * cell.trial.seed + (difference if cell.arm == "mixup" else 0))
    assert p(study, records) == expected


def test_only_seeds_of_both_arms_are_compared(load: Loader, measure: Measure) -> None:
    study = load(TEXT)
    absent = {("ERM", 0): None, ("mixup", 3): "failed", ("mixup", 4): {"test_error_best": 0.5}}
    records = measure(study, lambda cell: absent.get((cell.arm, cell.trial.seed), errors(cell)))
    finished = {trial_id: record for trial_id, record in records.items() if record["status"] == "done"}
    assert p(study, finished) == pytest.approx(stats.ttest_rel(MIXUP[1:3], ERM[1:3]).pvalue)


def test_what_is_not_a_number_is_not_compared(load: Loader, measure: Measure) -> None:
    study = load(TEXT)
    records = measure(study, lambda cell: math.nan if (cell.arm, cell.trial.seed) == ("ERM", 2) else errors(cell))
    expected = stats.ttest_rel([*MIXUP[:2], *MIXUP[3:]], [*ERM[:2], *ERM[3:]]).pvalue
    assert p(study, records) == pytest.approx(expected)


@pytest.mark.parametrize(
    "ran", [{}, {"ERM": {0, 1, 2}}, {"ERM": {0}, "mixup": {0}}, {"ERM": {0, 1}, "mixup": {1, 2}}], ids=str
)
def test_fewer_than_two_pairs_tell_nothing(ran: Mapping[str, set[int]], load: Loader, measure: Measure) -> None:
    study = load(TEXT)
    records = measure(study, lambda cell: errors(cell) if cell.trial.seed in ran.get(cell.arm, ()) else None)
    assert p(study, records) is None


def test_pairs_have_every_seed_in_common(load: Loader, measure: Measure) -> None:
    study = load(TEXT, "grid.seed=[0, 1]", "grid.data_seed=[0, 1]", "trial.train_size=100")
    ours, theirs = [0.25, 0.5, 0.125, 0.75], [0.5, 0.25, 0.25, 0.875]

    def error(cell: Cell) -> float:
        return (ours if cell.arm == "mixup" else theirs)[2 * cell.trial.seed + cell.trial.data_seed]

    assert p(study, measure(study, error)) == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)


def test_each_metric_is_compared_by_itself(load: Loader, measure: Measure) -> None:
    study = load(TEXT)
    records = measure(study, lambda cell: {"test_error_last": errors(cell), "test_error_best": 0.25})
    assert p(study, records, "test_error_best") == 1
    assert p(study, records, "train_error_real") is None


def test_counts_are_compared_too(load: Loader, measure: Measure) -> None:
    text = TEXT.replace("dataset: digits", "task: gan, dataset: gaussian_ring")
    study = load(text.replace("test_error_last", "modes_covered_last"))
    ours, theirs = [8, 8, 7, 8, 6], [7, 6, 7, 4, 6]
    records = measure(
        study, lambda cell: {"modes_covered_last": float((ours if cell.arm == "mixup" else theirs)[cell.trial.seed])}
    )
    assert p(study, records, "modes_covered_last") == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    assert not is_split(study, list(study.trials))


@pytest.mark.parametrize(("text", "split"), [(TEXT, False), (IRIS, True)], ids=["images", "table"])
def test_seeds_split_tables_alone(text: str, split: bool, load: Loader) -> None:
    study = load(text)
    assert is_split(study, list(study.trials)) is split
