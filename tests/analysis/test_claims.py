"""The paper's claims judged: intervals against scipy's bootstrap, verdicts by what was measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mixup_study.analysis.claims import JudgedClaim, JudgedComparison, judge
from mixup_study.analysis.table import Records, table_rows
from mixup_study.catalogue import CATALOGUE, PERCENT
from mixup_study.study.expand import Cell
from mixup_study.study.study import Study, StudyFile
from mixup_study.study.trial import comparable

Loader = Callable[..., Study]
Measure = Callable[[Study, Callable[[Cell], Any]], Records]

STUDIES = Path(__file__).parents[2] / "studies"
CLAIMING = ["ablation", "corrupt_labels", "gan", "tabular"]

DEEP = """\
name: deep
trial: {dataset: digits, model: preact_resnet18, width: 8, epochs: 4, batch_size: 50, lr: 0.1}
grid: {weight_decay: [1e-4, 5e-4], seed: [0, 1, 2]}
arms:
  ERM: {}
  mixup: {method: mixup, alpha: [1, 2, 8]}
  dropout: {dropout: 0.5}
table:
  title: Deep
  rows: [weight_decay, arm]
  columns: [{title: best, metric: test_error_best}, {title: last, metric: test_error_last, decimals: 2}]
  pick: {lowest: test_error_last}
claims:
  - {text: A claim, section: "3.4", compare: [COMPARE]}
"""
SPLIT = """\
name: split
trial: {model: mlp, depth: 2, epochs: 2, batch_size: 16, optimizer: adam, lr: 1e-3, weight_decay: 0}
grid: {dataset: DATASET, seed: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}
arms: {ERM: {}, mixup: {method: mixup, alpha: 0.2}}
table: {title: T, rows: [dataset], across: arm, columns: [{title: error, metric: test_error_last}]}
claims:
  - {text: A claim, section: "3.6", compare: [{lower: mixup, than: ERM}]}
"""


def claiming(*comparisons: str) -> str:
    return DEEP.replace("COMPARE", ", ".join(comparisons))


def only(judged: list[JudgedClaim]) -> JudgedClaim:
    (claim,) = judged
    return claim


def at_small(claim: JudgedClaim) -> JudgedComparison:
    """The comparison at weight decay 1e-4."""
    (found,) = [one for one in claim.comparisons if one.first.keys.get("weight_decay") == 1e-4]
    return found


def seed_of(cell: Cell) -> int:
    return cell.trial.seed


# The interval.


def expanded(count: int) -> float:
    """The confidence level of a percentile interval that allows for ``count`` seeds (Hesterberg, 2015)."""
    return 1 - 2 * float(stats.norm.cdf(math.sqrt(count / (count - 1)) * stats.t.ppf(0.025, count - 1)))


def test_pairs_of_seeds_are_drawn_together(load: Loader, measure: Measure) -> None:
    study = load(SPLIT.replace("DATASET", "digits"))
    errors = np.random.default_rng(1).uniform(0.1, 0.2, size=(2, 10))
    errors[1] = errors[0] - 0.01 + 0.1 * (errors[1] - 0.15)
    records = measure(study, lambda cell: float(errors[int(cell.arm == "mixup"), cell.trial.seed]))
    (one,) = only(judge(study, records)).comparisons
    differences = 100 * (errors[1] - errors[0])
    found = stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=50_000,
        confidence_level=expanded(10),
        method="percentile",
        rng=np.random.default_rng(7),
    ).confidence_interval
    assert one.difference == pytest.approx(float(differences.mean()))
    assert one.interval == pytest.approx((found.low, found.high), abs=0.04)
    assert (one.seeds, one.paired, one.verdict, one.unit) == (10, True, "supported", "points")


def test_sides_of_other_seeds_are_drawn_apart(load: Loader, measure: Measure) -> None:
    apart = SPLIT.replace("DATASET", "digits").replace(
        "alpha: 0.2", "alpha: 0.2, seed: [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]"
    )
    study = load(apart)
    errors = np.random.default_rng(2).uniform(0.1, 0.2, size=20)
    records = measure(study, lambda cell: float(errors[cell.trial.seed]))
    (one,) = only(judge(study, records)).comparisons
    mixup, erm = 100 * errors[10:], 100 * errors[:10]
    found = stats.bootstrap(
        (mixup, erm),
        lambda ours, theirs, axis: ours.mean(axis=axis) - theirs.mean(axis=axis),
        n_resamples=50_000,
        confidence_level=expanded(10),
        method="percentile",
        rng=np.random.default_rng(7),
    ).confidence_interval
    assert one.interval == pytest.approx((found.low, found.high), abs=0.2)
    assert (one.paired, one.seeds) == (False, 10)


def test_seeds_that_split_a_table_widen_the_interval(load: Loader, measure: Measure) -> None:
    errors = np.random.default_rng(3).uniform(0.1, 0.2, size=(2, 10))

    def compared(dataset: str) -> JudgedComparison:
        study = load(SPLIT.replace("DATASET", dataset))
        records = measure(study, lambda cell: float(errors[int(cell.arm == "mixup"), cell.trial.seed]))
        return only(judge(study, records)).comparisons[0]

    given, split = compared("digits"), compared("iris")
    assert given.difference == split.difference
    assert given.interval is not None
    assert split.interval is not None
    widths = [high - low for low, high in (given.interval, split.interval)]
    assert widths[1] / widths[0] == pytest.approx((1 + 10 * 0.2 / 0.8) ** 0.5)


def test_only_seeds_of_both_sides_are_compared(load: Loader, measure: Measure) -> None:
    study = load(claiming("{lower: dropout, than: ERM}"))
    errors = {"ERM": [0.5, 0.7, None], "dropout": [None, 0.4, 0.1], "mixup": [0.0] * 3}
    found = at_small(only(judge(study, measure(study, lambda cell: errors[cell.arm][cell.trial.seed]))))
    assert (found.difference, found.seeds, found.paired) == (pytest.approx(-30), 1, True)
    assert (found.first.mean, found.second.mean) == (pytest.approx(40), pytest.approx(70))


# Verdicts.


@pytest.mark.parametrize(
    ("seeds", "dropout", "verdict", "reason"),
    [
        ("[0]", [0.4], "undecided", "one seed"),
        ("[0]", [0.6], "undecided", "one seed"),
        ("[0]", [0.5], "undecided", "equal"),
        ("[0, 1]", [0.4, 0.3], "supported", ""),
        ("[0, 1]", [0.6, 0.7], "contradicted", ""),
        ("[0, 1]", [0.4, 0.6], "undecided", ""),
        ("[0, 1]", [0.5, 0.5], "undecided", "equal"),
        ("[0, 1]", [0.4, 0.4], "supported", ""),
        ("[0, 1]", ["failed", "failed"], "undecided", "failed"),
        ("[0, 1]", [None, None], "undecided", "not run"),
        ("[0, 1]", [0.4, "failed"], "undecided", "one seed"),
        ("[0, 1]", [0.6, None], "undecided", "one seed"),
    ],
)
def test_a_comparison_is_judged_by_where_its_interval_lies(
    seeds: str, dropout: list[Any], verdict: str, reason: str, load: Loader, measure: Measure
) -> None:
    study = load(claiming("{lower: dropout, than: ERM}").replace("[0, 1, 2]", seeds))
    records = measure(study, lambda cell: dropout[seed_of(cell)] if cell.arm == "dropout" else 0.5)
    found = at_small(only(judge(study, records)))
    assert (found.verdict, found.reason) == (verdict, reason)
    assert (found.interval is None) == (found.seeds < 2)


@pytest.mark.parametrize("error", [0.0, 0.4, 0.6, 1.0])
def test_one_seed_decides_nothing_however_large_the_difference(error: float, load: Loader, measure: Measure) -> None:
    study = load(claiming("{lower: dropout, than: ERM}"), "grid.seed=0")
    claim = only(judge(study, measure(study, lambda cell: error if cell.arm == "dropout" else 0.5)))
    for comparison in claim.comparisons:
        assert (comparison.verdict, comparison.reason, comparison.seeds) == ("undecided", "one seed", 1)
        assert comparison.difference == pytest.approx(100 * (error - 0.5))
    assert (claim.verdict, claim.sign) == ("undecided", "?")


@pytest.mark.parametrize(
    ("seeds_of_large", "error_at_large", "verdict"),
    [(1, 0.4, "undecided"), (1, 0.6, "undecided"), (2, 0.4, "supported"), (2, 0.6, "contradicted")],
)
def test_a_comparison_of_one_seed_leaves_its_claim_open(
    seeds_of_large: int, error_at_large: float, verdict: str, load: Loader, measure: Measure
) -> None:
    study = load(claiming("{lower: dropout, than: ERM}"), "grid.seed=[0, 1]")

    def error(cell: Cell) -> float | None:
        large = cell.trial.weight_decay == 5e-4
        if large and cell.trial.seed >= seeds_of_large:
            return None
        return (error_at_large if large else 0.4) if cell.arm == "dropout" else 0.5

    claim = only(judge(study, measure(study, error)))
    assert at_small(claim).verdict == "supported"
    assert claim.verdict == verdict


@pytest.mark.parametrize(
    ("small", "large", "verdict"),
    [
        (0.4, 0.4, "supported"),
        (0.4, 0.6, "contradicted"),
        (0.6, 0.5, "contradicted"),
        (0.4, 0.5, "undecided"),
        (0.4, None, "undecided"),
    ],
)
def test_a_claim_needs_all_of_its_comparisons(
    small: float, large: float | None, verdict: str, load: Loader, measure: Measure
) -> None:
    study = load(claiming("{lower: dropout, than: ERM}"))
    errors = {1e-4: small, 5e-4: large}
    records = measure(study, lambda cell: errors[cell.trial.weight_decay] if cell.arm == "dropout" else 0.5)
    claim = only(judge(study, records))
    assert (claim.verdict, len(claim.comparisons)) == (verdict, 2)
    assert claim.sign == {"supported": "✓", "contradicted": "✗", "undecided": "?"}[verdict]


@pytest.mark.parametrize(
    ("errors", "at_least", "verdict"),
    [
        ((0.4, 0.4, 0.6, 0.5), 2, "supported"),
        ((0.4, 0.4, 0.6, 0.5), 3, "undecided"),
        ((0.4, 0.4, 0.6, 0.5), 4, "contradicted"),
        ((0.4, 0.6, 0.6, None), 3, "contradicted"),
        ((0.4, 0.6, None, None), 3, "undecided"),
        ((0.4, 0.4, 0.4, 0.4), 5, "undecided"),
        ((0.6, 0.6, 0.6, 0.6), 5, "undecided"),
    ],
)
def test_a_claim_may_need_some_of_its_comparisons(
    errors: tuple[float | None, ...], at_least: int, verdict: str, load: Loader, measure: Measure
) -> None:
    text = claiming("{lower: dropout, than: ERM}").rstrip().removesuffix("}") + f", at_least: {at_least}}}\n"
    study = load(text, "grid.weight_decay=[1, 2, 3, 4]")
    records = measure(study, lambda cell: errors[int(cell.trial.weight_decay) - 1] if cell.arm == "dropout" else 0.5)
    assert only(judge(study, records)).verdict == verdict


@pytest.mark.parametrize(("by", "verdict"), [(-11, "supported"), (-9, "contradicted"), (-10, "undecided")])
def test_a_margin_moves_the_line(by: int, verdict: str, load: Loader, measure: Measure) -> None:
    study = load(claiming(f"{{higher: dropout, than: ERM, by: {by}}}"))
    records = measure(study, lambda cell: 0.4 if cell.arm == "dropout" else 0.5)
    assert only(judge(study, records)).verdict == verdict


@pytest.mark.slow
@settings(max_examples=10)
@given(counts=st.lists(st.tuples(*[st.integers(0, 360)] * 2), min_size=3, max_size=3))
def test_exchanging_the_sides_turns_the_verdict(
    counts: list[tuple[int, int]], exchanged: tuple[Study, Measure]
) -> None:
    study, measure = exchanged
    found = []
    for arms in (("ERM", "dropout"), ("dropout", "ERM")):
        errors = {arm: [pair[side] / 360 for pair in counts] for side, arm in enumerate(arms)}
        records = measure(study, lambda cell, errors=errors: errors.get(cell.arm, [0.5] * 3)[cell.trial.seed])
        found.append(at_small(only(judge(study, records))))
    one, other = found
    assert one.difference is not None
    assert one.interval is not None
    assert other.difference == pytest.approx(-one.difference)
    assert other.interval == pytest.approx((-one.interval[1], -one.interval[0]), abs=1e-6)
    turned = {"supported": "contradicted", "contradicted": "supported", "undecided": "undecided"}
    assert other.verdict == turned[one.verdict]


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory: pytest.TempPathFactory, measure: Measure) -> tuple[Study, Measure]:
    path = tmp_path_factory.mktemp("claims") / "deep.yaml"
    path.write_text(claiming("{lower: dropout, than: ERM}"))
    return StudyFile(path).load("full"), measure


# Ratios.


@pytest.mark.parametrize(
    ("comparison", "errors", "ratio", "verdict", "reason"),
    [
        # Table 3 of the paper: (100 - 75.2) / (100 - 90.7) = 24.8 / 9.3.
        ("higher: dropout, than: ERM, accuracy: true, times: 2.65", (0.752, 0.907), 24.8 / 9.3, "supported", ""),
        ("higher: dropout, than: ERM, accuracy: true, times: 2.7", (0.752, 0.907), 24.8 / 9.3, "contradicted", ""),
        ("lower: dropout, than: ERM, times: 0.5", (0.2, 0.5), 0.4, "supported", ""),
        ("lower: dropout, than: ERM, times: 0.5", (0.3, 0.5), 0.6, "contradicted", ""),
        ("lower: dropout, than: ERM, times: 0.5", (0.25, 0.5), 0.5, "undecided", "equal"),
        ("lower: dropout, than: ERM, times: 0.5", (0.0, 0.5), 0, "supported", ""),
        ("lower: dropout, than: ERM, times: 0.5", (0.5, 0.0), None, "undecided", "second mean not above 0"),
        ("lower: dropout, than: ERM, times: 0.5", (0.0, 0.0), None, "undecided", "second mean not above 0"),
        (
            "higher: dropout, than: ERM, accuracy: true, times: 2",
            (0.5, 1.0),
            None,
            "undecided",
            "second mean not above 0",
        ),
    ],
)
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_ratio_is_judged_by_itself_but_not_with_one_seed(
    seeds: int,
    comparison: str,
    errors: tuple[float, float],
    ratio: float | None,
    verdict: str,
    reason: str,
    load: Loader,
    measure: Measure,
) -> None:
    study = load(claiming(f"{{{comparison}}}"), f"grid.seed={list(range(seeds))}")
    records = measure(study, lambda cell: errors[int(cell.arm == "ERM")])
    found = at_small(only(judge(study, records)))
    assert found.ratio == (None if ratio is None else pytest.approx(ratio))
    assert (found.difference, found.seeds) == (None, seeds)
    assert found.interval == (None if ratio is None or seeds == 1 else pytest.approx((ratio, ratio)))
    if seeds == 1 and verdict != "undecided":
        verdict, reason = "undecided", "one seed"
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("times", "verdict"),
    [(1.9, "supported"), (2, "undecided"), (2.2, "undecided"), (3, "undecided"), (3.1, "contradicted")],
)
def test_a_ratio_is_judged_by_where_its_interval_lies(
    times: float, verdict: str, load: Loader, measure: Measure
) -> None:
    study = load(claiming(f"{{higher: dropout, than: ERM, accuracy: true, times: {times}}}"), "grid.seed=[0, 1]")
    # Accuracies of 40 and 30 to 20 and 10: with two pairs of seeds the interval is that of the pairs' own ratios.
    errors = {"dropout": [0.6, 0.7], "ERM": [0.8, 0.9], "mixup": [0.5, 0.5]}
    records = measure(study, lambda cell: errors[cell.arm][cell.trial.seed])
    found = at_small(only(judge(study, records)))
    assert found.ratio == pytest.approx(70 / 30)
    assert found.interval == pytest.approx((2, 3))
    assert (found.first.mean, found.second.mean) == (pytest.approx(35), pytest.approx(15))
    assert (found.verdict, found.paired, found.seeds, found.quantity) == (verdict, True, 2, "test accuracy last")


@pytest.mark.parametrize("apart", [False, True])
def test_the_interval_of_a_ratio_is_drawn_as_that_of_a_difference(apart: bool, load: Loader, measure: Measure) -> None:
    text = SPLIT.replace("DATASET", "digits").replace("than: ERM", "than: ERM, times: 0.9")
    if apart:
        text = text.replace("alpha: 0.2", "alpha: 0.2, seed: [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]")
    study = load(text)
    erm = np.random.default_rng(2).uniform(0.1, 0.2, size=10)
    mixup = 0.7 * erm + np.random.default_rng(3).uniform(0, 0.01, size=10)
    records = measure(study, lambda cell: float((mixup if cell.arm == "mixup" else erm)[cell.trial.seed % 10]))
    (one,) = only(judge(study, records)).comparisons
    found = stats.bootstrap(
        (mixup, erm),
        lambda ours, theirs, axis: ours.mean(axis=axis) / theirs.mean(axis=axis),
        paired=not apart,
        n_resamples=50_000,
        confidence_level=expanded(10),
        method="percentile",
        rng=np.random.default_rng(7),
    ).confidence_interval
    assert one.ratio == pytest.approx(float(mixup.mean() / erm.mean()))
    assert one.interval == pytest.approx((found.low, found.high), abs=0.02 if apart else 0.001)
    assert one.paired is not apart


def test_seeds_that_split_a_table_widen_the_interval_of_a_ratio(load: Loader, measure: Measure) -> None:
    errors = np.random.default_rng(3).uniform(0.1, 0.2, size=(2, 10))
    ends = []
    for dataset in ("digits", "iris"):
        study = load(SPLIT.replace("DATASET", dataset).replace("than: ERM", "than: ERM, times: 0.9"))
        records = measure(study, lambda cell: float(errors[int(cell.arm == "mixup"), cell.trial.seed]))
        interval = only(judge(study, records)).comparisons[0].interval
        assert interval is not None
        ends.append(interval)
    (low, high), (lowest, highest) = ends
    assert (highest - lowest) / (high - low) == pytest.approx((1 + 10 * 0.2 / 0.8) ** 0.5, rel=0.05)


def test_the_interval_of_a_ratio_to_what_may_be_zero_has_no_end(load: Loader, measure: Measure) -> None:
    study = load(claiming("{higher: dropout, than: ERM, times: 2}"))
    errors = {"dropout": [0.6, 0.3, 0.0], "ERM": [0.2, 0.0, 0.0], "mixup": [0.5] * 3}
    found = at_small(only(judge(study, measure(study, lambda cell: errors[cell.arm][cell.trial.seed]))))
    assert (found.ratio, found.interval, found.verdict) == (pytest.approx(4.5), (0, math.inf), "undecided")


def test_accuracies_differ_the_other_way_than_errors(load: Loader, measure: Measure) -> None:
    study = load(
        claiming(
            "{higher: dropout, than: ERM, accuracy: true}",
            "{higher: dropout, than: ERM, accuracy: true, minus: {metric: test_error_best}}",
        )
    )
    records = measure(study, lambda cell: 0.4 if cell.arm == "dropout" else 0.6)
    last, less = (one for one in only(judge(study, records)).comparisons if one.first.keys["weight_decay"] == 1e-4)
    assert (last.first.mean, last.second.mean, last.difference) == tuple(map(pytest.approx, (60, 40, 20)))
    assert (less.first.mean, less.second.mean, less.difference) == tuple(map(pytest.approx, (-20, -30, 10)))
    assert less.quantity == "test accuracy last less test accuracy best"


# What is compared.


def alpha_error(cell: Cell) -> float:
    return {None: 0.5, 1: 0.3, 2: 0.2, 8: 0.4}[cell.trial.alpha] + 0.01 * cell.trial.seed


@pytest.mark.parametrize(
    ("comparison", "setting", "tried", "difference"),
    [
        ("{lower: mixup, than: ERM}", 2, 3, -30),
        ("{lower: {arm: mixup, alpha: 1}, than: ERM}", 1, 1, -20),
        ("{lower: {arm: mixup, alpha: highest}, than: ERM}", 8, 1, -10),
        ("{lower: {arm: mixup, alpha: lowest}, than: {arm: mixup, alpha: highest}}", 1, 1, -10),
    ],
)
def test_the_setting_of_an_arm_may_be_named(
    comparison: str, setting: float, tried: int, difference: float, load: Loader, measure: Measure
) -> None:
    study = load(claiming(comparison))
    found = at_small(only(judge(study, measure(study, alpha_error))))
    assert (found.first.setting, found.first.tried) == ({"alpha": setting}, tried)
    assert found.difference == pytest.approx(difference)


def test_without_a_setting_the_one_that_the_table_shows_is_compared(load: Loader, measure: Measure) -> None:
    study = load(claiming("{lower: mixup, than: ERM, metric: test_error_best}"))
    records = measure(study, alpha_error)
    shown = {(row.keys["weight_decay"], row.keys["arm"]): row for row in table_rows(study, records)}
    for one in only(judge(study, records)).comparisons:
        for side in (one.first, one.second):
            row = shown[side.keys["weight_decay"], side.arm]
            assert row.measured[0] is not None
            assert (side.setting, side.mean) == (row.setting, pytest.approx(100 * row.measured[0].mean))


def test_the_most_and_least_of_one_value_are_no_comparison(load: Loader, measure: Measure) -> None:
    study = load(
        claiming("{lower: {arm: mixup, alpha: lowest}, than: {arm: mixup, alpha: highest}}"), "arms.mixup.alpha=2"
    )
    claim = only(judge(study, measure(study, alpha_error)))
    assert {(one.verdict, one.reason) for one in claim.comparisons} == {("undecided", "the same trials")}


def test_rising_compares_each_arm_with_the_next(load: Loader, measure: Measure) -> None:
    study = load(claiming("{rising: [mixup, dropout, ERM], where: {weight_decay: 1e-4}}"))
    errors = {"mixup": 0.2, "dropout": 0.3, "ERM": 0.5}
    claim = only(judge(study, measure(study, lambda cell: errors[cell.arm])))
    assert [(one.first.arm, one.second.arm, one.difference) for one in claim.comparisons] == [
        ("mixup", "dropout", pytest.approx(-10)),
        ("dropout", "ERM", pytest.approx(-20)),
    ]
    assert claim.verdict == "supported"
    errors["dropout"] = 0.6
    assert [one.verdict for one in only(judge(study, measure(study, lambda cell: errors[cell.arm]))).comparisons] == [
        "supported",
        "contradicted",
    ]


def test_others_are_all_other_arms_at_every_value_left_open(load: Loader, measure: Measure) -> None:
    study = load(claiming("{lower: {arm: mixup, weight_decay: 1e-4}, than: others}"))
    claim = only(judge(study, measure(study, alpha_error)))
    assert [(one.second.arm, one.second.keys["weight_decay"], one.label) for one in claim.comparisons] == [
        ("ERM", 1e-4, "weight decay 0.0001, ERM"),
        ("ERM", 5e-4, "weight decay 0.0005, ERM"),
        ("dropout", 1e-4, "weight decay 0.0001, dropout"),
        ("dropout", 5e-4, "weight decay 0.0005, dropout"),
    ]
    assert {one.first.keys["weight_decay"] for one in claim.comparisons} == {1e-4}


def test_a_rise_from_one_measurement_to_another_is_compared(load: Loader, measure: Measure) -> None:
    study = load(claiming("{higher: ERM, than: dropout, minus: {metric: test_error_best}}"))
    records = measure(study, lambda cell: 0.6 if cell.arm == "ERM" else 0.4)
    found = at_small(only(judge(study, records)))
    assert (found.first.mean, found.second.mean, found.difference) == tuple(map(pytest.approx, (30, 20, 10)))
    assert found.quantity == "test error last less test error best"


def test_what_a_field_changes_is_compared(load: Loader, measure: Measure) -> None:
    study = load(claiming("{lower: ERM, than: dropout, where: {weight_decay: 5e-4}, minus: {weight_decay: 1e-4}}"))
    errors = {("ERM", 1e-4): 0.5, ("ERM", 5e-4): 0.3, ("dropout", 1e-4): 0.4, ("dropout", 5e-4): 0.5}
    records = measure(study, lambda cell: errors.get((cell.arm, cell.trial.weight_decay), 0.0))
    claim = only(judge(study, records))
    (one,) = claim.comparisons
    assert (one.first.mean, one.second.mean, one.difference) == tuple(map(pytest.approx, (-20, 10, -30)))
    assert one.quantity == "test error last less that with weight decay 0.0001"


def test_what_is_taken_away_and_not_run_leaves_it_undecided(load: Loader, measure: Measure) -> None:
    study = load(claiming("{lower: ERM, than: dropout, where: {weight_decay: 5e-4}, minus: {weight_decay: 1e-4}}"))
    records = measure(study, lambda cell: 0.5 if cell.trial.weight_decay == 5e-4 else None)
    (one,) = only(judge(study, records)).comparisons
    assert (one.verdict, one.reason, one.difference) == ("undecided", "not run", None)


def test_comparisons_under_fixed_values_are_told_apart_by_them(load: Loader, measure: Measure) -> None:
    study = load(
        claiming(*(f"{{lower: mixup, than: ERM, where: {{weight_decay: {decay}}}}}" for decay in (1e-4, 5e-4)))
    )
    claim = only(judge(study, measure(study, lambda cell: 0.5)))
    assert len({one.label for one in claim.comparisons}) == len(claim.comparisons) == 2


def test_an_arm_that_is_left_out_is_not_run(load: Loader, measure: Measure) -> None:
    study = load(claiming("{lower: dropout, than: ERM}"), "arms.dropout=null")
    claim = only(judge(study, measure(study, lambda cell: 0.5)))
    assert {(one.verdict, one.reason) for one in claim.comparisons} == {("undecided", "not run")}


# The study files.


@pytest.mark.parametrize("name", CLAIMING)
@pytest.mark.parametrize("profile", ["paper", "quick"])
def test_every_claim_of_a_study_file_compares_different_trials(name: str, profile: str, measure: Measure) -> None:
    study = StudyFile(STUDIES / f"{name}.yaml").load(profile)
    numbers = iter(np.random.default_rng(0).uniform(0.1, 0.9, size=(len(study.cells), 9)))
    metrics = ["test_error_best", "test_error_last", "test_error_median10", "train_error_real"]
    metrics += ["train_error_corrupted", "modes_covered_lowest", "near_modes_mean"]
    records = measure(study, lambda cell: dict(zip(metrics, map(float, next(numbers)), strict=False)))
    judged = judge(study, records)
    assert len(judged) > 0
    for claim in judged:
        assert claim.comparisons
        assert [one for one in claim.comparisons if one.difference is None] == []
        assert len({one.label for one in claim.comparisons}) == len(claim.comparisons)


@pytest.mark.parametrize("name", ["ablation", "corrupt_labels", "tabular"])
def test_the_papers_own_numbers_contradict_none_of_its_claims(name: str, measure: Measure) -> None:
    # The paper prints no number for each seed: let two seeds have measured what it prints.
    study = StudyFile(STUDIES / f"{name}.yaml", ["grid.seed=[0, 1]"]).load("paper")
    judged = judge(study, measure(study, lambda cell: _printed(study, cell)))
    supported = [one.text for one in judged if one.verdict == "supported"]
    assert [one.text for one in judged if one.verdict == "contradicted"] == []
    assert len(supported) >= {"ablation": 7, "corrupt_labels": 6, "tabular": 2}[name]


def _printed(study: Study, cell: Cell) -> Mapping[str, float] | None:
    """Return what the paper prints for a cell; None where it prints nothing."""
    for row in study.published:
        fields = {key: value for key, value in row.items() if key in CATALOGUE.fields}
        same = all(comparable(getattr(cell.trial, key)) == comparable(value) for key, value in fields.items())
        if row["arm"] == cell.arm and same:
            return {
                key: value / 100
                for key, value in row.items()
                if key in CATALOGUE.metrics and CATALOGUE.metrics[key].unit == PERCENT
            }
    return None


def test_means_are_those_of_the_trials(load: Loader, measure: Measure) -> None:
    study = load(claiming("{lower: dropout, than: ERM}"))
    errors = {"ERM": [0.5, 0.6, 0.9], "dropout": [0.1, 0.4, 0.2], "mixup": [0.1] * 3}
    found = at_small(only(judge(study, measure(study, lambda cell: errors[cell.arm][cell.trial.seed]))))
    assert found.difference == pytest.approx(
        100 * (statistics.fmean([0.1, 0.4, 0.2]) - statistics.fmean([0.5, 0.6, 0.9]))
    )
    assert found.interval == pytest.approx((-70, -20))
