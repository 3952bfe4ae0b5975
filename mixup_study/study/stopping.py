"""Which proposals of a search end early: by successive halving after some epochs, or by a race over the seeds."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Sequence

from mixup_study.study.document import RaceOptions, StopOptions


class Halving:
    """Successive halving: a proposal pauses after some epochs and goes on where it is among the best there.

    Proposal n goes on where it is among the best ``keep`` of the proposals 0 … n that have come to the pause; so it
    waits for those, and for no others.
    """

    def __init__(
        self,
        options: StopOptions,
        result_at: Callable[[int, int], float | None],
        find_twin: Callable[[int], int],
    ) -> None:
        """Compare what ``result_at`` says of a proposal after an epoch, None before that.

        ``find_twin`` returns the first proposal of the same values, which a later one fares as.
        """
        self._options = options
        self._result_at = result_at
        self._find_twin = find_twin
        self._goes_on: list[dict[int, bool]] = [{} for _ in options.after]
        """For each pause, by number, whether a proposal that has come to it goes on."""
        self._ranked: list[list[tuple[float, int]]] = [[] for _ in options.after]
        """For each pause, results and numbers of the proposals that have come to it, the best first."""
        self._decided = [0 for _ in options.after]
        """For each pause, how many proposals are decided there."""

    def decide(self, proposals: int) -> None:
        """Take note of which of so many proposals go on, by the results so far."""
        for place, epoch in enumerate(self._options.after):
            while (number := self._decided[place]) < proposals:
                if place and number not in self._goes_on[place - 1] and self._decided[place - 1] <= number:
                    break
                if not place or self._goes_on[place - 1].get(number, False):
                    result = self._result_at(number, epoch)
                    if result is None:
                        break
                    self._goes_on[place][number] = self._rank(place, number, result)
                self._decided[place] += 1

    def _rank(self, place: int, number: int, result: float) -> bool:
        """Return whether a proposal is among the best at a pause."""
        twin = self._find_twin(number)
        if twin < number:
            return self._goes_on[place].get(twin, False)
        ranked = self._ranked[place]
        insort(ranked, (result, number))
        return ranked.index((result, number)) < math.ceil(self._options.keep * len(ranked) - 1e-9)

    def next_pause(self, number: int) -> int | None:
        """Return the first epoch after which it is not decided that a proposal goes on; None where all are."""
        for place, epoch in enumerate(self._options.after):
            if not self._goes_on[place].get(number, False):
                return epoch
        return None

    def stopped_after(self, number: int) -> int | None:
        """Return the epoch after which a proposal does not go on; None of one that does, or may."""
        for place, epoch in enumerate(self._options.after):
            if not self._goes_on[place].get(number, True):
                return epoch
        return None


class Race:
    """A race: a proposal trains its seeds one after the other until it is significantly worse than the best.

    The best is that of the results that the proposal knew when it was made, so nothing depends on timing. Both are
    compared on the seeds trained so far by the one-sided Wilcoxon signed-rank test, as Optuna's WilcoxonPruner does.
    """

    def __init__(
        self,
        options: RaceOptions,
        seeds: int,
        results_of: Callable[[int, int], Sequence[float] | None],
        best_known: Callable[[int], Sequence[float] | None],
        find_twin: Callable[[int], int],
    ) -> None:
        """Compare what ``results_of`` says of a proposal's first trials with the results that ``best_known`` returns.

        The former is None until all of them have ended; the latter returns those of every seed of the best proposal
        that another one knows, empty where it knows none, None while that is not certain.
        """
        self._options = options
        self._seeds = seeds
        self._results_of = results_of
        self._best_known = best_known
        self._find_twin = find_twin
        self._wanted: list[int] = []
        """By number, how many seeds a proposal trains as far as is decided."""
        self._stopped: dict[int, int] = {}
        """By number, after how many seeds a proposal was stopped."""
        self._open: list[int] = []
        """Numbers of the proposals that may still want another seed."""

    def decide(self, proposals: int) -> None:
        """Take note of how many seeds so many proposals train, by the results so far."""
        for number in range(len(self._wanted), proposals):
            self._wanted.append(min(self._options.after, self._seeds))
            self._open.append(number)
        self._open = [number for number in self._open if not self._is_decided(number)]

    def _is_decided(self, number: int) -> bool:
        twin = self._find_twin(number)
        if twin < number:
            self._wanted[number] = self._wanted[twin]
            if twin in self._stopped:
                self._stopped[number] = self._stopped[twin]
            return twin not in self._open
        while (count := self._wanted[number]) < self._seeds:
            results, best = self._results_of(number, count), self._best_known(number)
            if results is None or best is None:
                return False
            if best and is_worse(results, best[:count], self._options.p):
                self._stopped[number] = count
                return True
            self._wanted[number] += 1
        return True

    def seeds_wanted(self, number: int) -> int:
        """Return how many of its seeds a proposal trains, as far as is decided."""
        return self._wanted[number]

    def stopped_after(self, number: int) -> int | None:
        """Return the number of seeds after which a proposal does not go on; None of one that does, or may."""
        return self._stopped.get(number)


def is_worse(results: Sequence[float], best: Sequence[float], p: float) -> bool:
    """Return whether ``results`` are higher than ``best``, seed by seed, at a significance of ``p``."""
    from scipy.stats import wilcoxon

    differences = [0.0 if own == other else own - other for own, other in zip(results, best, strict=True)]
    if not any(differences):
        return False
    return bool(wilcoxon(differences, alternative="greater", zero_method="zsplit").pvalue < p)
