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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.document import SearchOptions
from mixup_study.study.expand import Cell
from mixup_study.study.sampling import Observation, sample
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

    def list_placeholders(self) -> list[Cell]:
        """Return the cells that stand in the table until the best setting is found."""
        return [replace(cell, placeholder_of=self.search_id) for cell in self.list_confirmation(self._lowest)]

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
                Observation(self.proposals[earlier], self._known(earlier), self.stopped_after(earlier))
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
