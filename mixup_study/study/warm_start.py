"""Warm starts: what a search's sampler knows from the start, of trials of the same shape in other studies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError
from mixup_study.study.sampling import Observation
from mixup_study.study.search import Search
from mixup_study.study.search_progress import ReadMeasured, follow_search
from mixup_study.study.source import Source
from mixup_study.study.space import Values
from mixup_study.study.trial import Trial

if TYPE_CHECKING:
    from mixup_study.study.study import Study


@dataclass(frozen=True)
class Setting:
    """A setting that another study's grid tries."""

    values: Values
    trial_ids: tuple[str, ...]


@dataclass(frozen=True)
class WarmStart:
    """What another study tries of the shape of a search: settings of its grid, and searches."""

    study: str
    settings: tuple[Setting, ...]
    searches: tuple[Search, ...]

    @property
    def is_any(self) -> bool:
        """Return whether it tries anything of that shape."""
        return bool(self.settings or self.searches)

    @property
    def count(self) -> int:
        """Return how many settings it tries."""
        return len(self.settings) + sum(search.options.proposals for search in self.searches)

    @property
    def identity(self) -> list[Any]:
        """Return what decides about it, for the identity of the search that starts from it."""
        searches = [[search.search_id, search.options.proposals] for search in self.searches]
        return [[list(setting.trial_ids) for setting in self.settings], searches]


def find_warm_start(search: Search, study: Study) -> WarmStart:
    """Return what ``study`` tries of the shape of ``search``.

    A trial is of its shape where it differs in nothing but the fields of the space, which must be within it, and the
    seeds; another search, where its space has the same fields and its trials are.
    """
    settings: dict[tuple[Any, ...], tuple[Values, list[str]]] = {}
    for cell in study.cells:
        values = None if cell.placeholder_of is not None else _read_values(search, cell.trial)
        if values is not None and _is_within(search, values):
            trial_ids = settings.setdefault(tuple(values.values()), (values, []))[1]
            if cell.trial.trial_id not in trial_ids:
                trial_ids.append(cell.trial.trial_id)
    searches = (
        other
        for other in study.searches
        if other.space.keys() == search.space.keys()
        and other.options.metrics == search.options.metrics
        and _read_values(search, other.example.trial) is not None
    )
    found = tuple(Setting(values, tuple(trial_ids)) for values, trial_ids in settings.values())
    return WarmStart(study.name, found, tuple(searches))


def add_warm_starts(searches: Sequence[Search], studies: Sequence[Study], source: Source) -> Iterator[Search]:
    """Yield searches with what they start from. Raises InputError for a study that tries nothing of their shape."""
    starts = [[find_warm_start(search, study) for study in studies] for search in searches]
    for index, study in enumerate(studies):
        if not any(own[index].is_any for own in starts):
            raise source.error(
                ("search", "from", index),
                f"no trial of {study.name}, profile {study.profile}, is like those of the search in all but seeds and"
                " the fields of its space; expected a study that has such trials",
            )
    for search, own in zip(searches, starts, strict=True):
        yield replace(search, warm_starts=tuple(start for start in own if start.is_any))


def _read_values(search: Search, trial: Trial) -> dict[str, Any] | None:
    """Return what a trial has for the fields of a search's space; None of one of another shape."""
    if not search.space.keys() <= trial.components.fields:
        return None
    values = {name: getattr(trial, name) for name in search.space}
    seeds = {name: getattr(trial, name) for name in CATALOGUE.seeds if name in trial.components.fields}
    return values if search.compose(values, seeds).trial.trial_id == trial.trial_id else None


def _is_within(search: Search, values: Values) -> bool:
    return all(search.space[name].contains(value) for name, value in values.items())


@dataclass
class WarmStartReader:
    """Reads what searches start from out of the results."""

    recorded: Mapping[str, Mapping[int, Values]]
    """The proposals by their search's search_id and their number."""
    read: ReadMeasured

    def observe(self, search: Search) -> list[Observation]:
        """Return what the sampler of a search knows from the start, in the order of ``from``.

        Raises InputError where a trial, or a proposal, of one of these studies has not ended.
        """
        observations: list[Observation] = []
        for warm_start in search.warm_starts:
            observations += self._observe_settings(search, warm_start)
            for other in warm_start.searches:
                progress = follow_search(other, self.recorded.get(other.search_id, {}), self.read)
                if progress.ended < other.options.proposals:
                    raise _unfinished(warm_start, f"{progress.ended} of {other.options.proposals} proposals")
                observed = map(progress.observe, range(other.options.proposals))
                observations += (own for own in observed if _is_within(search, own.values))
        return observations

    def _observe_settings(self, search: Search, warm_start: WarmStart) -> Iterator[Observation]:
        ids = {trial_id for setting in warm_start.settings for trial_id in setting.trial_ids}
        results, _ = self.read(search, ids)
        if results.keys() < ids:
            raise _unfinished(warm_start, f"{len(results)} of {len(ids)} trials of the same shape")
        for setting in warm_start.settings:
            measured = search.average([results[trial_id] for trial_id in setting.trial_ids])
            yield search.observe(setting.values, measured)


def _unfinished(warm_start: WarmStart, ended: str) -> InputError:
    return InputError(
        f"search.from: {warm_start.study}: {ended} have ended; run that study first, into the same results"
    )
