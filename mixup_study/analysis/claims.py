"""The paper's claims, judged by a study's results.

A comparison is the difference of two means over seeds, or their ratio; its 95 % confidence interval is that of
``compare``, which says how far it can be trusted. What neither does:

- It takes the hyper-parameters as given. ``table.pick`` chooses them on the test error, as the paper does, which
  favours the side that chose among more (``Side.tried``).
- It is not corrected for the number of comparisons. A claim that is supported only if all of its comparisons are
  needs no correction; the more there are, the likelier one is contradicted by chance, or supported where ``at_least``
  asks for some of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from mixup_study.analysis.compare import (
    DECIMALS,
    Interval,
    Values,
    bootstrap_interval,
    bootstrap_ratio_interval,
    by_seeds,
    overlap,
)
from mixup_study.analysis.questions import ArmCells, Direction, Question, ask_questions
from mixup_study.analysis.table import Records, choose_setting
from mixup_study.catalogue import CATALOGUE
from mixup_study.study.claims import Claim, Selector
from mixup_study.study.study import Study

Verdict = Literal["supported", "contradicted", "undecided"]

VERDICT_SIGNS: dict[Verdict, str] = {"supported": "✓", "contradicted": "✗", "undecided": "?"}


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the trials of one arm, one setting and one cell of the table."""

    arm: str
    keys: Mapping[str, Any]
    """Values of the table's keys other than arm, as in ``TableRow.keys``."""
    setting: Mapping[str, Any]
    """The hyper-parameters compared, as in ``TableRow.setting``; empty where nothing has finished."""
    tried: int
    """How many settings ``table.pick`` chose among; 1 where there was nothing to choose."""
    mean: float | None
    """Mean over the seeds compared, as shown; None where nothing has finished."""


@dataclass(frozen=True)
class JudgedComparison:
    """One comparison of a claim: ``first`` is claimed to lie on one side of ``second``. Numbers are as shown."""

    first: Side
    second: Side
    claimed: Direction
    """Where ``first`` lies by the claim."""
    by: float
    """The least distance claimed; below 0, how far it may lie on the other side."""
    times: float | None
    """The ratio of ``first`` to ``second`` claimed, at least or at most by ``claimed``; None of a difference."""
    metric: str
    quantity: str
    """What the means are of, in a few words: the metric, and what is taken from it, if anything."""
    unit: str
    """Of a difference: ``points`` of percent, or what is counted, as ``modes``."""
    label: str
    """What tells this comparison from the others of its claim; empty where it is the only one."""
    difference: float | None
    """Mean of ``first`` less mean of ``second``; None where a side has not finished any trial, or a ratio stands."""
    ratio: float | None
    """Mean of ``first`` over mean of ``second``; None where no ratio is claimed, or there is none."""
    interval: Interval | None
    """95 % confidence interval of the difference or the ratio over the seeds; None with one seed."""
    seeds: int
    """Seeds compared: pairs where both sides ran them, else those of the side with fewer."""
    paired: bool
    verdict: Verdict
    reason: str
    """Why undecided, in a word or two; empty where the interval says it all."""


@dataclass(frozen=True)
class JudgedClaim:
    """A claim of the paper and what the results say to it."""

    text: str
    section: str | None
    verdict: Verdict
    """``supported`` if every comparison is, ``contradicted`` if any is, else ``undecided``; of a claim that asks for
    ``at_least`` so many, ``supported`` if so many are and ``contradicted`` if all but fewer are contradicted."""
    comparisons: tuple[JudgedComparison, ...]
    """Empty where the study as loaded has none of the arms."""
    at_least: int | None
    """How many comparisons must hold; None for all."""

    @property
    def sign(self) -> str:
        """Return ✓, ✗ or ?."""
        return VERDICT_SIGNS[self.verdict]


def judge(study: Study, records: Records) -> list[JudgedClaim]:
    """Return the study's claims in their order, each judged by what has finished.

    A comparison is supported if its whole interval lies on the claimed side, contradicted if it lies on the other,
    else undecided. One seed has no interval and decides nothing, and ``reason`` says so. What has not run, or failed,
    or shows no difference at all, is undecided. Of a ratio, the claimed side is that beyond ``times``; what has no
    ratio is undecided.
    """
    judge = _Judge(study, records)
    return [judge.judge_claim(claim) for claim in study.claims]


class _Measured(NamedTuple):
    """One side of a comparison: what it is, and what its trials measured, by their seeds."""

    side: Side
    trials: tuple[str, ...] = ()
    """The trial_ids of the setting compared; those of all settings where none has finished."""
    terms: Sequence[Mapping[tuple[int, ...], float]] = ()
    """Measurements that are added, as shown; what is taken is below 0."""
    lacking: str = ""
    """Why there is nothing to compare; empty where there is."""


class _Judge:
    """Judges claims by a study's records."""

    def __init__(self, study: Study, records: Records) -> None:
        self.study = study
        self.records = records
        self.cells = ArmCells(study, records)

    def judge_claim(self, claim: Claim) -> JudgedClaim:
        """Return a claim with its verdict."""
        comparisons = tuple(self._compare(question, label) for question, label in ask_questions(self.cells, claim))
        verdict = _claim_verdict(comparisons, claim.at_least)
        return JudgedClaim(claim.text, claim.section, verdict, comparisons, claim.at_least)

    def _compare(self, question: Question, label: str) -> JudgedComparison:
        ours, theirs = self._measure(question, question.first), self._measure(question, question.second)
        same = "the same trials" if ours.trials and ours.trials == theirs.trials else ""
        comparison = JudgedComparison(
            first=ours.side,
            second=theirs.side,
            claimed=question.claimed,
            by=question.comparison.by,
            times=question.comparison.times,
            metric=question.metric,
            quantity=question.quantity,
            unit=CATALOGUE.metrics[question.metric].unit.difference,
            label=label,
            difference=None,
            ratio=None,
            interval=None,
            seeds=0,
            paired=False,
            verdict="undecided",
            reason=same or ours.lacking or theirs.lacking,
        )
        if comparison.reason:
            return comparison
        common = [seeds for seeds in ours.terms[0] if all(seeds in term for term in (*ours.terms, *theirs.terms))]
        firsts, seconds = (
            [np.array([term[seeds] for seeds in common or term]) for term in side.terms] for side in (ours, theirs)
        )
        comparison = replace(
            comparison,
            first=replace(ours.side, mean=float(sum(sample.mean() for sample in firsts))),
            second=replace(theirs.side, mean=float(sum(sample.mean() for sample in seconds))),
            seeds=min(map(len, (*firsts, *seconds))),
            paired=bool(common),
        )
        widening = overlap(self.study, ours.trials)
        if comparison.times is not None:
            return _judge_ratio(comparison, comparison.times, firsts[0], seconds[0], widening)
        return _judge_difference(comparison, [*firsts, *(-sample for sample in seconds)], widening)

    def _measure(self, question: Question, selector: Selector) -> _Measured:
        minus = dict(question.comparison.minus or {})
        subtracted = minus.pop("metric", question.metric)
        cells = self.cells.select(selector)
        keys = {name: selector[name] for name in self.study.table.keys if name in selector and name != "arm"}
        if cells:
            keys = {name: getattr(cells[0].cell.trial, name) for name in keys}
        chosen = choose_setting(self.study, cells)
        if chosen is None:
            failed = any(ran.status == "failed" for ran in cells)
            trials = tuple(ran.cell.trial.trial_id for ran in cells)
            return _Measured(
                Side(selector["arm"], keys, {}, 1, None), trials, lacking="failed" if failed else "not run"
            )
        trials = tuple(record["trial_id"] for record in chosen.finished)
        side = Side(selector["arm"], keys, chosen.values, chosen.tried, None)
        accuracy = question.comparison.accuracy
        terms = [self._values(trials, question.metric, 1, accuracy)]
        if minus:
            other = choose_setting(self.study, self.cells.select({**selector, **minus}))
            others = tuple(record["trial_id"] for record in other.finished) if other else ()
            terms.append(self._values(others, subtracted, -1, accuracy))
        elif question.comparison.minus:
            less = self._values(trials, subtracted, -1, accuracy)
            terms = [{seeds: value + less[seeds] for seeds, value in terms[0].items() if seeds in less}]
        lacking = "" if all(terms) else "not run" if minus else "not measured"
        return _Measured(side, trials, terms, lacking)

    def _values(self, trials: Sequence[str], metric: str, factor: int, accuracy: bool) -> dict[tuple[int, ...], float]:
        values = by_seeds(self.study, self.records, trials, metric)
        if accuracy:
            values = {seeds: 1 - error for seeds, error in values.items()}
        return {seeds: factor * CATALOGUE.metrics[metric].unit.scaled(value) for seeds, value in values.items()}


def _judge_difference(comparison: JudgedComparison, samples: Sequence[Values], widening: float) -> JudgedComparison:
    """Return the comparison with the sum of the samples' means; samples of pairs of seeds are added first."""
    if comparison.paired:
        samples = [np.sum(samples, axis=0)]
    samples = [np.round(sample, DECIMALS) for sample in samples]
    interval = bootstrap_interval(samples, widening)
    difference = round(float(sum(sample.mean() for sample in samples)), DECIMALS)
    sign = -1 if comparison.claimed == "lower" else 1
    verdict, reason = _comparison_verdict([sign * end - comparison.by for end in interval or (difference,)])
    return replace(comparison, difference=difference, interval=interval, verdict=verdict, reason=reason)


def _judge_ratio(
    comparison: JudgedComparison, times: float, first: Values, second: Values, widening: float
) -> JudgedComparison:
    """Return the comparison with the ratio of the samples' means, where the second mean is above 0."""
    first, second = np.round(first, DECIMALS), np.round(second, DECIMALS)
    if second.mean() <= 0:
        return replace(comparison, reason="second mean not above 0")
    ratio = round(float(first.mean() / second.mean()), DECIMALS)
    interval = bootstrap_ratio_interval(first, second, comparison.paired, widening)
    sign = -1 if comparison.claimed == "lower" else 1
    verdict, reason = _comparison_verdict([sign * (end - times) for end in interval or (ratio,)])
    return replace(comparison, ratio=ratio, interval=interval, verdict=verdict, reason=reason)


def _claim_verdict(comparisons: Sequence[JudgedComparison], at_least: int | None) -> Verdict:
    needed = max(len(comparisons), 1) if at_least is None else at_least
    counts = Counter(comparison.verdict for comparison in comparisons)
    if counts["supported"] >= needed:
        return "supported"
    spare = len(comparisons) - needed
    return "contradicted" if counts["contradicted"] > spare >= 0 else "undecided"


def _comparison_verdict(beyond: Sequence[float]) -> tuple[Verdict, str]:
    """Return the verdict and its reason by how far beyond what is claimed the interval's ends lie, or the one seed."""
    if not any(beyond):
        return "undecided", "equal"
    if len(beyond) == 1:
        return "undecided", "one seed"
    return ("supported" if min(beyond) > 0 else "contradicted" if max(beyond) < 0 else "undecided"), ""
