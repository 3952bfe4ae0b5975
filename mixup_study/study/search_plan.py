"""The plan of a study that searches: propose settings, train them, and train the best ones again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from mixup_study.study.expand import Cell
from mixup_study.study.labels import describe_search, label_searched
from mixup_study.study.packs import pack_key
from mixup_study.study.plan import DONE, WAIT, Endings, GridPlan, Job, NextJobs
from mixup_study.study.search import Results, Search, SearchProgress
from mixup_study.study.space import Values
from mixup_study.study.study import Study
from mixup_study.study.trial import Trial


class Ledger(Protocol):
    """What remembers a search: its proposals, and what their trials measured."""

    def read_proposals(self) -> Mapping[str, Mapping[int, Values]]:
        """Return the values of the proposals by their search's search_id and their number."""

    def write_proposal(self, search: Search, study: str, number: int, values: Values, trial_ids: Sequence[str]) -> None:
        """Record a proposal, before a trial of it starts."""

    def read_results(self, trial_ids: Collection[str], metric: str) -> Results:
        """Return what trials measured that have ended for good; None of one that failed because of what it is."""


class SearchPlan:
    """The plan of a study with searches: its grid's trials, the proposals as they are made, then what confirms them.

    A proposal is written to the ledger before its trials are handed out, and its seeds are a pack where they may be,
    whatever the number of slots.
    """

    def __init__(self, study: Study, slots: int, ledger: Ledger) -> None:
        """Take up the searches of ``study`` where the ledger has them."""
        searched = {search.arm for search in study.searches}
        self._study = study
        self._ledger = ledger
        self._grid = GridPlan(
            replace(study, cells=tuple(cell for cell in study.cells if cell.arm not in searched), proposed=()), slots
        )
        self.needed = self._grid.needed
        self.trials: dict[str, Trial] = dict(self._grid.trials)
        """By trial_id, the trials of the grid, and of the proposals so far."""
        self.arms: dict[str, str] = dict(self._grid.arms)
        self.labels: dict[str, str] = dict(self._grid.labels)
        self._groups: list[tuple[str, ...]] = []
        """trial_ids of jobs of the searches, in the order in which they are handed out."""
        self._results: dict[str, float | None] = {}
        self._search_of: dict[str, SearchProgress] = {}
        """By trial_id, of the trials of proposals."""
        self._pending: set[str] = set()
        """trial_ids of the trials of proposals that have not ended."""
        self._lost: set[str] = set()
        """trial_ids of those that failed for another reason than what they are."""
        recorded = ledger.read_proposals()
        self.searches = [
            SearchProgress(search, recorded.get(search.search_id, {}), self._results) for search in study.searches
        ]
        self._metric = study.searches[0].options.minimise
        self._added = [0] * len(self.searches)
        self._confirmed: set[int] = set()
        self._add_trials()
        self._results |= ledger.read_results(self._pending, self._metric)
        self._pending.difference_update(self._results)
        self._add_trials()

    @property
    def study(self) -> str:
        """Return the name of the study that the trials are of."""
        return self._study.name

    @property
    def expected(self) -> int:
        """Return how many trials there will be in all, if no proposal is made twice."""
        return len(self.trials) + sum(progress.to_come for progress in self.searches)

    def list_left(self, done: Collection[str]) -> list[Trial]:
        """Return the trials that are not among ``done``; of those to come, others that take as long."""
        left = [trial for trial_id, trial in self.trials.items() if not self._has_ended(trial_id, done)]
        return left + self._list_to_come()

    def _list_to_come(self) -> list[Trial]:
        """Return a trial in the place of each that is still to be proposed, or to confirm what is found."""
        return [progress.search.example.trial for progress in self.searches for _ in range(progress.to_come)]

    def next(self, ended: Endings, started: Collection[str]) -> NextJobs:
        """Return the jobs that are ready, given how trials ``ended`` and the trial_ids of those handed out before."""
        self._take_results(ended)
        self._propose()
        self._add_trials()
        jobs: list[Job] = []
        self._groups = [group for group in self._groups if not all(self._has_ended(one, ended) for one in group)]
        for group in self._groups:
            left = [one for one in group if not self._has_ended(one, ended) and one not in started]
            if left:
                keep = frozenset(left) if self._study.keep_models else frozenset()
                jobs.append(Job(tuple(self.trials[trial_id] for trial_id in left), keep))
        answer = self._grid.next(ended, started)
        if isinstance(answer, tuple):
            return (*answer, *jobs)
        return tuple(jobs) or (WAIT if answer is WAIT or self._groups else DONE)

    def _has_ended(self, trial_id: str, ended: Collection[str]) -> bool:
        return trial_id in ended or trial_id in self._results

    def _take_results(self, ended: Endings) -> None:
        """Take in what trials of proposals measured that have ended since."""
        new = [trial_id for trial_id in self._pending if trial_id in ended]
        if new:
            results = self._ledger.read_results(new, self._metric)
            self._lost.update(trial_id for trial_id in new if trial_id not in results)
            self._results.update({trial_id: results.get(trial_id) for trial_id in new})
            self._pending.difference_update(new)

    def _propose(self) -> None:
        """Make and record the proposals that are due, those of all searches in turn."""
        proposing = list(self.searches)
        while proposing:
            for progress in list(proposing):
                number = progress.propose()
                if number is None:
                    proposing.remove(progress)
                    continue
                values, trial_ids = progress.proposals[number], progress.list_trial_ids(number)
                self._ledger.write_proposal(progress.search, self.study, number, values, trial_ids)

    def _add_trials(self) -> None:
        """Add the trials of the proposals made since, those of all searches in turn, and those that confirm."""
        last = max((len(progress.proposals) for progress in self.searches), default=0)
        for number in range(min(self._added, default=0), last):
            for place, progress in enumerate(self.searches):
                if self._added[place] <= number < len(progress.proposals):
                    self._add_cells(progress.search.list_cells(progress.proposals[number]))
                    self._search_of.update(dict.fromkeys(progress.list_trial_ids(number), progress))
                    self._pending.update(set(progress.list_trial_ids(number)) - self._results.keys())
                    self._added[place] = number + 1
        for place, progress in enumerate(self.searches):
            winner = None if place in self._confirmed else progress.winner()
            if winner is not None:
                self._confirmed.add(place)
                self._add_cells(progress.search.list_confirmation(progress.proposals[winner]))

    def _add_cells(self, cells: Sequence[Cell]) -> None:
        new = {cell.trial.trial_id: cell for cell in cells if cell.trial.trial_id not in self.trials}
        for trial_id, cell in new.items():
            self.trials[trial_id] = cell.trial
            self.arms[trial_id] = cell.arm
            self.labels[trial_id] = label_searched(self._study, cell)
        self._groups += _group([cell.trial for cell in new.values()])

    def is_done(self, done: Collection[str]) -> bool:
        """Return whether nothing is left to propose or to train where the trials ``done`` are."""
        return not self.list_left(done) and self._grid.is_done(done)

    def accepts_failure(self, trial_id: str) -> bool:
        """Return whether a trial's failure is a result: a proposal that diverged counts as the worst."""
        return self._results.get(trial_id, 0.0) is None and trial_id not in self._lost

    def list_wanted(self, done: Collection[str]) -> set[str]:
        """Return the trials whose models are needed by those that are not among ``done``."""
        return self._grid.list_wanted(done)

    def list_retrained(self, done: Collection[str], models: Collection[str]) -> set[str]:
        """Return which trials among ``done`` must be trained again, as a GridPlan does; a search needs no models."""
        return self._grid.list_retrained(done, models)

    def describe(self, trial_id: str) -> str:
        """Return how far a trial's search is by its end, and which of its settings is the best so far."""
        if trial_id in self._pending:
            self._results |= self._ledger.read_results([trial_id], self._metric)
            self._pending.difference_update(self._results)
        progress = self._search_of.get(trial_id)
        return "" if progress is None else describe_search(progress)

    def blocked(self, ended: Endings) -> dict[str, str]:
        """Return by trial_id each trial that will never be ready, with the trial_id of the failed one it waits for."""
        return self._grid.blocked(ended)


def build_plan(study: Study, slots: int, ledger: Ledger) -> GridPlan | SearchPlan:
    """Return the plan of a study, for so many slots; ``ledger`` is that of its searches, if it has any."""
    return SearchPlan(study, slots, ledger) if study.searches else GridPlan(study, slots)


def _group(trials: Sequence[Trial]) -> Iterator[tuple[str, ...]]:
    """Yield the trial_ids of each job: all together where they may be a pack, or each alone."""
    keys = [pack_key(trial) for trial in trials]
    if len(trials) > 1 and keys[0] is not None and all(key == keys[0] for key in keys):
        yield tuple(trial.trial_id for trial in trials)
    else:
        for trial in trials:
            yield (trial.trial_id,)
