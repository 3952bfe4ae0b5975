"""A study: which trials to run, how large a slot is, and which table to draw from them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError, nearest
from mixup_study.study.claims import Claim, check_claims
from mixup_study.study.document import PROFILE_KEYS, Document, Figure, Paper, Resources, Table, document_of
from mixup_study.study.explain import choose_finding, explain
from mixup_study.study.source import KeyPath, Source, read, set_override
from mixup_study.study.trial import Trial, check_field, comparable

MAX_TRIALS = 1_000_000


@dataclass(frozen=True)
class Cell:
    """One trial of a study under the arm that asked for it; ``settings`` names the fields that its arm sets itself."""

    arm: str
    trial: Trial
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """A study file with one profile and all overrides applied, expanded to its trials."""

    name: str
    profile: str
    paper: Paper | None
    resources: Resources
    retries: int
    """How often a trial that raised, or whose process died, is trained again, each time by a fresh process."""
    checkpoint_seconds: float
    """A trial saves a checkpoint at the end of an epoch where the last one is at least so old."""
    keep_models: bool
    """Whether every trial leaves its model, not only those that others need."""
    table: Table
    cells: tuple[Cell, ...]
    overrides: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    claims: tuple[Claim, ...] = ()
    published: tuple[Mapping[str, Any], ...] = field(default=())
    """The paper's rows: values of the table's row fields and of the setting chosen, and measurements in percent."""
    as_in_paper: bool = False
    """Whether every trial is one that the paper describes, but for its seeds and how the arithmetic is done."""

    @cached_property
    def trials(self) -> dict[str, Trial]:
        """Return the distinct trials by trial_id, in the order of the file; arms may share one."""
        return {cell.trial.trial_id: cell.trial for cell in self.cells}


@dataclass(frozen=True)
class StudyFile:
    """A study file as written, before a profile is chosen."""

    path: Path
    overrides: tuple[str, ...] = ()

    @cached_property
    def _source(self) -> Source:
        """Return the file as it stands; what changes it works on a copy."""
        return read(self.path)

    @cached_property
    def _document(self) -> Document:
        return document_of(self._source)

    @property
    def profiles(self) -> tuple[str, ...]:
        """Return the names of the profiles; the first is the file as it stands, without any overlay."""
        return (self.base_profile, *self._document.profiles)

    @property
    def base_profile(self) -> str:
        """Return "paper" for a study of the paper, else "full": the file as it stands."""
        return "paper" if self._document.paper is not None else "full"

    @cached_property
    def _paper_settings(self) -> set[tuple[Any, ...]]:
        """Return the settings of the file as it stands, which the paper describes; none of one not to be run so."""
        try:
            return _settings(_expand(self._document, self._source))
        except InputError:
            return set()

    def load(self, profile: str) -> Study:
        """Return the study under ``profile``, with the overrides applied last.

        Raises InputError, naming file, line, key and value, for anything that cannot be run.
        """
        if profile not in self.profiles:
            raise InputError(
                f"{self.path}: no profile {profile!r}; expected one of {', '.join(self.profiles)}"
                f"{nearest(profile, self.profiles)}"
            )
        source = deepcopy(self._source)
        arms = tuple(source.tree["arms"])
        if profile != self.base_profile:
            for key in source.tree["profiles"][profile]:
                if key not in PROFILE_KEYS:
                    raise source.error(
                        ("profiles", profile, key),
                        f"unknown key; a profile overlays {', '.join(PROFILE_KEYS)}{nearest(key, PROFILE_KEYS)}",
                    )
            source.overlay(("profiles", profile))
        for assignment in self.overrides:
            if assignment.lstrip().startswith("profiles"):
                raise InputError(
                    f"--set {assignment}: a profile is applied before --set; expected trial, grid, arms or resources"
                )
            set_override(source, assignment)
        document = document_of(source)
        _check_table(document, source, arms)
        cells = tuple(_expand(document, source))
        _check_measured(document.table, cells, source)
        if document.table.pick is None:
            _check_settings(document.table, cells, source)
        tried = (_values_tried(self._document), _values_tried(document))
        check_claims(document.claims, source, tried, _measured(cells), document.table.metric)
        return Study(
            name=document.name,
            profile=profile,
            paper=document.paper,
            resources=document.resources,
            retries=document.retries,
            checkpoint_seconds=document.checkpoint_seconds,
            keep_models=document.keep_models,
            table=_without_removed(document),
            cells=cells,
            overrides=self.overrides,
            figures=tuple(document.figures),
            claims=tuple(document.claims),
            published=tuple(document.published),
            as_in_paper=document.paper is not None and _settings(cells) <= self._paper_settings,
        )


def _settings(cells: Iterable[Cell]) -> set[tuple[Any, ...]]:
    """Return what the paper might say of the trials: all fields but seeds and how the arithmetic is done."""
    names = [name for name, field in CATALOGUE.fields.items() if not (field.traits.seed or field.traits.implementation)]
    return {tuple(getattr(cell.trial, name) for name in names) for cell in cells}


def _without_removed(document: Document) -> Table:
    """Return the table, without a baseline that a profile or --set removed."""
    if document.table.baseline in document.arms:
        return document.table
    return document.table.model_copy(update={"baseline": None})


def _check_table(document: Document, source: Source, arms: Sequence[str]) -> None:
    """Raise InputError for a row or a published number that no table could show; ``arms`` are the file's own."""
    valid = (*CATALOGUE.fields, "arm")
    for index, name in enumerate(document.table.rows):
        path: KeyPath = ("table", "rows", index)
        if name not in valid:
            raise source.error(path, f"expected a field of a trial, or arm{nearest(name, valid)}", value=name)
        if name in document.table.rows[:index]:
            raise source.error(path, "the row stands here twice; expected it once", value=name)
    across = document.table.across
    if "arm" not in document.table.keys:
        raise source.error(("table", "rows"), "expected arm among the rows, or across", value=document.table.rows)
    if across is not None:
        if across not in valid:
            raise source.error(
                ("table", "across"), f"expected a field of a trial, or arm{nearest(across, valid)}", value=across
            )
        if across in (*document.table.rows, *CATALOGUE.seeds):
            raise source.error(
                ("table", "across"), "expected a field that is neither a row of the table nor a seed", value=across
            )
    baseline = document.table.baseline
    known = {**document.arms, **dict.fromkeys(arms)}
    if baseline is not None and baseline not in known:
        raise source.error(
            ("table", "baseline"), f"expected an arm of the study{nearest(baseline, known)}", value=baseline
        )
    kinds = [figure.kind for figure in document.figures]
    for index, kind in enumerate(kinds):
        if kind in kinds[:index]:
            raise source.error(("figures", index, "kind"), "the figure stands here twice; expected it once", value=kind)
    rows = set()
    for index, row in enumerate(document.published):
        for key, value in row.items():
            _check_published(("published", index), key, value, source, arms)
        for key in document.table.keys:
            if key not in row:
                raise source.error(("published", index, key), "missing; expected the row it belongs to")
        where = tuple(comparable(row[key]) for key in document.table.keys)
        if where in rows:
            raise source.error(("published", index), "the row of the table stands here twice; expected it once")
        rows.add(where)


def _check_measured(table: Table, cells: Sequence[Cell], source: Source) -> None:
    """Raise InputError for a measurement that no trial of the study makes."""
    measured = _measured(cells)
    wanted: list[tuple[KeyPath, str]] = [
        (("table", "columns", index, "metric"), column.metric) for index, column in enumerate(table.columns)
    ]
    if table.pick is not None:
        key = "highest" if table.pick.lowest is None else "lowest"
        wanted.append((("table", "pick", key), table.pick.metric))
    for path, metric in wanted:
        if metric not in measured:
            task = " and ".join(dict.fromkeys(cell.trial.task for cell in cells))
            raise source.error(
                path, f"trials of task {task} do not measure it; expected one of {', '.join(measured)}", value=metric
            )


def _measured(cells: Sequence[Cell]) -> list[str]:
    tasks = dict.fromkeys(cell.trial.task for cell in cells)
    return [name for task in tasks for name in CATALOGUE.tasks[task].metric_names]


def _values_tried(document: Document) -> dict[str, dict[str, list[Any]]]:
    """Return the values of each field that each arm tries."""
    tried = {}
    for arm, given in document.arms.items():
        written = {
            name: values if _is_list(name, values) else [values]
            for name, values in {**document.trial, **document.grid, **given}.items()
        }
        tried[arm] = {**_defaults_among(written), **written}
    return tried


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


def _check_settings(table: Table, cells: Iterable[Cell], source: Source) -> None:
    """Raise InputError for an arm of which a cell of the table could show several settings."""
    settings: dict[tuple[Any, ...], dict[str, Any]] = {}
    for cell in cells:
        values = cell.trial.flat()
        setting = {name: value for name, value in values.items() if name not in CATALOGUE.seeds}
        key = tuple(cell.arm if name == "arm" else repr(values[name]) for name in table.keys)
        first = settings.setdefault(key, setting)
        if first != setting:
            name = next(name for name in setting if first[name] != setting[name])
            raise source.error(
                ("arms", cell.arm),
                f"has {name} {first[name]} and {setting[name]} in one cell of the table; expected one of them, {name}"
                " among table.rows or across, or table.pick to choose",
            )


def _check_published(at: KeyPath, key: str, value: Any, source: Source, arms: Sequence[str]) -> None:
    path = (*at, key)
    if key == "arm":
        if not isinstance(value, str) or value not in arms:
            raise source.error(path, f"expected an arm of the study{nearest(value, arms)}", value=value)
    elif key in CATALOGUE.metrics:
        limit = CATALOGUE.metrics[key].unit.highest
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= (limit or math.inf):
            expected = "expected a number of at least 0" if limit is None else "expected a number in percent"
            raise source.error(path, expected, value=value)
    elif key in CATALOGUE.fields:
        try:
            check_field(key, value)
        except ValidationError as error:
            raise explain(error, source, at, ()) from None
    else:
        known = (*CATALOGUE.fields, "arm", *CATALOGUE.metrics)
        raise source.error(path, f"unknown key; expected a field of a trial, arm or a measurement{nearest(key, known)}")


def _expand(document: Document, source: Source) -> Iterable[Cell]:
    total = 0
    for arm, given in document.arms.items():
        axes = {**_axes(document.grid, ("grid",), source), **_axes(given, ("arms", arm), source)}
        size = 1
        for values, _ in axes.values():
            size *= len(values)
        total += size
        if total > MAX_TRIALS:
            raise source.error(("arms", arm), f"the study expands to more than {MAX_TRIALS:,} trials")
        settings = tuple(name for name in given if name != "method")
        paths = {name: path for name, (_, path) in axes.items()}
        for combination in itertools.product(*(values for values, _ in axes.values())):
            chosen = dict(zip(axes, combination, strict=True))
            yield Cell(arm, _trial(document, source, arm, chosen, paths), settings)


def _axes(fields: Mapping[str, Any], at: KeyPath, source: Source) -> dict[str, tuple[list[Any], KeyPath]]:
    """Return each key's alternatives, and where they were written."""
    axes = {}
    for name, values in fields.items():
        path = (*at, name)
        if not _is_list(name, values):
            axes[name] = ([values], path)
            continue
        if not values:
            raise source.error(path, "expands to nothing; expected at least one value", value=values)
        seen = set()
        for index, value in enumerate(values):
            same = (isinstance(value, bool), value if isinstance(value, Hashable) else repr(value))
            if same in seen:
                raise source.error((*path, index), "the value stands here twice; expected it once", value=value)
            seen.add(same)
        axes[name] = (list(values), path)
    return axes


def _is_list(name: str, values: Any) -> bool:
    """Return whether ``values`` are alternatives rather than one value, which of some fields is a list itself."""
    if not isinstance(values, list):
        return False
    field = CATALOGUE.fields.get(name)
    return field is None or not field.is_list or any(isinstance(value, list) for value in values)


def _trial(
    document: Document, source: Source, arm: str, chosen: Mapping[str, Any], paths: Mapping[str, KeyPath]
) -> Trial:
    try:
        return Trial(**{**document.trial, **chosen})
    except ValidationError as error:
        name = str(next(iter(choose_finding(error)["loc"]), ""))
        if name in paths:
            at = paths[name][:-1]
        elif name in document.trial:
            at = ("trial",)
        else:
            at = ("arms", arm)
        raise explain(error, source, at, tuple(CATALOGUE.fields)) from None
