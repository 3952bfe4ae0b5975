"""The cells that a study file expands to: its arms crossed with its grid, and the models that evaluations need."""

from __future__ import annotations

import itertools
import json
import math
from collections import ChainMap
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError, nearest
from mixup_study.study.components import Components, choose_components
from mixup_study.study.data_files import FILE_DIGEST, DataFiles, DataMissing
from mixup_study.study.document import Document
from mixup_study.study.explain import choose_finding, explain
from mixup_study.study.source import KeyPath, Source
from mixup_study.study.trial import Trial, class_of

MAX_TRIALS = 1_000_000
LIKE = "like"
"""The key of a model that names another, whose fields it takes over."""


@dataclass(frozen=True)
class Cell:
    """One trial of a study under the arm that asked for it."""

    arm: str
    trial: Trial
    settings: tuple[str, ...] = ()
    """The fields that its arm sets itself, but for its method and for models that it needs."""
    implied: tuple[str, ...] = ()
    """The fields that go with the values of others in the grid."""
    models: tuple[str, ...] = ()
    """What the study calls the trials that its trial needs, in their order; empty text of one without a name."""
    placeholder_of: str | None = None
    """search_id of the search that has not found the setting yet in whose place this cell stands, with another one."""


@dataclass(frozen=True)
class _Settings:
    """The fields that go with a value of another, and where they were written."""

    path: KeyPath
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class _Axis:
    """A field, and the values that it takes in turn."""

    values: Sequence[Any]
    path: KeyPath
    settings: Mapping[Any, tuple[_Settings, ...]]
    """By value, what goes with it: of an arm, beside what goes with it in the grid."""


@dataclass(frozen=True)
class Combination:
    """A value for each field that an arm and the grid vary, and where each was written."""

    values: Mapping[str, Any]
    places: Mapping[str, KeyPath]
    implied: tuple[str, ...]
    """The fields that go with the values of others in the grid."""


def expand(document: Document, source: Source, files: DataFiles) -> Iterator[Cell]:
    """Yield the cells of a study in the order of the file, but for arms that are searched.

    ``files`` tells what the user's own data files hold.

    Raises InputError for what makes no trial.
    """
    total = least = 0
    searched = () if document.search is None else document.search.space
    composer = Composer(document, source, files)
    for arm, fields in document.arms.items():
        if arm in searched:
            continue
        axes = Axes(document, source, arm, fields)
        least += axes.least
        if least > MAX_TRIALS:
            raise _too_many(arm, source)
        settings = list_settings(fields)
        for combination in axes.combine():
            total += 1
            if total > MAX_TRIALS:
                raise _too_many(arm, source)
            trial = composer.compose_trial(arm, combination.values, combination.places)
            needed = (combination.values.get(name, document.trial.get(name)) for name in trial.components.needed_trials)
            names = tuple(model if isinstance(model, str) else "" for model in needed if model is not None)
            yield Cell(arm, trial, settings, combination.implied, names)


def list_settings(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields among an arm's own that tables show as its setting."""
    return tuple(
        name
        for name, value in fields.items()
        if name != "method" and not _is_needed(name) and not _has_settings(name, value)
    )


class Axes:
    """The fields that the grid and an arm vary, an arm's own values in place of the grid's."""

    def __init__(self, document: Document, source: Source, arm: str, fields: Mapping[str, Any]) -> None:
        """Read them; ``fields`` are the arm's. Raises InputError for what is no value, and no list of any."""
        self._source = source
        grid = _read_axes(document.grid, ("grid",), source)
        own = _read_axes(fields, ("arms", arm), source)
        self._axes = {**grid, **{name: _over(grid.get(name), axis) for name, axis in own.items()}}

    @property
    def least(self) -> int:
        """Return how many combinations there are, but for the fields that go with the values of others."""
        return math.prod(len(axis.values) for axis in self._axes.values())

    def combine(self) -> Iterator[Combination]:
        """Yield every combination in the order of the file."""
        yield from self._combine({}, self._axes, {})

    def _combine(
        self, known: Mapping[str, _Axis], axes: Mapping[str, _Axis], chosen: Mapping[str, Any]
    ) -> Iterator[Combination]:
        """Yield what values of ``axes``, and of the fields that go with them, add to those ``chosen`` of ``known``."""
        known = {**known, **axes}
        places = {name: axis.path for name, axis in known.items()}
        implied = tuple(name for name in known if name not in self._axes)
        for combination in itertools.product(*(axis.values for axis in axes.values())):
            values = dict(zip(axes, combination, strict=True))
            further = _read_settings(axes, values, known, self._source)
            if further:
                yield from self._combine(known, further, {**chosen, **values})
            else:
                yield Combination({**chosen, **values}, places, implied)


def _too_many(arm: str, source: Source) -> InputError:
    return source.error(("arms", arm), f"the study expands to more than {MAX_TRIALS:,} trials")


def list_tried(document: Document, source: Source) -> dict[str, dict[str, list[Any]]]:
    """Return the values of each field that each arm tries, of the models that it needs too, as far as there are any."""
    tried: dict[str, dict[str, list[Any]]] = {}
    for arm, fields in document.arms.items():
        values = {**document.trial, **document.grid, **fields}
        lists = {name: list(_alternatives(name, value)) for name, value in values.items()}
        for setting, alternatives in (*_list_beside(document.grid), *_list_beside(fields)):
            if setting not in fields:
                lists[setting] = [*lists.get(setting, ()), *_alternatives(setting, alternatives)]
        for name in filter(_is_needed, list(values)):
            for model in lists[name]:
                with suppress(InputError):  # of a model that a profile, or --set, may yet put there
                    for setting, value in read_model(document, source, model, ("arms", arm, name)).fields.items():
                        lists[setting] = [*lists.get(setting, ()), value]
        tried[arm] = {**_defaults_among(lists), **lists}
    return tried


def _list_beside(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields that go with values of ``fields``, with what stands there."""
    for name, value in fields.items():
        if _has_settings(name, value):
            for settings in value.values():
                if isinstance(settings, Mapping):
                    yield from settings.items()
                    yield from _list_beside(settings)


def _defaults_among(written: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Return the defaults of each field that has one: those of the components that an arm tries, or the usual one."""
    defaults: dict[str, list[Any]] = {}
    for name, usual in CATALOGUE.fields.items():
        own = [
            field.default
            for entry, field in CATALOGUE.declarations(name)
            if entry is not None and entry.name in written.get(entry.kind, ()) and not field.required
        ]
        if own or not usual.required:
            defaults[name] = own or [CATALOGUE.defaults[name]]
    return defaults


@dataclass(frozen=True)
class Model:
    """The fields of a model, those of the models that it is like included, and where each was written."""

    fields: Mapping[str, Any]
    places: Mapping[str, KeyPath]


def read_model(document: Document, source: Source, model: Any, path: KeyPath, seen: tuple[str, ...] = ()) -> Model:
    """Return a model by its name or its fields, which stand at ``path``; ``seen`` are the names that led to it.

    Raises InputError for a model that is not there, or is like itself.
    """
    if isinstance(model, str):
        if model not in document.models:
            names = ", ".join(document.models)
            expected = f"expected one of the study's models, {names}" if names else "expected models"
            raise source.error(path, f"{expected}{nearest(model, document.models)}", value=model)
        if model in seen:
            raise source.error(path, "a model is like itself; expected another", value=model)
        return read_model(document, source, document.models[model], ("models", model), (*seen, model))
    if not isinstance(model, dict):
        raise source.error(path, "expected the name of a model, or its fields", value=model)
    fields = {name: value for name, value in model.items() if name != LIKE}
    places = {name: (*path, name) for name in fields}
    if LIKE not in model:
        return Model(fields, places)
    base = read_model(document, source, model[LIKE], (*path, LIKE), seen)
    return Model({**base.fields, **fields}, {**base.places, **places})


class Composer:
    """Composes the trials of a study, and the trials whose models they need."""

    def __init__(self, document: Document, source: Source, files: DataFiles) -> None:
        self._document = document
        self._source = source
        self._files = files
        self._paths: dict[str, KeyPath] = {name: ("trial", name) for name in document.trial}
        self._composed: dict[str, Trial] = {}
        """Needed trials by their fields as JSON: the same object for all who need one."""

    def compose_trial(self, arm: str, values: Mapping[str, Any], paths: Mapping[str, KeyPath]) -> Trial:
        """Return the trial of these values over the study's ``trial``; ``paths`` tells where each was written.

        What an evaluation does not take is passed on to the models that it needs.
        """
        fields = {**self._document.trial, **values}
        paths = ChainMap(dict(paths), self._paths)
        try:
            components = choose_components(fields)
            fields = self._add_digest(components, fields, paths, ("arms", arm))
        except ValidationError as error:
            raise self._explain(error, paths, ("arms", arm), fields) from None
        own = fields
        if components.needed_trials:
            own = {name: value for name, value in fields.items() if name in components.fields}
            passed = {name: value for name, value in fields.items() if name not in own}
            for name in components.needed_trials:
                if own.get(name) is not None:
                    own[name] = self._compose_model(own[name], paths[name], passed, paths)
        try:
            return class_of(components)(**own)
        except ValidationError as error:
            raise self._explain(error, paths, ("arms", arm), fields) from None

    def complete(self, fields: Mapping[str, Any], at: KeyPath) -> dict[str, Any]:
        """Return fields of a trial with the digest of the files that its data set reads, if it reads any."""
        return self._add_digest(choose_components(fields), fields, self._paths, at)

    def _add_digest(
        self, components: Components, fields: Mapping[str, Any], paths: Mapping[str, KeyPath], at: KeyPath
    ) -> dict[str, Any]:
        dataset = components.dataset
        if dataset is None or not dataset.content or fields.get(FILE_DIGEST) is not None:
            return dict(fields)
        try:
            return {**fields, FILE_DIGEST: self._files.find_digest(dataset, fields)}
        except DataMissing as error:
            name = next(iter(dataset.naming_fields), "dataset")
            raise self._source.error(paths.get(name, at), str(error)) from None

    def _compose_model(
        self, model: Any, path: KeyPath, passed: Mapping[str, Any], paths: Mapping[str, KeyPath]
    ) -> Trial:
        """Return the trial of a model, by its name or its fields, over those that are ``passed`` on to it."""
        read = read_model(self._document, self._source, model, path)
        every = {**passed, **read.fields}
        key = json.dumps(every, sort_keys=True, default=str)
        if key not in self._composed:
            try:
                every = self._add_digest(choose_components(every), every, {**paths, **read.places}, path)
                self._composed[key] = Trial(**every)
            except ValidationError as error:
                raise self._explain(error, {**paths, **read.places}, path, every) from None
        return self._composed[key]

    def _explain(
        self, error: ValidationError, paths: Mapping[str, KeyPath], at: KeyPath, fields: Mapping[str, Any]
    ) -> InputError:
        """Return what is wrong with one of ``fields``, and where it was written, or else the place ``at``."""
        finding = choose_finding(error)
        name = str(next(iter(finding["loc"]), ""))
        if isinstance(finding["input"], Trial):  # which the file calls by a name
            return self._source.error(paths[name], finding["msg"], value=fields[name])
        where = paths[name][:-1] if name in paths else at
        field = CATALOGUE.fields.get(name)
        if where == ("trial",) and isinstance(finding["input"], list) and field is not None and not field.is_list:
            problem = f"expected one value; several of them stand in grid, or in an arm: grid.{name}"
            return self._source.error(paths[name], problem, value=finding["input"])
        return explain(error, self._source, where, tuple(CATALOGUE.fields))


def _read_axes(fields: Mapping[str, Any], at: KeyPath, source: Source) -> dict[str, _Axis]:
    """Return each field's alternatives, and where they were written."""
    axes = {}
    for name, value in fields.items():
        path = (*at, name)
        settings: dict[Any, tuple[_Settings, ...]] = {}
        if _has_settings(name, value):
            for key, item in value.items():
                if not isinstance(item, dict | None):
                    raise source.error((*path, key), "expected the fields that go with the value", value=item)
                settings[key] = (_Settings((*path, key), item or {}),)
        values = list(_alternatives(name, value))
        if not values:
            raise source.error(path, "expands to nothing; expected at least one value", value=value)
        seen = set()
        for index, alternative in enumerate(values):
            same = (
                isinstance(alternative, bool),
                alternative if isinstance(alternative, Hashable) else repr(alternative),
            )
            if same in seen:
                raise source.error((*path, index), "the value stands here twice; expected it once", value=alternative)
            seen.add(same)
        axes[name] = _Axis(values, path, settings)
    return axes


def _over(grid: _Axis | None, own: _Axis) -> _Axis:
    """Return an arm's axis in place of the grid's; where both have fields beside their values, with those of both."""
    if grid is None or not grid.settings or not own.settings:
        return own
    settings = {
        value: (*grid.settings.get(value, ()), *own.settings.get(value, ()))
        for value in own.values
        if isinstance(value, Hashable)
    }
    return replace(own, settings=settings)


def _read_settings(
    axes: Mapping[str, _Axis], values: Mapping[str, Any], known: Mapping[str, _Axis], source: Source
) -> dict[str, _Axis]:
    """Return the axes of the fields that go with the values chosen, but for those that the arm sets itself.

    Raises InputError for a field that two of the values set, or that the grid varies by itself.
    """
    further: dict[str, _Axis] = {}
    for name, axis in axes.items():
        for settings in axis.settings.get(values[name], ()) if axis.settings else ():
            for setting, own in _read_axes(settings.fields, settings.path, source).items():
                if setting in known and known[setting].path[0] == "arms":
                    continue
                if setting in known or setting in further:
                    raise source.error((*settings.path, setting), "it stands elsewhere too; expected it in one place")
                further[setting] = own
    return further


def _alternatives(name: str, value: Any) -> Iterable[Any]:
    """Return the values that a field takes in turn: of a list each, unless the list is one value."""
    if _has_settings(name, value):
        return tuple(value)
    if not isinstance(value, list):
        return (value,)
    field = CATALOGUE.fields.get(name)
    several = field is None or not field.is_list or any(isinstance(part, list) for part in value)
    return value if several else (value,)


def _has_settings(name: str, value: Any) -> bool:
    """Return whether the keys of ``value`` are a field's values, each with the fields that go with it."""
    return isinstance(value, dict) and not _is_needed(name)


def _is_needed(name: str) -> bool:
    field = CATALOGUE.fields.get(name)
    return field is not None and field.traits.needed
