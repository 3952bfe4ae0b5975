"""The catalogue: every component by its kind and name, and what follows from all of them together."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from mixup_study.catalogue.data_sets import DATA_SETS
from mixup_study.catalogue.entries import Component, Curve, Dataset, Method, Metric, Network, Optimizer, Task
from mixup_study.catalogue.evaluations import EVALUATIONS
from mixup_study.catalogue.fields import FieldEntry, Fields, Traits, fields_of
from mixup_study.catalogue.methods import METHODS
from mixup_study.catalogue.networks import NETWORKS
from mixup_study.catalogue.optimizers import OPTIMIZERS
from mixup_study.catalogue.tasks import TASKS, CoreFields
from mixup_study.errors import InputError

ENTRY_POINTS = "mixup_study"
"""The group of entry points by which installed packages name modules with entries."""
ENTRIES = "ENTRIES"
"""The list of such a module that holds its entries."""

_INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed packages."""

_C = TypeVar("_C", bound=Component)


class Catalogue:
    """Components by kind and name; names are unique within a kind."""

    def __init__(self, core: type[Fields], entries: Iterable[Component]) -> None:
        """Begin with ``entries``; ``core`` declares the fields of every trial."""
        self._core = core
        self.plugins: tuple[str, ...] = ()
        """Names of the modules that were loaded by name: what other processes of a run must load too."""
        self._entries: dict[str, dict[str, Component]] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: Component) -> None:
        """Add a component. Raises InputError where another of its kind has the name; adding one twice is nothing."""
        named = self._entries.setdefault(entry.kind, {})
        if named.setdefault(entry.name, entry) != entry:
            raise InputError(f"{entry.noun} {entry.name!r}: there is another of that name; expected a new name")
        for name, value in vars(Catalogue).items():
            if isinstance(value, cached_property):
                self.__dict__.pop(name, None)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of components, by the fields that name them: ``task``, ``dataset`` …"""
        return tuple(self._entries)

    def names(self, kind: str) -> Collection[str]:
        """Return the names of all components of a kind, as ``dataset``, in the order in which they were added."""
        return self._entries[kind].keys()

    def _of(self, kind: type[_C]) -> Mapping[str, _C]:
        return self._entries[kind.kind]  # type: ignore[return-value]  # ``add`` files every entry under its own kind

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Return the tasks by name."""
        return self._of(Task)

    @property
    def data_sets(self) -> Mapping[str, Dataset]:
        """Return the data sets by name."""
        return self._of(Dataset)

    @property
    def networks(self) -> Mapping[str, Network]:
        """Return the networks by name."""
        return self._of(Network)

    @property
    def methods(self) -> Mapping[str, Method]:
        """Return the vicinal distributions by name."""
        return self._of(Method)

    @property
    def optimizers(self) -> Mapping[str, Optimizer]:
        """Return the optimizers by name."""
        return self._of(Optimizer)

    @cached_property
    def fields(self) -> Mapping[str, FieldEntry]:
        """Return every field that some trial takes, in the order of the result columns.

        Each choice is followed by the fields of what can be chosen; a field that several declare stands where the
        first does, and with its traits.
        """
        core = {field.name: field for field in fields_of(self._core)}
        of_tasks = {field.name: field for task in self.tasks.values() for field in fields_of(task.fields)}
        fields = {"task": core.pop("task")}
        for kind, named in self._entries.items():
            if kind != Task.kind and kind in of_tasks:
                fields.setdefault(kind, of_tasks[kind])
                for entry in named.values():
                    for field in fields_of(entry.fields):
                        fields.setdefault(field.name, field)
        for field in (*of_tasks.values(), *core.values()):
            fields.setdefault(field.name, field)
        return fields

    def declarations(self, name: str) -> Iterator[tuple[Component | None, FieldEntry]]:
        """Yield every component that declares a field, and how; None in place of the component for all trials."""
        for field in fields_of(self._core):
            if field.name == name:
                yield None, field
        for named in self._entries.values():
            for entry in named.values():
                for field in fields_of(entry.fields):
                    if field.name == name:
                        yield entry, field

    def distinct_declarations(self, name: str) -> tuple[FieldEntry, ...]:
        """Return the declarations of a field that differ in more than their default, the first one first."""
        distinct: list[FieldEntry] = []
        for _, field in self.declarations(name):
            if not any(field.accepts_same(other) and field.description == other.description for other in distinct):
                distinct.append(field)
        return tuple(distinct)

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """Return the default of every field by name; None where its declarations differ in it, or one has none."""
        defaults: dict[str, Any] = {}
        for name in self.fields:
            first, *others = (field.default for _, field in self.declarations(name))
            defaults[name] = first if all(other == first for other in others) else None
        return defaults

    @cached_property
    def seeds(self) -> tuple[str, ...]:
        """Return the fields that tables take means over."""
        return self.fields_with("seed")

    def fields_with(self, trait: str) -> tuple[str, ...]:
        """Return the fields of which a trait is true or set, as ``caption``."""
        return self._by_trait[trait]

    @cached_property
    def _by_trait(self) -> Mapping[str, tuple[str, ...]]:
        return {
            trait.name: tuple(
                n for n, field in self.fields.items() if getattr(field.traits, trait.name) != trait.default
            )
            for trait in dataclasses.fields(Traits)
        }

    @cached_property
    def metrics(self) -> Mapping[str, Metric]:
        """Return what the trials of all tasks measure, by name."""
        return {metric.name: metric for task in self.tasks.values() for metric in task.metrics}

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        """Return what the trials of all tasks measure after every epoch, by name."""
        return {curve.name: curve for task in self.tasks.values() for curve in task.curves}


def load_plugins(modules: Sequence[str]) -> None:
    """Add the entries of ``modules``, by name, and of every installed package with an entry point.

    Raises InputError for a module that is not there, or that lists no entries.
    """
    for point in entry_points(group=ENTRY_POINTS):
        _add_module(point.value, f"the entry point {point.name} of group {ENTRY_POINTS}")
    for module in modules:
        _add_module(module, f"--plugin {module}")
        if module not in CATALOGUE.plugins:
            CATALOGUE.plugins += (module,)


def _add_module(name: str, source: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise
        raise InputError(
            f"{source}: no such module; expected one that Python can import, from an installed package or this folder"
        ) from None
    except (ValueError, TypeError) as error:  # an empty name, a relative one
        raise InputError(f"{source}: {error}; expected a module, as in package.module") from None
    entries = getattr(module, ENTRIES, None)
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, Component) for entry in entries):
        raise InputError(f"{source}: it has no {ENTRIES}; expected there a list of catalogue entries")
    for entry in entries:
        CATALOGUE.add(dataclasses.replace(entry, source=_digest_source(name, entry)))


def _digest_source(plugin: str, entry: Component) -> str:
    """Return 16 hexadecimal digits that name the source of a plugin's module, and of that which builds its entry.

    The source of other installed packages does not count, nor that of this one: their releases have versions.
    """
    digest = hashlib.sha256()
    for module in dict.fromkeys((plugin, entry.build.partition(":")[0])):
        package, file = module.partition(".")[0], _find_source(module)
        if file is None or package == __name__.partition(".")[0]:
            continue
        if package == plugin.partition(".")[0] or not _INSTALLED & set(file.parts):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _find_source(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # told of when the entry is built
        return None
    file = Path(spec.origin) if spec is not None and spec.origin is not None else None
    return file if file is not None and file.is_file() else None


CATALOGUE = Catalogue(CoreFields, (*TASKS, *EVALUATIONS, *DATA_SETS, *NETWORKS, *METHODS, *OPTIMIZERS))
"""All that studies can name."""
