"""The components that a trial chooses, and whether they fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from mixup_study.catalogue import CATALOGUE, Component, Dataset, Method, Network, Optimizer, Task
from mixup_study.catalogue.fields import FieldEntry, fields_of
from mixup_study.catalogue.tasks import CoreFields
from mixup_study.study.names import list_names

_ALWAYS_CHOSEN = ("task", "optimizer")
"""Kinds whose choice goes without saying, so that what they need is simply missing."""


@dataclass(frozen=True, eq=False)
class Components:
    """The components of a trial; None of a kind that its task does not choose. Equal names give the same object."""

    task: Task
    dataset: Dataset | None = None
    network: Network | None = None
    method: Method | None = None
    optimizer: Optimizer | None = None

    def __iter__(self) -> Iterator[Component]:
        every = (self.task, self.dataset, self.network, self.method, self.optimizer)
        return (component for component in every if component is not None)

    @cached_property
    def fields(self) -> frozenset[str]:
        """Return the names of the fields that a trial of these components takes."""
        provided = frozenset() if self.dataset is None else self.dataset.features
        return frozenset(
            field.name
            for declared in (CoreFields, *(component.fields for component in self))
            for field in fields_of(declared)
            if (field.traits.requires is None or field.traits.requires in provided)
            and field.traits.unless not in provided
        )

    @cached_property
    def needed(self) -> tuple[tuple[Component, str], ...]:
        """Return the fields that must have a value, with the component that needs each."""
        return tuple(
            (component, field.name)
            for component in self
            if component.kind not in _ALWAYS_CHOSEN
            for field in fields_of(component.fields)
            if field.required
        )

    @cached_property
    def needed_trials(self) -> tuple[str, ...]:
        """Return the fields whose values are trials that others of these components need, in order."""
        return tuple(field.name for field in fields_of(self.task.fields) if field.traits.needed)

    @cached_property
    def revisions(self) -> dict[str, int | str]:
        """Return the revisions of those that have any, by kind and name."""
        return {f"{entry.kind} {entry.name}": entry.revision for entry in self if entry.revision is not None}

    def accept(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the fields that a trial of these components takes.

        A field that it does not take may be there without a value or at its default, which says nothing. Raises
        pydantic's ValidationError for any other, and for a needed field without a value.
        """
        for name, value in values.items():
            if name not in self.fields and value is not None and not _is_default(name, value):
                raise refusal(name, value, f"{self._describe_refuser(name)} does not take it{self._suggest(name)}")
        for component, name in self.needed:
            if values.get(name) is None:
                raise refusal(name, values.get(name), f"expected a value: {component.noun} {component.name} needs it")
        return {name: value for name, value in values.items() if name in self.fields}

    def _suggest(self, name: str) -> str:
        """Return which methods take a field, where the trial chooses none and one of them may be what is missing."""
        methods = [
            entry.name
            for entry in CATALOGUE.methods.values()
            if self.task.name in entry.tasks and any(field.name == name for field in fields_of(entry.fields))
        ]
        return f"; expected method: {' or '.join(methods)} beside it" if methods and self._has_usual_method else ""

    @property
    def _has_usual_method(self) -> bool:
        usual = next((field.default for field in fields_of(self.task.fields) if field.name == "method"), None)
        return self.method is not None and self.method.name == usual

    def _describe_refuser(self, name: str) -> str:
        """Return which component would have to be another for a trial to take a field."""
        kinds = {entry.kind for entry, _ in CATALOGUE.declarations(name) if entry is not None}
        order = (self.task, self.network, self.optimizer, self.dataset, self.method)
        own = [entry for entry in order if entry is not None and entry.kind in kinds]
        declared = {field.name for entry in own for field in fields_of(entry.fields)}
        if name in declared and self.dataset is not None:  # the data set lacks what the field requires
            return f"{self.dataset.noun} {self.dataset.name}"
        entry = own[0] if own else self.task
        return f"{entry.noun} {entry.name}"


def choose_components(values: Mapping[str, Any]) -> Components:
    """Return the components that a trial with these values of fields chooses.

    Raises pydantic's ValidationError for a field that the catalogue does not know, for a name that it lacks, and for
    components that do not fit each other.
    """
    unknown = [name for name in values if name not in CATALOGUE.fields]
    if unknown:
        raise _errors(*({"type": "extra_forbidden", "loc": (name,), "input": values[name]} for name in unknown))
    task = choose_name("task", values, CATALOGUE.fields["task"])
    return _components(task, **{kind: choose_name(kind, values, field) for kind, field in _choices(task).items()})


@cache
def _choices(task: str) -> dict[str, FieldEntry]:
    """Return how a task declares the kinds of components that its trials choose."""
    declared = {field.name: field for field in fields_of(CATALOGUE.tasks[task].fields)}
    return {kind: declared[kind] for kind in CATALOGUE.tasks[task].chooses}


@cache
def _components(
    task: str,
    *,
    dataset: str | None = None,
    model: str | None = None,
    method: str | None = None,
    optimizer: str | None = None,
) -> Components:
    components = Components(
        CATALOGUE.tasks[task],
        None if dataset is None else CATALOGUE.data_sets[dataset],
        None if model is None else CATALOGUE.networks[model],
        None if method is None else CATALOGUE.methods[method],
        None if optimizer is None else CATALOGUE.optimizers[optimizer],
    )
    _check_fit(components)
    return components


def refusal(name: str, value: Any, reason: str) -> ValidationError:
    """Return the error of a field whose value does not go with the rest of its trial."""
    error = PydanticCustomError("refused", "{reason}", {"reason": reason})
    return _errors({"type": error, "loc": (name,), "input": value})


def choose_name(kind: str, values: Mapping[str, Any], field: FieldEntry) -> str:
    """Return the name of the component of a kind among ``values``; ``field`` declares the choice.

    Raises pydantic's ValidationError where there is none, or none of that name.
    """
    if kind not in values and field.required:
        raise _errors({"type": "missing", "loc": (kind,), "input": dict(values)})
    name = values.get(kind, field.default)
    names = CATALOGUE.names(kind)
    if not isinstance(name, str) or name not in names:
        context = {"expected": list_names(names)}
        raise _errors({"type": "literal_error", "loc": (kind,), "input": name, "ctx": context})
    return name


def _check_fit(chosen: Components) -> None:
    task, dataset, network, method = chosen.task, chosen.dataset, chosen.network, chosen.method
    if dataset is not None and not task.takes <= dataset.provides:
        names = ", ".join(name for name, entry in CATALOGUE.data_sets.items() if task.takes <= entry.provides)
        raise refusal("dataset", dataset.name, f"task {task.name} does not train on it; expected one of {names}")
    if network is not None and dataset is not None and not _takes(network, dataset):
        names = ", ".join(name for name, entry in CATALOGUE.networks.items() if _takes(entry, dataset))
        inputs = " or ".join(sorted(network.takes))
        reason = f"it takes {inputs}, which data set {dataset.name} has not; expected {names or 'another data set'}"
        raise refusal("model", network.name, reason)
    if method is not None and task.name not in method.tasks:
        names = ", ".join(name for name, entry in CATALOGUE.methods.items() if task.name in entry.tasks)
        raise refusal("method", method.name, f"task {task.name} does not train with it; expected one of {names}")


def _takes(network: Network, dataset: Dataset) -> bool:
    return not network.takes or bool(network.takes & dataset.provides)


def _is_default(name: str, value: Any) -> bool:
    defaults = [field.default for _, field in CATALOGUE.declarations(name) if not field.required]
    plain = tuple(value) if isinstance(value, list) else value
    return any(plain == default and isinstance(plain, bool) is isinstance(default, bool) for default in defaults)


def _errors(*details: Any) -> ValidationError:
    errors: list[InitErrorDetails] = list(details)
    return ValidationError.from_exception_data("Trial", errors)
