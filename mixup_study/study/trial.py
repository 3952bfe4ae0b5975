"""A trial: one fully resolved configuration, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from functools import cache, cached_property
from typing import Annotated, Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, ValidationError, create_model

from mixup_study.catalogue import CATALOGUE
from mixup_study.catalogue.tasks import CoreFields
from mixup_study.study.components import Components, choose_components, choose_name, refusal
from mixup_study.study.explain import choose_finding, describe_finding

FORMAT = 1
"""Enters every trial_id. Components have versions of their own, so this one has no reason to change."""


class Trial(CoreFields):
    """One training run, or evaluation, in the words that study files, ``--set``, result columns and SQL share.

    A trial is its content: two trials with equal fields are the same trial, whatever study, arm, machine or
    resources they come from. ``Trial(**fields)`` is of a class that inherits the fields of all components it chooses.
    A field that it does not take reads as that of the trial that it evaluates, if any, else as its default, or None
    where components differ in that. Raises pydantic's ValidationError for fields that make no trial.
    """

    components: ClassVar[Components]
    """The components that the trials of a class choose."""

    def __new__(cls, **fields: Any) -> Trial:
        """Choose the class by the components."""
        return object.__new__(class_of(choose_components(fields)) if cls is Trial else cls)

    def __init__(self, **fields: Any) -> None:
        """Validate the fields, which are those of the components of its class."""
        components = self.components
        accepted = components.accept(fields)
        for name in components.needed_trials:
            if isinstance(accepted.get(name), Mapping):
                accepted[name] = Trial(**accepted[name])
        self.__pydantic_validator__.validate_python(accepted, self_instance=self, context=components)

    def __getattr__(self, name: str) -> Any:
        if name in CATALOGUE.defaults:
            evaluated = self.evaluated
            return CATALOGUE.defaults[name] if evaluated is None else getattr(evaluated, name)
        return super().__getattr__(name)  # type: ignore[misc]  # pydantic has it, out of sight of type checkers

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the fields: a class composed of components has no name of its own."""
        return _read_trial, (self.to_dict(),)

    @property
    def changes(self) -> frozenset[str]:
        """Return which of ``input`` and ``target`` differ from ERM's in training (Table 5)."""
        method = self.components.method
        fields = (CATALOGUE.fields[name] for name in CATALOGUE.fields_with("changes"))
        by_fields = {field.traits.changes for field in fields if getattr(self, field.name)}
        return frozenset() if method is None else method.changes | {part for part in by_fields if part is not None}

    @cached_property
    def needs(self) -> tuple[Trial, ...]:
        """Return the training trials whose models this one needs; their ids are part of its own."""
        values = (getattr(self, name) for name in self.components.needed_trials)
        return tuple(value for value in values if value is not None)

    @property
    def evaluated(self) -> Trial | None:
        """Return the trial whose model this one evaluates, and whose fields describe it too; None where it trains."""
        return self.needs[0] if self.components.needed_trials else None

    @property
    def trained_epochs(self) -> int:
        """Return the epochs that it trains; 0 of an evaluation."""
        return 0 if self.evaluated is not None else int(self.epochs)

    @property
    def processes(self) -> int:
        """Return how many processes train, or evaluate, it together."""
        return 1 if self.evaluated is not None else int(self.workers)

    @cached_property
    def described_by(self) -> frozenset[str]:
        """Return the fields that describe it: those that it takes, and those of the trial that it evaluates."""
        own = self.components.fields
        return own if self.evaluated is None else own | self.evaluated.described_by

    @cached_property
    def trial_id(self) -> str:
        """Return 16 hexadecimal digits that name this trial by its content.

        Fields at their defaults are left out, so that a field added later leaves the ids of recorded trials
        alone; changing a default raises the version of the component that declares it.
        """
        content: list[Any] = [FORMAT, self.model_dump(mode="json", exclude_defaults=True)]
        if self.components.revisions:
            content.append(self.components.revisions)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def setting(self, *, implementation: bool = True) -> tuple[tuple[str, Any], ...]:
        """Return every field of the catalogue by name but the seeds, equal for trials that differ in nothing else.

        A needed trial's value is its setting. ``implementation`` tells whether fields count that say how the
        arithmetic is done.
        """
        return tuple(
            (name, value.setting(implementation=implementation) if isinstance(value, Trial) else value)
            for name, field in CATALOGUE.fields.items()
            if not field.traits.seed and (implementation or not field.traits.implementation)
            for value in [getattr(self, name)]
        )

    def departs(self, name: str) -> bool:
        """Return whether the trial takes a field and has another value for it than its own components' default.

        Of an evaluation, what it does not take is asked of the trial that it evaluates.
        """
        if name in self.components.fields:
            return bool(getattr(self, name) != type(self).model_fields[name].default)
        return self.evaluated is not None and self.evaluated.departs(name)

    def list_departures(self) -> dict[str, Any]:
        """Return the values of the fields that the trial ``departs`` in, by name."""
        evaluated, declared = self.evaluated, type(self).model_fields
        inherited = {} if evaluated is None else evaluated.list_departures()
        departures = {name: value for name, value in inherited.items() if name not in self.components.fields}
        for name in self.model_fields_set:
            value = getattr(self, name)
            if value != declared[name].default:
                departures[name] = value
        return departures

    def flat(self) -> dict[str, Any]:
        """Return every field of the catalogue by name, in the order of the result columns.

        Milestones are a list, a needed trial its trial_id, and what the trial does not take is None.
        """
        values = self.model_dump(mode="json", include=set(self.components.fields))
        return {name: values.get(name) for name in CATALOGUE.fields}

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are not at their defaults, as JSON has them; ``Trial(**fields)`` gives the same."""
        fields = self.model_dump(mode="json", exclude_defaults=True)
        needed = {name: getattr(self, name) for name in fields}
        return fields | {name: value.to_dict() for name, value in needed.items() if isinstance(value, Trial)}


def _read_trial(value: Any) -> Trial:
    return value if isinstance(value, Trial) else Trial(**value)


def _fields_of(trial: Trial) -> dict[str, Any]:
    return trial.to_dict()


SentTrial = Annotated[Trial, PlainValidator(_read_trial), PlainSerializer(_fields_of)]
"""Type of a trial that travels as JSON, by its fields."""


@cache
def class_of(components: Components) -> type[Trial]:
    """Return the class of the trials of some components, which inherits the fields that each declares."""
    order = (components.optimizer, components.method, components.network, components.dataset, components.task)
    declared = dict.fromkeys(component.fields for component in order if component is not None)
    bases: list[Any] = [
        fields for fields in declared if sum(issubclass(other, fields) for other in declared) == 1
    ]  # those that no other inherits already
    composed = cast(type[Trial], create_model("Trial", __base__=(*bases, Trial), __module__=__name__))
    composed.components = components
    return composed


def joint_id(trials: Sequence[Trial]) -> str:
    """Return the trial_id of one trial, and 16 hexadecimal digits that name several in their order."""
    if len(trials) == 1:
        return trials[0].trial_id
    return hashlib.sha256(",".join(trial.trial_id for trial in trials).encode()).hexdigest()[:16]


def comparable(value: Any) -> Hashable:
    """Return what is equal for two ways to write the same value of a field, and only for those."""
    if isinstance(value, list):
        return tuple(value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def check_field(name: str, value: Any) -> None:
    """Raise pydantic's ValidationError unless ``value`` is one that the field ``name`` may have in some trial."""
    if name in CATALOGUE.kinds:
        choose_name(name, {name: value}, CATALOGUE.fields[name])
    else:
        errors: list[ValidationError] = []
        for model in _alone(name):
            try:
                model.model_validate({name: value})
            except ValidationError as error:
                errors.append(error)
            else:
                return
        problems = dict.fromkeys(describe_finding(choose_finding(error), ()) for error in errors)
        if len(problems) == 1:
            raise errors[0]
        raise refusal(name, value, f"expected {' or '.join(text.removeprefix('expected ') for text in problems)}")


@cache
def _alone(name: str) -> tuple[type[BaseModel], ...]:
    """Return a model of the field alone for each way in which components declare it."""
    declared: list[dict[str, Any]] = [
        {name: (field.info.annotation, field.info)} for field in CATALOGUE.distinct_declarations(name)
    ]
    return tuple(create_model("Field", __config__=ConfigDict(strict=True), **fields) for fields in declared)
