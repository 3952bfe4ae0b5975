"""How far a search is: what it proposed, which of that it gave up early, and which setting it has found.

Whatever trains, and whatever finished first: the n-th proposal is a function of the search and of the results of the
proposals 0 … n - window.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence

from mixup_study.study.expand import Cell
from mixup_study.study.sampling import Observation, sample
from mixup_study.study.search import Search
from mixup_study.study.space import Values
from mixup_study.study.stopping import Halving, Race

Results = Mapping[str, tuple[float, ...] | None]
"""By trial_id, what trials that have ended measured of the metrics that decide; None of one that failed."""
Pauses = Mapping[str, Mapping[int, float]]
"""By trial_id and epoch, what is minimised of trials after the epochs at which they pause, as far as they trained."""
ReadMeasured = Callable[[Search, Collection[str]], tuple[Results, Pauses]]
"""Given a search and trial_ids, what those trials have measured that decides, at their end and at the pauses."""


def follow_search(search: Search, recorded: Mapping[int, Values], read: ReadMeasured) -> SearchProgress:
    """Return how far a search is by its proposals ``recorded`` and by what ``read`` says of their trials."""
    results: dict[str, tuple[float, ...] | None] = {}
    pauses: dict[str, Mapping[int, float]] = {}
    progress = SearchProgress(search, recorded, results, pauses)
    ids = [trial_id for number in range(len(progress.proposals)) for trial_id in progress.list_trial_ids(number)]
    measured = read(search, ids)
    results |= measured[0]
    pauses |= measured[1]
    return progress


class SearchProgress:
    """How far a search is: its proposals so far, and what their trials measured."""

    def __init__(
        self,
        search: Search,
        recorded: Mapping[int, Values],
        results: Results,
        pauses: Pauses,
        known_before: Sequence[Observation] = (),
    ) -> None:
        """Take up the proposals ``recorded`` by their numbers, up to the first that is missing.

        ``results`` and ``pauses`` may go on growing; what they hold is never taken back. ``known_before`` is what the
        sampler knows from other studies.
        """
        self.search = search
        self.proposals: list[Values] = []
        self._recorded = recorded
        self._results = results
        self._pauses = pauses
        self._known_before = known_before
        self._ids: list[list[str]] = []
        self._twins: list[int] = []
        """By number, the first proposal of the same values."""
        self._first_of: dict[str, int] = {}
        self._best_known: dict[int, list[float]] = {}
        options, find_twin = search.options, self._twins.__getitem__
        self._halving = None if options.stop is None else Halving(options.stop, self._mean_at, find_twin)
        self._race: Race | None = None
        if options.race is not None:
            self._race = Race(options.race, len(search.seeds), self._list_results, self._find_best_known, find_twin)
        self._adopt_recorded()

    def _adopt_recorded(self) -> None:
        while (number := len(self.proposals)) in self._recorded and number < self.search.options.proposals:
            self._add(self._recorded[number])

    def _add(self, values: Values) -> None:
        key = json.dumps(dict(values), sort_keys=True)
        self._twins.append(self._first_of.setdefault(key, len(self.proposals)))
        self.proposals.append(values)
        self._ids.append([cell.trial.trial_id for cell in self.search.list_cells(values)])

    def propose(self) -> int | None:
        """Add the next proposal and return its number; None while it waits for results, and after the last.

        Those after it that were recorded are taken up again.
        """
        search, number = self.search, len(self.proposals)
        known = self._count_known(number)
        if number >= search.options.proposals or any(self.measured(earlier) is None for earlier in range(known)):
            return None
        if number < len(search.first):
            values: Values = search.first[number]
        else:
            observations = [*self._known_before, *map(self.observe, range(known))]
            sampler, seed = search.options.sampler, search.options.seed
            values = sample(sampler, seed, search.space, observations, self.proposals[known:])
        self._add(values)
        self._adopt_recorded()
        return number

    def _count_known(self, number: int) -> int:
        """Return how many of the first proposals a proposal knows the results of."""
        return max(0, number - self.search.options.window + 1)

    def list_trial_ids(self, number: int) -> Sequence[str]:
        """Return the trial_id of each trial of a proposal."""
        return self._ids[number]

    def list_cells(self) -> list[Cell]:
        """Return the cells of the proposals so far, without the seeds that one that lost a race did not train."""
        self.decide()
        return [
            cell
            for number, values in enumerate(self.proposals)
            for cell in self.search.list_cells(values)[: self.count_seeds(number)]
        ]

    def count_seeds(self, number: int) -> int:
        """Return how many of its seeds a proposal trains, if it loses no race from now on."""
        stopped = None if self._race is None else self._race.stopped_after(number)
        return len(self.search.seeds) if stopped is None else stopped

    def decide(self) -> None:
        """Take note of which proposals go on, by the results so far."""
        for rule in (self._halving, self._race):
            if rule is not None:
                rule.decide(len(self.proposals))

    def next_pause(self, number: int) -> int | None:
        """Return the epoch until which a proposal trains, as far as is decided; None until its last."""
        return None if self._halving is None else self._halving.next_pause(number)

    def seeds_wanted(self, number: int) -> int:
        """Return how many of its seeds a proposal trains, as far as is decided."""
        return len(self.search.seeds) if self._race is None else self._race.seeds_wanted(number)

    def stopped_after(self, number: int) -> int | None:
        """Return the epoch, of a race the number of seeds, after which a proposal does not go on; None of others."""
        rule = self._halving or self._race
        return None if rule is None else rule.stopped_after(number)

    def _mean_at(self, number: int, epoch: int) -> float | None:
        """Return the mean of what a proposal's trials measured after an epoch; None while one has not come to it."""
        values = []
        for trial_id in self._ids[number]:
            if self._results.get(trial_id, ()) is None:
                values.append(self.search.worst[0])
            elif epoch in self._pauses.get(trial_id, {}):
                values.append(self._pauses[trial_id][epoch])
            else:
                return None
        return math.fsum(values) / len(values)

    def _list_results(self, number: int, seeds: int) -> list[float] | None:
        """Return what the first trials of a proposal measured; None while one of them has not ended."""
        results = []
        for trial_id in self._ids[number][:seeds]:
            if trial_id not in self._results:
                return None
            results.append((self._results[trial_id] or self.search.worst)[0])
        return results

    def _find_best_known(self, number: int) -> list[float] | None:
        """Return the results of every seed of the best of the proposals that a proposal knows; empty without one.

        None while one of them has not ended.
        """
        if number not in self._best_known:
            known = range(self._count_known(number))
            if any(self.measured(earlier, decided=True) is None for earlier in known):
                return None
            best = self._find_best(known)
            results = None if best is None else self._list_results(best, len(self.search.seeds))
            self._best_known[number] = results or []
        return self._best_known[number]

    def measured(self, number: int, *, decided: bool = False) -> tuple[float, ...] | None:
        """Return the means of what a proposal's trials measured, of each metric that decides; None before that.

        Of one that was stopped by halving it is what is minimised, where it stopped; of one that lost a race, the
        means over the seeds until then. ``decided`` says that ``decide`` was called since the last result.
        """
        if not decided:
            self.decide()
        stopped = self.stopped_after(number)
        if stopped is not None and self._halving is not None:
            mean = self._mean_at(number, stopped)
            return None if mean is None else (mean,)
        ids = self._ids[number][: self.count_seeds(number)]
        if any(trial_id not in self._results for trial_id in ids):
            return None
        return self.search.average([self._results[trial_id] for trial_id in ids])

    def result(self, number: int) -> float | None:
        """Return the mean of what the best setting is picked by, over a proposal's trials; None before they end."""
        measured = self.measured(number)
        return None if measured is None else measured[0]

    def observe(self, number: int) -> Observation:
        """Return a proposal that has ended as the sampler is told of it."""
        measured = self.measured(number)
        assert measured is not None
        return self.search.observe(self.proposals[number], measured, self.stopped_after(number))

    def keeps_bounds(self, number: int) -> bool:
        """Return whether a proposal that has ended is within all bounds."""
        return all(excess <= 0 for excess in self.observe(number).excesses.values())

    def has_failed(self, number: int) -> bool:
        """Return whether every trial of a proposal failed."""
        trained = self._ids[number][: self.count_seeds(number)]
        return all(self._results.get(trial_id, ()) is None for trial_id in trained)

    @property
    def ended(self) -> int:
        """Return how many proposals have ended."""
        return sum(self.measured(number) is not None for number in range(len(self.proposals)))

    def best(self) -> int | None:
        """Return the number of the best proposal that was trained to its end, the first of equals; None without.

        Where none is within all bounds, it is the one that is above them by least. What is minimised counts in its
        order: the second decides only where the first is the same.
        """
        self.decide()
        return self._find_best(range(len(self.proposals)))

    def _find_best(self, numbers: Sequence[int]) -> int | None:
        ranked = []
        for number in numbers:
            measured = self.measured(number, decided=True)
            if measured is not None and self.stopped_after(number) is None:
                observed = self.search.observe(self.proposals[number], measured)
                excess = math.fsum(max(0.0, own) for own in observed.excesses.values())
                ranked.append((excess, observed.objectives, number))
        return min(ranked)[2] if ranked else None

    def list_front(self) -> list[int]:
        """Return the numbers of the Pareto front: the proposals within all bounds that no other is better than.

        Another one is better where it is as low in all that is minimised, and lower in some of it. They stand in the
        order of what the best setting is picked by; of proposals that measured the same, the first.
        """
        whole: dict[tuple[float, ...], int] = {}
        for number in range(len(self.proposals)):
            if self.measured(number) is not None and self.stopped_after(number) is None and self.keeps_bounds(number):
                whole.setdefault(self.observe(number).objectives, number)
        front = [
            objectives
            for objectives in whole
            if not any(
                other != objectives and all(theirs <= own for theirs, own in zip(other, objectives, strict=True))
                for other in whole
            )
        ]
        return [whole[objectives] for objectives in sorted(front)]

    def winner(self) -> int | None:
        """Return the number of the best of all proposals; None while one of them has not ended."""
        return self.best() if self.ended == self.search.options.proposals else None

    @property
    def to_come(self) -> int:
        """Return how many trials are still to be proposed, or to confirm what is found, if none comes twice."""
        left = self.search.options.proposals - len(self.proposals)
        return left * len(self.search.seeds) + (self.search.confirming if self.winner() is None else 0)
