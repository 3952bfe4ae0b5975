"""What the paper claims of a study's results, as comparisons that results can support or contradict."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import nearest
from mixup_study.study.explain import explain
from mixup_study.study.names import MetricName
from mixup_study.study.source import KeyPath, Source
from mixup_study.study.trial import check_field, comparable

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)

OTHERS = "others"
"""In place of an arm: every arm that the other side does not name."""
EXTREMES = ("lowest", "highest")
"""In place of a value: the least or the greatest of those that the arm tries."""

NOT_BESIDE_TIMES = ("by", "minus", "rising")
"""Keys of a comparison of differences, which one of ratios does not have."""

Selector = Mapping[str, Any]
"""The trials of one side: its ``arm``, and values of fields."""

Tried = Mapping[str, Mapping[str, Sequence[Any]]]
"""The values that each arm tries of each field."""


def _selector(value: Any) -> Any:
    selector = {"arm": value} if isinstance(value, str) else value
    if not isinstance(selector, dict) or not isinstance(selector.get("arm"), str):
        raise PydanticCustomError("selector", "expected an arm, or a mapping of arm and fields")
    return selector


def _selectors(value: Any) -> Any:
    return value if isinstance(value, list) else [_selector(value)]


_Selector = Annotated[dict[str, Any], BeforeValidator(_selector)]
_Selectors = Annotated[list[_Selector], BeforeValidator(_selectors), Field(min_length=1)]


class Comparison(BaseModel):
    """Trials whose measurements lie on one side of others'.

    It holds at each value of the table's fields that it does not fix. Of an arm that tries several settings, the
    one that the table shows is compared, among those with the values given.
    """

    model_config = _STRICT
    lower: _Selectors | None = Field(default=None, description="Arms whose mean lies below that of every arm of than.")
    higher: _Selectors | None = Field(default=None, description="Arms whose mean lies above that of every arm of than.")
    than: _Selectors | None = Field(default=None, description="Arms compared with; others: every other arm.")
    rising: list[_Selector] | None = Field(
        default=None, min_length=2, description="Arms of which each has a lower mean than the next."
    )
    metric: MetricName | None = Field(
        default=None, description="Measurement compared; without it that of table.pick, else of the first column."
    )
    minus: dict[str, Any] | None = Field(
        default=None,
        min_length=1,
        description="Taken from the measurement: that of the same arm with this metric, or these values of fields.",
    )
    where: dict[str, Any] = Field(default_factory=dict, description="Values of fields on both sides.")
    by: float = Field(
        default=0,
        allow_inf_nan=False,
        description="Least difference claimed, in points of percent or modes; below 0, so far it may lie the other"
        " way.",
    )
    accuracy: bool = Field(default=False, description="Compare accuracies: 100 % less the measurement, an error.")
    times: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Ratio of means claimed in place of a difference: at least so many times the other mean beside"
        " higher, at most beside lower.",
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> Comparison:
        sides = [name for name in ("lower", "higher", "rising") if getattr(self, name) is not None]
        if len(sides) != 1:
            raise PydanticCustomError("one_of", "expected one of lower, higher and rising")
        if (self.than is None) is not (self.rising is not None):
            problem = "{side} stands alone; expected no than" if self.rising else "expected than beside {side}"
            raise PydanticCustomError("than", problem, {"side": sides[0]})
        if self.times is not None:
            for name in NOT_BESIDE_TIMES:
                if name in self.model_fields_set and getattr(self, name) is not None:
                    raise PydanticCustomError("times", "expected no {name} beside times", {"name": name})
        return self


class Claim(BaseModel):
    """A claim of the paper, or of the study's own."""

    model_config = _STRICT
    text: str = Field(min_length=1, description="The claim, in one sentence.")
    section: str | None = Field(default=None, min_length=1, description='Section of the paper, as in "3.4".')
    compare: list[Comparison] = Field(min_length=1, description="What the claim says of the results.")
    at_least: int | None = Field(default=None, ge=1, description="How many comparisons must hold; null for all.")


def check_claims(
    claims: Sequence[Claim], source: Source, tried: Sequence[Tried], measured: Sequence[str], default: str
) -> None:
    """Raise InputError for a claim that names what the study does not have.

    ``tried`` tells what the file as it stands and the study as loaded try: a profile or an override may leave out
    what a claim is about. ``measured`` are the measurements of the study's trials.
    """
    for number, claim in enumerate(claims):
        for index, comparison in enumerate(claim.compare):
            check = _Check(comparison, ("claims", number, "compare", index), source, tried)
            check.metrics(measured, default)
            check.sides()


class _Check:
    """Looks for what one comparison names that the study does not have."""

    def __init__(self, comparison: Comparison, at: KeyPath, source: Source, tried: Sequence[Tried]) -> None:
        self.comparison = comparison
        self.at = at
        self.source = source
        self.tried = tried
        self.arms = list(dict.fromkeys(arm for one in tried for arm in one))

    def metrics(self, measured: Sequence[str], default: str) -> None:
        minus = (self.comparison.minus or {}).get("metric")
        for path, metric in (((*self.at, "metric"), self.comparison.metric), ((*self.at, "minus", "metric"), minus)):
            if metric is None:
                continue
            if not isinstance(metric, str) or metric not in CATALOGUE.metrics:
                expected = f"expected one of {', '.join(measured)}{nearest(metric, measured)}"
                raise self.source.error(path, expected, value=metric)
            if metric not in measured:
                problem = f"the study's trials do not measure it; expected one of {', '.join(measured)}"
                raise self.source.error(path, problem, value=metric)
        compared = self.comparison.metric or default
        if minus is not None and CATALOGUE.metrics[minus].unit != CATALOGUE.metrics[compared].unit:
            expected = f"expected a measurement in the unit of {compared}"
            raise self.source.error((*self.at, "minus", "metric"), expected, value=minus)
        for metric in (compared, minus):
            if self.comparison.accuracy and metric is not None and not CATALOGUE.metrics[metric].is_error:
                problem = f"{metric} has no accuracy; expected an error in percent as the metric"
                raise self.source.error((*self.at, "accuracy"), problem, value=True)

    def sides(self) -> None:
        named = []
        for path, selector, side in self._selectors():
            arm = selector["arm"]
            arms = [arm]
            if arm not in self.arms:
                if arm != OTHERS or side != "than":
                    valid = [*self.arms, OTHERS] if side == "than" else self.arms
                    expected = f"expected an arm of the study{nearest(arm, valid)}"
                    raise self.source.error(path if path in self.source.places else self.at, expected, value=arm)
                arms = self.arms
            named += arms
            self._fields(path, {name: value for name, value in selector.items() if name != "arm"}, arms)
        self._fields((*self.at, "where"), self.comparison.where, named)
        minus = {name: value for name, value in (self.comparison.minus or {}).items() if name != "metric"}
        self._fields((*self.at, "minus"), minus, named)
        for name in minus:
            sides = [selector for _, selector, _ in self._selectors()]
            if name not in self.comparison.where and not all(name in selector for selector in sides):
                raise self.source.error((*self.at, "minus", name), "expected where to say what it is taken from")

    def _selectors(self) -> Iterator[tuple[KeyPath, Selector, str]]:
        for side in ("lower", "higher", "rising", "than"):
            selectors = getattr(self.comparison, side) or ()
            for index, selector in enumerate(selectors):
                several = (*self.at, side, 0) in self.source.places
                yield (*self.at, side, *([index] if several else [])), selector, side

    def _fields(self, at: KeyPath, fields: Mapping[str, Any], arms: Sequence[str]) -> None:
        valid = [name for name in CATALOGUE.fields if name not in CATALOGUE.seeds]
        for name, value in fields.items():
            path = (*at, name)
            if name in CATALOGUE.seeds:
                raise self.source.error(path, "means are taken over the seeds; expected another field")
            if name not in valid:
                raise self.source.error(path, f"unknown key; expected a field of a trial{nearest(name, valid)}")
            values = [value for one in self.tried for arm in arms for value in one.get(arm, {}).get(name, ())]
            if value in EXTREMES:
                if not any(map(is_number, values)):
                    raise self.source.error(path, "the arm tries no number; expected a value", value=value)
                continue
            try:
                check_field(name, value)
            except ValidationError as error:
                raise explain(error, self.source, at, ()) from None
            if comparable(value) not in map(comparable, values):
                known = ", ".join(map(str, dict.fromkeys(map(_shown, values))))
                raise self.source.error(path, f"no trial has it; expected one of {known}", value=value)


def _shown(value: Any) -> Hashable:
    return f"{value:g}" if isinstance(value, float) else str(value)


def is_number(value: Any) -> bool:
    """Return whether ``value`` is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
