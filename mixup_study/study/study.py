"""A study: which trials to run, how large a slot is, and which table to draw from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError, nearest
from mixup_study.study.claims import Claim, check_claims
from mixup_study.study.data_files import DataFiles
from mixup_study.study.document import PROFILE_KEYS, Document, Figure, Paper, Resources, Table, document_of
from mixup_study.study.expand import Cell, expand, list_tried
from mixup_study.study.explain import explain
from mixup_study.study.search import Search
from mixup_study.study.searches import list_searches
from mixup_study.study.source import EXTENDS, KeyPath, Source, read_study, set_override
from mixup_study.study.trial import Trial, check_field, comparable
from mixup_study.study.variables import list_variables, put_variables
from mixup_study.study.warm_start import add_warm_starts

QUOTED = "quoted"
"""Key of a published row whose numbers the paper quotes from others: from whom."""


@dataclass(frozen=True)
class Study:
    """A study file with one profile and all overrides applied, expanded to its trials."""

    name: str
    profile: str
    paper: Paper | None
    data: Path
    """Folder of the data sets."""
    resources: Resources
    retries: int
    """How often a trial that raised, or whose process died, is trained again, each time by a fresh process."""
    checkpoint_seconds: float
    """A trial saves a checkpoint where the last is at least so old, also within an epoch that may be long."""
    keep_models: bool
    """Whether every trial leaves its model, not only those that others need."""
    table: Table
    cells: tuple[Cell, ...]
    overrides: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    claims: tuple[Claim, ...] = ()
    published: tuple[Mapping[str, Any], ...] = field(default=())
    """The paper's rows: values of the table's row fields and of the setting chosen, and measurements in percent.

    One whose value of a row field is None is of all rows that have no row of their own.
    """
    as_in_paper: bool = False
    """Whether every trial is one that the paper describes, but for its seeds and how the arithmetic is done."""
    searches: tuple[Search, ...] = ()
    proposed: tuple[Cell, ...] = ()
    """The cells that searches have tried so far, as results have them, which the table does not show."""

    @cached_property
    def trials(self) -> dict[str, Trial]:
        """Return the distinct trials by trial_id, in the order of the file; arms may share one."""
        return {cell.trial.trial_id: cell.trial for cell in self.every_cell}

    @property
    def shows_settings(self) -> bool:
        """Return whether the table says which setting of an arm it shows."""
        return self.table.pick is not None or bool(self.searches)

    @cached_property
    def every_cell(self) -> tuple[Cell, ...]:
        """Return the cells that the table shows, and those that searches have tried, but for placeholders."""
        return (*(cell for cell in self.cells if cell.placeholder_of is None), *self.proposed)


@dataclass(frozen=True)
class StudyFile:
    """A study file as written, before a profile is chosen."""

    path: Path
    overrides: tuple[str, ...] = ()
    loading: tuple[Path, ...] = ()
    """The files of the studies whose searches start from this one."""
    files: DataFiles = field(default_factory=DataFiles, compare=False)
    """What is known of the user's own data files."""

    @cached_property
    def _source(self) -> Source:
        """Return the file as it stands, merged over what it extends; what changes it works on a copy."""
        return read_study(self.path)

    @cached_property
    def _variables(self) -> set[str]:
        return list_variables(self._source)

    @cached_property
    def _base(self) -> Source:
        """Return the file as it stands, with the values of its variables."""
        source = deepcopy(self._source)
        put_variables(source, self._variables)
        return source

    @cached_property
    def _document(self) -> Document:
        return document_of(self._base)

    @property
    def profiles(self) -> tuple[str, ...]:
        """Return the names of the profiles; the first is the file as it stands, without any overlay."""
        return (self.base_profile, *self._document.profiles)

    @property
    def base_profile(self) -> str:
        """Return "paper" for a file that is what the paper ran, else "full": the file as it stands."""
        return "paper" if self._is_exact else "full"

    @property
    def _is_exact(self) -> bool:
        return self._document.paper is not None and self._document.paper.exact

    @cached_property
    def _paper_settings(self) -> set[tuple[Any, ...]]:
        """Return the settings of the file as it stands, which the paper describes; none of one not to be run so."""
        try:
            return _settings(expand(self._document, self._base, self._find_files(self._document, self._base)))
        except InputError:
            return set()

    def _find_files(self, document: Document, source: Source) -> DataFiles:
        """Return what is known of the data files, in the folder that the command names, or else the study."""
        named = None if document.data is None else source.folder(("data",)) / Path(document.data).expanduser()
        return self.files.within(named)

    def load(self, profile: str) -> Study:
        """Return the study under ``profile``, with the overrides applied last; the same one each time.

        Raises InputError, naming file, line, key and value, for anything that cannot be run.
        """
        if profile not in self._loaded:
            self._loaded[profile] = self._load(profile)
        return self._loaded[profile]

    @cached_property
    def _loaded(self) -> dict[str, Study]:
        return {}

    def _load(self, profile: str) -> Study:
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
            if assignment.lstrip().startswith(EXTENDS):
                raise InputError(f"--set {assignment}: files are merged before --set; expected a key of the study")
            set_override(source, assignment)
        put_variables(source, self._variables)
        document = document_of(source)
        _check_table(document, source, arms)
        files = self._find_files(document, source)
        searches = tuple(list_searches(document, source, files))
        if document.search is not None and document.search.warm_start:
            earlier = self._load_earlier(document.search.warm_start, profile, source)
            searches = tuple(add_warm_starts(searches, earlier, source))
        placeholders = [cell for search in searches for cell in search.list_placeholders()]
        order = list(document.arms)
        cells = tuple(sorted((*expand(document, source, files), *placeholders), key=lambda cell: order.index(cell.arm)))
        _check_measured(document.table, cells, source)
        _check_settings(document.table, cells if document.table.pick is None else placeholders, source)
        tried = (list_tried(self._document, self._base), list_tried(document, source))
        check_claims(document.claims, source, tried, _measured(cells), document.table.metric)
        return Study(
            name=document.name,
            profile=profile,
            paper=document.paper,
            data=files.path,
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
            as_in_paper=self._is_exact and not searches and _settings(cells) <= self._paper_settings,
            searches=searches,
        )

    def _load_earlier(self, names: Sequence[str], profile: str, source: Source) -> list[Study]:
        """Return the studies that the searches start from, under the same profile where they have it."""
        loading = (*self.loading, self.path.resolve())
        studies = []
        for index, name in enumerate(names):
            place = ("search", "from", index)
            path = source.find_study(place, name, source.folder(place))
            if path.resolve() in loading:
                raise source.error(place, "it starts from this study itself", value=name)
            file = StudyFile(path, loading=loading, files=self.files)
            studies.append(file.load(profile if profile in file.profiles else file.base_profile))
        return studies


def _settings(cells: Iterable[Cell]) -> set[tuple[Any, ...]]:
    """Return what the paper might say of the trials: all fields but seeds and how the arithmetic is done."""
    return {cell.trial.setting(implementation=False) for cell in cells}


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
            if key not in document.table.keys or value is not None:
                _check_published(("published", index), key, value, source, arms)
        for key in document.table.keys:
            if key not in row:
                expected = "expected the row it belongs to, or null for all"
                raise source.error(("published", index, key), f"missing; {expected}")
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


def _check_settings(table: Table, cells: Iterable[Cell], source: Source) -> None:
    """Raise InputError for an arm of which a cell of the table could show several settings."""
    settings: dict[tuple[Any, ...], tuple[tuple[str, Any], ...]] = {}
    for cell in cells:
        setting = cell.trial.setting()
        key = tuple(cell.arm if name == "arm" else repr(getattr(cell.trial, name)) for name in table.keys)
        first = settings.setdefault(key, setting)
        if first != setting:
            name, *values = next(
                (name, one, other) for (name, one), (_, other) in zip(first, setting, strict=True) if one != other
            )
            one, other = (list(value) if isinstance(value, tuple) else value for value in values)
            raise source.error(
                ("arms", cell.arm),
                f"has {name} {one} and {other} in one cell of the table; expected one of them, {name} among table.rows"
                " or across, or table.pick to choose",
            )


def _check_published(at: KeyPath, key: str, value: Any, source: Source, arms: Sequence[str]) -> None:
    path = (*at, key)
    if key == "arm":
        if not isinstance(value, str) or value not in arms:
            raise source.error(path, f"expected an arm of the study{nearest(value, arms)}", value=value)
    elif key == QUOTED:
        if not isinstance(value, str) or not value:
            raise source.error(path, "expected whom the paper quotes", value=value)
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
        known = (*CATALOGUE.fields, "arm", *CATALOGUE.metrics, QUOTED)
        raise source.error(path, f"unknown key; expected a field of a trial, arm or a measurement{nearest(key, known)}")
