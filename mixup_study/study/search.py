"""A search for the best setting of an arm: what it tries, in which order, and which setting it finds.

Whatever trains, and whatever finished first: the n-th proposal is a function of the search and of the results of the
proposals 0 … n - window.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from bisect import insort
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import nearest
from mixup_study.study.document import Document, SearchOptions
from mixup_study.study.expand import Axes, Cell, Combination, Composer, list_settings
from mixup_study.study.sampling import Tried, sample
from mixup_study.study.source import KeyPath, Source
from mixup_study.study.space import Distribution, Values
from mixup_study.study.trial import Trial

Results = Mapping[str, float | None]
"""By trial_id, what trials that have ended measured of what is minimised; None of one that failed."""
Pauses = Mapping[str, Mapping[int, float]]
"""By trial_id and epoch, the same of trials after the epochs at which they pause, as far as they have trained."""


@dataclass(frozen=True, eq=False)
class Search:
    """The search for the best setting of an arm, under one combination of the grid's other fields."""

    arm: str
    fields: Mapping[str, Any]
    """What every trial of it has, but for the fields of ``space`` and the seeds."""
    seeds: tuple[Mapping[str, Any], ...]
    """The values of the grid's seeds, for each trial of a proposal."""
    settings: tuple[str, ...]
    """The fields that tables show as the setting."""
    implied: tuple[str, ...]
    space: Mapping[str, Distribution]
    first: tuple[Values, ...]
    options: SearchOptions

    @cached_property
    def search_id(self) -> str:
        """Return 16 hexadecimal digits that name the search by all that its proposals depend on.

        How many there are is not among it, so that a longer search goes on from a shorter one.
        """
        options = self.options.model_dump(include={"sampler", "seed", "window", "minimise", "stop"}, exclude_none=True)
        space = {name: distribution.model_dump(exclude_none=True) for name, distribution in self.space.items()}
        trials = [cell.trial.trial_id for cell in self.list_cells(self._lowest)]
        content = [options, space, [dict(values) for values in self.first], trials]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def example(self) -> Cell:
        """Return a cell of the search, of a setting at the edge of its space."""
        return self._compose(self._lowest, self.seeds[0])

    @property
    def _lowest(self) -> Values:
        return {name: distribution.extremes[0] for name, distribution in self.space.items()}

    def list_cells(self, values: Values) -> list[Cell]:
        """Return the cells that try a setting, one for each of the grid's seeds."""
        return [self._compose(values, seeds) for seeds in self.seeds]

    def list_confirmation(self, values: Values) -> list[Cell]:
        """Return the cells whose trials the table shows of the best setting."""
        confirm = self.options.confirm
        if not confirm:
            return self.list_cells(values)
        whole = {"validation": 0.0} if "validation" in self._compose(values, {}).trial.components.fields else {}
        combinations = (dict(zip(confirm, seeds, strict=True)) for seeds in itertools.product(*confirm.values()))
        return [self._compose({**values, **whole}, seeds) for seeds in combinations]

    def list_sought(self) -> list[Cell]:
        """Return the cells that stand in the table until the best setting is found."""
        return [replace(cell, sought_by=self.search_id) for cell in self.list_confirmation(self._lowest)]

    @property
    def confirming(self) -> int:
        """Return how many trials confirm the best setting, beside those that found it."""
        return math.prod(map(len, self.options.confirm.values())) if self.options.confirm else 0

    def _compose(self, values: Values, seeds: Mapping[str, Any]) -> Cell:
        return Cell(self.arm, Trial(**{**self.fields, **values, **seeds}), self.settings, self.implied)

    @property
    def worst(self) -> float:
        """Return what a failed trial counts as."""
        unit = CATALOGUE.metrics[self.options.minimise].unit
        return math.inf if unit.highest is None else unit.highest / unit.scale


class SearchProgress:
    """How far a search is: its proposals so far, and what their trials measured.

    With successive halving, proposal n goes on after a pause where it is among the best ``keep`` of the proposals
    0 … n that have come to it; so it waits for those, and for no others.
    """

    def __init__(self, search: Search, recorded: Mapping[int, Values], results: Results, pauses: Pauses) -> None:
        """Take up the proposals ``recorded`` by their numbers, up to the first that is missing.

        ``results`` and ``pauses`` may go on growing; what they hold is never taken back.
        """
        self.search = search
        self.proposals: list[Values] = []
        self._recorded = recorded
        self._results = results
        self._pauses = pauses
        self._ids: list[list[str]] = []
        self._goes_on: list[dict[int, bool]] = [{} for _ in search.options.pauses]
        """For each pause, by number, whether a proposal that has come to it goes on."""
        self._ranked: list[list[tuple[float, int]]] = [[] for _ in search.options.pauses]
        """For each pause, results and numbers of the proposals that have come to it, the best first."""
        self._decided = [0 for _ in search.options.pauses]
        """For each pause, how many proposals are decided there."""
        self._adopt_recorded()

    def _adopt_recorded(self) -> None:
        while (number := len(self.proposals)) in self._recorded and number < self.search.options.proposals:
            self._add(self._recorded[number])

    def _add(self, values: Values) -> None:
        self.proposals.append(values)
        self._ids.append([cell.trial.trial_id for cell in self.search.list_cells(values)])

    def propose(self) -> int | None:
        """Add the next proposal and return its number; None while it waits for results, and after the last.

        Those after it that were recorded are taken up again.
        """
        search, number = self.search, len(self.proposals)
        known = max(0, number - search.options.window + 1)
        if number >= search.options.proposals or any(self.result(earlier) is None for earlier in range(known)):
            return None
        if number < len(search.first):
            values: Values = search.first[number]
        else:
            results = [
                Tried(self.proposals[earlier], self._known(earlier), self.stopped_after(earlier))
                for earlier in range(known)
            ]
            sampler, seed = search.options.sampler, search.options.seed
            values = sample(sampler, seed, search.space, results, self.proposals[known:])
        self._add(values)
        self._adopt_recorded()
        return number

    def list_trial_ids(self, number: int) -> Sequence[str]:
        """Return the trial_id of each trial of a proposal."""
        return self._ids[number]

    def decide(self) -> None:
        """Take note of which proposals go on after a pause, by the results so far."""
        for place, epoch in enumerate(self.search.options.pauses):
            while (number := self._decided[place]) < len(self.proposals):
                if place and number not in self._goes_on[place - 1] and self._decided[place - 1] <= number:
                    break
                if not place or self._goes_on[place - 1].get(number, False):
                    result = self._result_at(number, epoch)
                    if result is None:
                        break
                    self._goes_on[place][number] = self._rank(place, number, result)
                self._decided[place] += 1

    def _rank(self, place: int, number: int, result: float) -> bool:
        """Return whether a proposal is among the best at a pause; one that is proposed again fares as the first did."""
        twin = self.proposals.index(self.proposals[number])
        if twin < number:
            return self._goes_on[place].get(twin, False)
        ranked, stop = self._ranked[place], self.search.options.stop
        assert stop is not None
        insort(ranked, (result, number))
        return ranked.index((result, number)) < math.ceil(stop.keep * len(ranked) - 1e-9)

    def _result_at(self, number: int, epoch: int) -> float | None:
        """Return the mean of what a proposal's trials measured after an epoch; None while one has not come to it."""
        values = []
        for trial_id in self._ids[number]:
            if self._results.get(trial_id, 0.0) is None:
                values.append(self.search.worst)
            elif epoch in self._pauses.get(trial_id, {}):
                values.append(self._pauses[trial_id][epoch])
            else:
                return None
        return math.fsum(values) / len(values)

    def next_pause(self, number: int) -> int | None:
        """Return the first epoch after which it is not decided that a proposal goes on; None where all are."""
        for place, epoch in enumerate(self.search.options.pauses):
            if not self._goes_on[place].get(number, False):
                return epoch
        return None

    def stopped_after(self, number: int) -> int | None:
        """Return the epoch after which a proposal does not go on; None of one that does, or may."""
        for place, epoch in enumerate(self.search.options.pauses):
            if not self._goes_on[place].get(number, True):
                return epoch
        return None

    def result(self, number: int) -> float | None:
        """Return the mean of what a proposal's trials measured, where it stopped or at the end; None before that."""
        self.decide()
        stopped = self.stopped_after(number)
        if stopped is not None:
            return self._result_at(number, stopped)
        ids = self._ids[number]
        if any(trial_id not in self._results for trial_id in ids):
            return None
        values = [self._results[trial_id] for trial_id in ids]
        return math.fsum(self.search.worst if value is None else value for value in values) / len(values)

    def _known(self, number: int) -> float:
        result = self.result(number)
        assert result is not None
        return result

    def has_failed(self, number: int) -> bool:
        """Return whether every trial of a proposal failed."""
        return all(trial_id in self._results and self._results[trial_id] is None for trial_id in self._ids[number])

    @property
    def ended(self) -> int:
        """Return how many proposals have ended."""
        return sum(self.result(number) is not None for number in range(len(self.proposals)))

    def best(self) -> int | None:
        """Return the number of the best proposal that was trained to its end, the first of equals; None without."""
        ended = [
            (result, number)
            for number in range(len(self.proposals))
            if (result := self.result(number)) is not None and self.stopped_after(number) is None
        ]
        return min(ended)[1] if ended else None

    def winner(self) -> int | None:
        """Return the number of the best of all proposals; None while one of them has not ended."""
        return self.best() if self.ended == self.search.options.proposals else None

    @property
    def to_come(self) -> int:
        """Return how many trials are still to be proposed, or to confirm what is found, if none comes twice."""
        left = self.search.options.proposals - len(self.proposals)
        return left * len(self.search.seeds) + (self.search.confirming if self.winner() is None else 0)


def list_searches(document: Document, source: Source) -> Iterator[Search]:
    """Yield the searches of a study in the order of its arms. Raises InputError for what makes no trial."""
    options = document.search
    if options is None:
        return
    for arm in options.space:
        if arm not in document.arms:
            raise source.error(("search", "space", arm), f"expected an arm{nearest(arm, document.arms)}", value=arm)
    _check_confirm(options, source)
    composer = Composer(document, source)
    for arm, own in document.arms.items():
        if arm not in options.space:
            continue
        space = options.space[arm]
        if not space:
            raise source.error(("search", "space", arm), "expected a field to search", value=space)
        for name in space:
            at: KeyPath = ("search", "space", arm, name)
            if name not in CATALOGUE.fields:
                known = nearest(name, CATALOGUE.fields)
                raise source.error(at, f"unknown key; expected a field of a trial{known}")
            if name in own:
                raise source.error(("arms", arm, name), "search.space has it too; expected it in one place")
            traits = CATALOGUE.fields[name].traits
            if traits.seed or traits.needed or name in CATALOGUE.kinds:
                raise source.error(at, "expected a hyper-parameter", value=name)
        lowest = {name: distribution.extremes[0] for name, distribution in space.items()}
        first = tuple(_list_first(options, arm, source))
        groups: dict[str, list[Combination]] = {}
        for combination in Axes(document, source, arm, {**own, **lowest}).combine():
            _check_trials(composer, arm, options, first, combination, source)
            fixed, _ = _split(combination, space)
            groups.setdefault(json.dumps(fixed, sort_keys=True, default=str), []).append(combination)
        for combinations in groups.values():
            fixed, _ = _split(combinations[0], space)
            search = Search(
                arm,
                {**document.trial, **fixed},
                tuple(_split(combination, space)[1] for combination in combinations),
                (*list_settings(own), *space),
                combinations[0].implied,
                space,
                first,
                options,
            )
            _check_measured(search, source)
            yield search


def _split(combination: Combination, space: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values of a combination that all trials of a search share, and those of the seeds."""
    values = {name: value for name, value in combination.values.items() if name not in space}
    seeds = {name: values.pop(name) for name in CATALOGUE.seeds if name in values}
    return values, seeds


def _check_trials(
    composer: Composer,
    arm: str,
    options: SearchOptions,
    first: Sequence[Values],
    combination: Combination,
    source: Source,
) -> None:
    """Raise InputError unless trials may have both bounds of each field, or every choice, and what is confirmed."""
    space = options.space[arm]
    at: KeyPath = ("search", "space", arm)
    settings = [{name: extreme} for name, distribution in space.items() for extreme in distribution.extremes]
    places = {**combination.places, **{name: (*at, name) for name in space}}
    for setting in (*settings, *first):
        trial = composer.compose_trial(arm, {**combination.values, **setting}, places)
        if trial.evaluated is not None:
            raise source.error(at, f"task {trial.task} evaluates; expected an arm whose trials train")
    if options.confirm:
        confirmed: dict[str, Any] = {name: seeds[0] for name, seeds in options.confirm.items()}
        if "validation" in trial.components.fields:
            confirmed["validation"] = 0.0
        places |= {name: ("search", "confirm", name) for name in options.confirm}
        composer.compose_trial(arm, {**combination.values, **confirmed}, places)


def _check_confirm(options: SearchOptions, source: Source) -> None:
    for name, seeds in options.confirm.items():
        at: KeyPath = ("search", "confirm", name)
        if name not in CATALOGUE.seeds:
            raise source.error(
                at, f"expected a seed, one of {', '.join(CATALOGUE.seeds)}{nearest(name, CATALOGUE.seeds)}"
            )
        if not seeds or len(set(seeds)) < len(seeds):
            raise source.error(at, "expected values, each once", value=seeds)


def _list_first(options: SearchOptions, arm: str, source: Source) -> Iterator[Values]:
    """Yield the settings that an arm tries first, each once. Raises InputError for one outside its space."""
    space = options.space[arm]
    known = {name for own in options.space.values() for name in own}
    seen: list[Values] = []
    for index, setting in enumerate(options.first):
        at: KeyPath = ("search", "first", index)
        for name in setting:
            if name not in known:
                raise source.error((*at, name), f"expected a field of search.space{nearest(name, known)}")
        for name, distribution in space.items():
            if name not in setting:
                raise source.error(at, f"expected a value of {name}, which {arm} searches")
            if not distribution.contains(setting[name]):
                raise source.error((*at, name), f"expected a value within the space of {arm}", value=setting[name])
        values = {name: setting[name] for name in space}
        if values not in seen and len(seen) < options.proposals:
            seen.append(values)
            yield values


def _check_measured(search: Search, source: Source) -> None:
    """Raise InputError for a metric that its trials do not measure, or should not be searched by."""
    at: KeyPath = ("search", "minimise")
    metric = search.options.minimise
    trial = search.example.trial
    measured = trial.components.task.metric_names
    if metric not in measured:
        raise source.error(
            at, f"trials of task {trial.task} do not measure it; expected one of {', '.join(measured)}", value=metric
        )
    if CATALOGUE.metrics[metric].better != "lower":
        raise source.error(at, "more of it is better; expected a measurement of which less is", value=metric)
    if search.options.uses_test_set and not search.options.on_test_set:
        raise source.error(
            at,
            "a setting picked by its test error makes that error too low; expected validation_error_last, or"
            " search.on_test_set: true",
            value=metric,
        )
    pauses = search.options.pauses
    if pauses:
        curves = [curve.name for curve in trial.components.task.curves]
        if search.options.curve not in curves:
            raise source.error(at, "it is not known before the last epoch; expected no search.stop", value=metric)
        rising = all(earlier < later for earlier, later in itertools.pairwise([0, *pauses, trial.trained_epochs]))
        if not rising:
            expected = f"expected epochs from 1 to {trial.trained_epochs - 1}, rising"
            raise source.error(("search", "stop", "after"), expected, value=list(pauses))
    dataset = trial.components.dataset
    own = dataset is not None and "validation" in dataset.provides
    if metric.startswith("validation_") and not own and not trial.validation:
        raise source.error(
            at, "nothing is held out to measure it on; expected trial.validation, as in 0.1", value=metric
        )
