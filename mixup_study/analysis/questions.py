"""Which comparisons of trials a claim asks for: its two sides, where each holds, and what tells them apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from mixup_study.analysis.table import Ran, Records, ran_cells
from mixup_study.catalogue import CATALOGUE
from mixup_study.study.claims import EXTREMES, OTHERS, Claim, Comparison, Selector, is_number
from mixup_study.study.labels import ARM_SEPARATOR, condition_text, key_text, setting_text, title_text
from mixup_study.study.study import Study
from mixup_study.study.trial import comparable

Direction = Literal["lower", "higher"]


class Question(NamedTuple):
    """One comparison: two selectors with all fields of both sides, the arms included."""

    comparison: Comparison
    first: Selector
    second: Selector
    claimed: Direction
    """Where the first side lies by the claim."""
    held: Mapping[str, Any]
    """The values of the table's keys that the comparison holds at."""
    names: tuple[str, str]
    """What tells the sides from others of the claim."""
    metric: str
    quantity: str
    """What is compared, in a few words."""


class ArmCells:
    """A study's cells by their arms, each with its record."""

    def __init__(self, study: Study, records: Records) -> None:
        self.study = study
        self.arms: dict[str, list[Ran]] = {}
        for ran in ran_cells(study, records):
            self.arms.setdefault(ran.cell.arm, []).append(ran)

    def select(self, selector: Selector) -> list[Ran]:
        """Return the cells of an arm with these values of fields, the least or greatest of those that the rest has."""
        cells = self.arms.get(selector["arm"], [])
        for name, value in sorted(selector.items(), key=lambda item: item[1] in EXTREMES):
            if name == "arm":
                continue
            values = [getattr(ran.cell.trial, name) for ran in cells]
            if value in EXTREMES:
                value = (min if value == "lowest" else max)(filter(is_number, values), default=None)
            cells = [ran for ran, own in zip(cells, values, strict=True) if comparable(own) == comparable(value)]
        return cells

    def values(self, name: str, arms: Iterable[str]) -> list[Any]:
        """Return the values of a field that these arms' trials have, in the order of the study."""
        cells = [ran.cell for arm in dict.fromkeys(arms) for ran in self.arms.get(arm, [])]
        return list(dict.fromkeys(getattr(cell.trial, name) for cell in cells))


def ask_questions(cells: ArmCells, claim: Claim) -> list[tuple[Question, str]]:
    """Return the comparisons of a claim, each with a label of what differs among them; empty for an only one."""
    questions = [question for comparison in claim.compare for question in _questions(cells, comparison)]
    return list(zip(questions, _labels(questions), strict=True))


def _questions(cells: ArmCells, comparison: Comparison) -> Iterator[Question]:
    keys = [name for name in cells.study.table.keys if name not in ("arm", *CATALOGUE.seeds)]
    metric = comparison.metric or cells.study.table.metric
    quantity = _quantity_text(cells.study, metric, comparison)
    for first, second, claimed in _pairs(cells, comparison):
        sides = [{**comparison.where, **first}, {**comparison.where, **second}]
        names = (_side_text(cells, sides[0], first), _side_text(cells, sides[1], second))
        free = [name for name in keys if not all(name in side for side in sides)]
        fixed = {name: value for name, value in comparison.where.items() if name in keys and value not in EXTREMES}
        for values in itertools.product(*(cells.values(name, [side["arm"] for side in sides]) for name in free)):
            held = {**fixed, **dict(zip(free, values, strict=True))}
            first_side, second_side = {**held, **sides[0]}, {**held, **sides[1]}
            yield Question(comparison, first_side, second_side, claimed, held, names, metric, quantity)


def _pairs(cells: ArmCells, comparison: Comparison) -> Iterator[tuple[Selector, Selector, Direction]]:
    for lower, higher in itertools.pairwise(comparison.rising or ()):
        yield lower, higher, "lower"
    firsts = comparison.lower or comparison.higher or ()
    named = [first["arm"] for first in firsts]
    for first in firsts:
        for second in comparison.than or ():
            arms = [second["arm"]]
            if second["arm"] == OTHERS and OTHERS not in cells.arms:
                arms = [arm for arm in cells.arms if arm not in named]
            for arm in arms:
                yield first, {**second, "arm": arm}, "lower" if comparison.lower else "higher"


def _side_text(cells: ArmCells, side: Selector, own: Selector) -> str:
    selected = cells.select(side)
    fields = {
        name: getattr(selected[0].cell.trial, name) if selected and value in EXTREMES else value
        for name, value in own.items()
        if name != "arm"
    }
    return ", ".join(filter(None, [side["arm"], _fields_text(cells.study, fields)]))


def _quantity_text(study: Study, metric: str, comparison: Comparison) -> str:
    minus = comparison.minus or {}
    fields = _fields_text(study, {name: value for name, value in minus.items() if name != "metric"})
    subtracted = _metric_text(minus["metric"], comparison) if "metric" in minus else "that" if fields else ""
    parts = [_metric_text(metric, comparison), " with ".join(filter(None, [subtracted, fields]))]
    return " less ".join(filter(None, parts))


def _metric_text(metric: str, comparison: Comparison) -> str:
    return CATALOGUE.metrics[metric].accuracy_title if comparison.accuracy else title_text(metric)


def _fields_text(study: Study, fields: Mapping[str, Any]) -> str:
    keys = [name for name in study.table.keys if name in fields]
    condition = condition_text({name: fields[name] for name in keys})
    rest = setting_text({name: value for name, value in fields.items() if name not in keys})
    return ", ".join(filter(None, [condition, rest]))


def _value_text(name: str, value: Any) -> str:
    """Return a value of one of the table's keys, with the key's name where it is a mere number."""
    text = key_text(name, value)
    return f"{title_text(name)} {text}" if is_number(value) and not text.endswith("%") else text


def _labels(questions: Sequence[Question]) -> list[str]:
    """Return of each question what differs among them; arms that share a method lose its name."""
    names = [question.names for question in questions]
    methods = {name.rpartition(ARM_SEPARATOR)[0] for pair in names for name in pair}
    if len(methods) == 1:
        names = [(first.rpartition(ARM_SEPARATOR)[2], second.rpartition(ARM_SEPARATOR)[2]) for first, second in names]
    firsts, seconds = ({pair[side] for pair in names} for side in (0, 1))
    quantities = {question.quantity for question in questions}
    held = dict.fromkeys(name for question in questions for name in question.held)
    varied = [name for name in held if len({comparable(question.held.get(name)) for question in questions}) > 1]
    labels = []
    for question, (first, second) in zip(questions, names, strict=True):
        parts = [_value_text(name, question.held[name]) for name in varied if name in question.held]
        if len(firsts) > 1 and len(seconds) > 1:
            parts.append(f"{first} {'<' if question.claimed == 'lower' else '>'} {second}")
        elif len(firsts) > 1 or len(seconds) > 1:
            parts.append(first if len(firsts) > 1 else second)
        if len(quantities) > 1:
            parts.append(question.quantity)
        labels.append(", ".join(parts))
    return labels
