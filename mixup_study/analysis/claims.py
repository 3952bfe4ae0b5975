"""The paper's claims, judged by a study's results.

A comparison is the difference of two means over seeds. Its 95 % confidence interval is a bootstrap over the seeds:
pairs of the same seed are drawn together where both sides ran the seed, else each side by itself. It is the expanded
percentile interval (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015), whose levels allow
for few seeds; where seeds split a table, it is widened for overlapping training sets as the table's p-values are
(Nadeau and Bengio, 2003). What it does not do:

- It never reaches beyond the differences seen. Without any difference between the sides all n pairs agree in sign
  with probability 2 / 2**n, so with fewer than ENOUGH_SEEDS seeds it is too narrow, however it is drawn: of normally
  distributed differences it holds the mean in 50 % of cases with two seeds, 75 % with three, 88 % with four.
- It takes the hyper-parameters as given. ``table.pick`` chooses them on the test error, as the paper does, which
  favours the side that chose among more (``Side.tried``).
- It is not corrected for the number of comparisons. A claim that is supported only if all of its comparisons are
  needs no correction; the more there are, the likelier one is contradicted by chance, or supported where ``at_least``
  asks for some of them.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mixup_study.analysis.compare import by_seeds, overlap
from mixup_study.analysis.table import Ran, Records, ran_cells, shown_setting
from mixup_study.catalogue.metrics import COUNTS, Metric, scaled
from mixup_study.study.claims import EXTREMES, OTHERS, Claim, Comparison, Selector, is_number
from mixup_study.study.labels import ARM_SEPARATOR, key_text, setting_text, title_text
from mixup_study.study.study import Study
from mixup_study.study.trial import SEEDS, comparable

Verdict = Literal["supported", "contradicted", "undecided"]

SIGNS: dict[Verdict, str] = {"supported": "✓", "contradicted": "✗", "undecided": "?"}
CONFIDENCE = 0.95
ENOUGH_SEEDS = 6
"""The fewest seeds of which all agree in sign by chance in less than 5 % of cases."""
_RESAMPLES = 10_000
_DECIMALS = 9
"""Of what is compared, so that no rounding of floats makes a difference."""

Values = npt.NDArray[np.float64]


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
    """Mean over the seeds compared, in the unit shown; None where nothing has finished."""


@dataclass(frozen=True)
class Compared:
    """One comparison of a claim: ``first`` is claimed to lie on one side of ``second``."""

    first: Side
    second: Side
    claimed: Literal["lower", "higher"]
    """Where ``first`` lies by the claim."""
    by: float
    """The least distance claimed, in the unit shown; below 0, how far it may lie on the other side."""
    metric: Metric
    quantity: str
    """What the means are of, in a few words: the metric, and what is taken from it, if anything."""
    unit: Literal["points", "modes"]
    """``points`` of percent."""
    label: str
    """What tells this comparison from the others of its claim; empty where it is the only one."""
    difference: float | None
    """Mean of ``first`` less mean of ``second``; None where a side has not finished any trial."""
    interval: tuple[float, float] | None
    """95 % confidence interval of the difference over the seeds; None with one seed."""
    seeds: int
    """Seeds compared: pairs where both sides ran them, else those of the side with fewer."""
    paired: bool
    verdict: Verdict
    reason: str
    """Why undecided without an interval, or ``one seed``; empty where the interval says it all."""


@dataclass(frozen=True)
class Judged:
    """A claim of the paper and what the results say to it."""

    text: str
    section: str | None
    verdict: Verdict
    """``supported`` if every comparison is, ``contradicted`` if any is, else ``undecided``; of a claim that asks for
    ``at_least`` so many, ``supported`` if so many are and ``contradicted`` if all but fewer are contradicted."""
    compared: tuple[Compared, ...]
    """Empty where the study as loaded has none of the arms."""
    at_least: int | None
    """How many comparisons must hold; None for all."""

    @property
    def sign(self) -> str:
        """Return ✓, ✗ or ?."""
        return SIGNS[self.verdict]


def judge(study: Study, records: Records) -> list[Judged]:
    """Return the study's claims in their order, each judged by what has finished.

    A comparison is supported if its whole interval lies on the claimed side, contradicted if it lies on the other,
    else undecided. With one seed the sign of the difference decides, and ``reason`` says so. What has not run, or
    failed, or shows no difference at all, is undecided.
    """
    results = _Results(study, records)
    return [_judged(results, claim) for claim in study.claims]


def _judged(results: _Results, claim: Claim) -> Judged:
    asked = [question for comparison in claim.compare for question in _questions(results, comparison)]
    labels = _labels(asked)
    compared = tuple(replace(results.compare(one), label=label) for one, label in zip(asked, labels, strict=True))
    return Judged(claim.text, claim.section, _claim_verdict(compared, claim.at_least), compared, claim.at_least)


def _claim_verdict(compared: Sequence[Compared], at_least: int | None) -> Verdict:
    needed = max(len(compared), 1) if at_least is None else at_least
    counts = Counter(one.verdict for one in compared)
    if counts["supported"] >= needed:
        return "supported"
    spare = len(compared) - needed
    return "contradicted" if counts["contradicted"] > spare >= 0 else "undecided"


class _Question(NamedTuple):
    """One comparison: two selectors with all fields of both sides, the arms included."""

    comparison: Comparison
    first: Selector
    second: Selector
    claimed: Literal["lower", "higher"]
    held: Mapping[str, Any]
    """The values of the table's keys that the comparison holds at."""
    names: tuple[str, str]
    """What tells the sides from others of the claim."""
    metric: Metric
    quantity: str
    """What is compared, in a few words."""


def _questions(results: _Results, comparison: Comparison) -> Iterator[_Question]:
    keys = [name for name in results.study.table.keys if name not in ("arm", *SEEDS)]
    metric = comparison.metric or results.study.table.metric
    quantity = _quantity_text(results.study, metric, comparison.minus or {})
    for first, second, claimed in _pairs(results, comparison):
        sides = [{**comparison.where, **first}, {**comparison.where, **second}]
        names = (_side_text(results, sides[0], first), _side_text(results, sides[1], second))
        free = [name for name in keys if not all(name in side for side in sides)]
        fixed = {name: value for name, value in comparison.where.items() if name in keys and value not in EXTREMES}
        for values in itertools.product(*(results.values_of(name, [side["arm"] for side in sides]) for name in free)):
            held = {**fixed, **dict(zip(free, values, strict=True))}
            yield _Question(
                comparison,
                {**held, **sides[0]},
                {**held, **sides[1]},
                claimed,
                held,
                names,
                metric,
                quantity,
            )


def _pairs(
    results: _Results, comparison: Comparison
) -> Iterator[tuple[Selector, Selector, Literal["lower", "higher"]]]:
    for lower, higher in itertools.pairwise(comparison.rising or ()):
        yield lower, higher, "lower"
    firsts = comparison.lower or comparison.higher or ()
    named = [first["arm"] for first in firsts]
    for first in firsts:
        for second in comparison.than or ():
            arms = [second["arm"]]
            if second["arm"] == OTHERS and OTHERS not in results.arms:
                arms = [arm for arm in results.arms if arm not in named]
            for arm in arms:
                yield first, {**second, "arm": arm}, "lower" if comparison.lower else "higher"


def _side_text(results: _Results, side: Selector, own: Selector) -> str:
    cells = results.cells(side)
    fields = {
        name: getattr(cells[0].cell.trial, name) if cells and value in EXTREMES else value
        for name, value in own.items()
        if name != "arm"
    }
    return ", ".join(filter(None, [side["arm"], _fields_text(results.study, fields)]))


def _quantity_text(study: Study, metric: Metric, minus: Mapping[str, Any]) -> str:
    fields = _fields_text(study, {name: value for name, value in minus.items() if name != "metric"})
    taken = minus["metric"].replace("_", " ") if "metric" in minus else "that" if fields else ""
    parts = [metric.replace("_", " "), " with ".join(filter(None, [taken, fields]))]
    return " less ".join(filter(None, parts))


def _fields_text(study: Study, fields: Mapping[str, Any]) -> str:
    keys = [name for name in study.table.keys if name in fields]
    told = [f"{title_text(name)} {key_text(name, fields[name])}" for name in keys]
    rest = setting_text({name: value for name, value in fields.items() if name not in keys})
    return ", ".join(filter(None, [*told, rest]))


def _value_text(name: str, value: Any) -> str:
    """Return a value of one of the table's keys, with the key's name where it is a mere number."""
    text = key_text(name, value)
    return f"{title_text(name)} {text}" if is_number(value) and not text.endswith("%") else text


def _labels(asked: Sequence[_Question]) -> list[str]:
    """Return of each question what differs among them; arms that share a method lose its name."""
    names = [one.names for one in asked]
    methods = {name.rpartition(ARM_SEPARATOR)[0] for pair in names for name in pair}
    if len(methods) == 1:
        names = [(first.rpartition(ARM_SEPARATOR)[2], second.rpartition(ARM_SEPARATOR)[2]) for first, second in names]
    firsts, seconds = ({pair[side] for pair in names} for side in (0, 1))
    quantities = {one.quantity for one in asked}
    held = dict.fromkeys(name for one in asked for name in one.held)
    varied = [name for name in held if len({comparable(one.held.get(name)) for one in asked}) > 1]
    labels = []
    for one, (first, second) in zip(asked, names, strict=True):
        parts = [_value_text(name, one.held[name]) for name in varied if name in one.held]
        if len(firsts) > 1 and len(seconds) > 1:
            parts.append(f"{first} {'<' if one.claimed == 'lower' else '>'} {second}")
        elif len(firsts) > 1 or len(seconds) > 1:
            parts.append(first if len(firsts) > 1 else second)
        if len(quantities) > 1:
            parts.append(one.quantity)
        labels.append(", ".join(parts))
    return labels


class _Measured(NamedTuple):
    """One side of a comparison: what it is, and what its trials measured, by their seeds."""

    side: Side
    trials: tuple[str, ...] = ()
    """The trial_ids of the setting compared; those of all settings where none has finished."""
    terms: Sequence[Mapping[tuple[int, ...], float]] = ()
    """Measurements that are added, in the unit shown; what is taken is below 0."""
    lacking: str = ""
    """Why there is nothing to compare; empty where there is."""


class _Results:
    """A study's cells by their arms, and what they measured."""

    def __init__(self, study: Study, records: Records) -> None:
        self.study = study
        self.records = records
        self.arms: dict[str, list[Ran]] = {}
        for ran in ran_cells(study, records):
            self.arms.setdefault(ran.cell.arm, []).append(ran)

    def cells(self, wanted: Selector) -> list[Ran]:
        """Return the cells of an arm with these values of fields, the least or greatest of those that the rest has."""
        cells = self.arms.get(wanted["arm"], [])
        for name, value in sorted(wanted.items(), key=lambda item: item[1] in EXTREMES):
            if name == "arm":
                continue
            found = [getattr(ran.cell.trial, name) for ran in cells]
            if value in EXTREMES:
                value = (min if value == "lowest" else max)(filter(is_number, found), default=None)
            cells = [ran for ran, one in zip(cells, found, strict=True) if comparable(one) == comparable(value)]
        return cells

    def values_of(self, name: str, arms: Iterable[str]) -> list[Any]:
        """Return the values of a field that these arms' trials have, in the order of the study."""
        cells = [ran.cell for arm in dict.fromkeys(arms) for ran in self.arms.get(arm, [])]
        return list(dict.fromkeys(getattr(cell.trial, name) for cell in cells))

    def compare(self, question: _Question) -> Compared:
        """Return the comparison, judged."""
        ours, theirs = self._side(question, question.first), self._side(question, question.second)
        same = "the same trials" if ours.trials and ours.trials == theirs.trials else ""
        compared = Compared(
            first=ours.side,
            second=theirs.side,
            claimed=question.claimed,
            by=question.comparison.by,
            metric=question.metric,
            quantity=question.quantity,
            unit="modes" if question.metric in COUNTS else "points",
            label="",
            difference=None,
            interval=None,
            seeds=0,
            paired=False,
            verdict="undecided",
            reason=same or ours.lacking or theirs.lacking,
        )
        if compared.reason:
            return compared
        common = [seeds for seeds in ours.terms[0] if all(seeds in term for term in (*ours.terms, *theirs.terms))]
        firsts, seconds = (
            [np.array([term[seeds] for seeds in common or term]) for term in side.terms] for side in (ours, theirs)
        )
        samples = [*firsts, *(-sample for sample in seconds)]
        if common:
            samples = [np.sum(samples, axis=0)]
        samples = [np.round(sample, _DECIMALS) for sample in samples]
        interval = _interval(samples, overlap(self.study, ours.trials))
        difference = round(float(sum(sample.mean() for sample in samples)), _DECIMALS)
        verdict, reason = _verdict(difference, interval, question)
        return replace(
            compared,
            first=replace(ours.side, mean=float(sum(sample.mean() for sample in firsts))),
            second=replace(theirs.side, mean=float(sum(sample.mean() for sample in seconds))),
            difference=difference,
            interval=interval,
            seeds=min(map(len, samples)),
            paired=bool(common),
            verdict=verdict,
            reason=reason,
        )

    def _side(self, question: _Question, selector: Selector) -> _Measured:
        minus = dict(question.comparison.minus or {})
        taken = minus.pop("metric", question.metric)
        cells = self.cells(selector)
        keys = {name: selector[name] for name in self.study.table.keys if name in selector and name != "arm"}
        if cells:
            keys = {name: getattr(cells[0].cell.trial, name) for name in keys}
        shown = shown_setting(self.study, cells)
        if shown is None:
            failed = any(ran.status == "failed" for ran in cells)
            every = tuple(ran.cell.trial.trial_id for ran in cells)
            return _Measured(Side(selector["arm"], keys, {}, 1, None), every, lacking="failed" if failed else "not run")
        trials = tuple(record["trial_id"] for record in shown.finished)
        side = Side(selector["arm"], keys, shown.setting, shown.tried, None)
        terms = [self._values(trials, question.metric, 1)]
        if minus:
            other = shown_setting(self.study, self.cells({**selector, **minus}))
            others = tuple(record["trial_id"] for record in other.finished) if other else ()
            terms.append(self._values(others, taken, -1))
        elif question.comparison.minus:
            less = self._values(trials, taken, -1)
            terms = [{seeds: value + less[seeds] for seeds, value in terms[0].items() if seeds in less}]
        lacking = "" if all(terms) else "not run" if minus else "not measured"
        return _Measured(side, trials, terms, lacking)

    def _values(self, trials: Sequence[str], metric: Metric, factor: int) -> dict[tuple[int, ...], float]:
        found = by_seeds(self.study, self.records, trials, metric)
        return {seeds: factor * scaled(metric, value) for seeds, value in found.items()}


def _interval(samples: Sequence[Values], overlap: float) -> tuple[float, float] | None:
    """Return the confidence interval of the sum of the samples' means; None where a sample is of one seed.

    ``overlap`` is what is added to 1 / n in the variance of a mean of n seeds.
    """
    least = min(map(len, samples))
    if least < 2:
        return None
    from scipy.special import ndtr, stdtrit

    tail = ndtr(stdtrit(least - 1, (1 - CONFIDENCE) / 2) * (least / (least - 1)) ** 0.5)
    generator = np.random.default_rng(0)
    total = np.zeros(_RESAMPLES)
    for sample in samples:
        means = sample[generator.integers(len(sample), size=(_RESAMPLES, len(sample)))].mean(axis=1)
        total += sample.mean() + (means - sample.mean()) * (1 + len(sample) * overlap) ** 0.5
    low, high = np.round(np.quantile(total, [tail, 1 - tail]), _DECIMALS)
    return float(low), float(high)


def _verdict(difference: float, interval: tuple[float, float] | None, question: _Question) -> tuple[Verdict, str]:
    sign = -1 if question.claimed == "lower" else 1
    beyond = [sign * end - question.comparison.by for end in interval or (difference,)]
    if not any(beyond):
        return "undecided", "equal"
    verdict: Verdict = "supported" if min(beyond) > 0 else "contradicted" if max(beyond) < 0 else "undecided"
    return verdict, "" if interval else "one seed"
