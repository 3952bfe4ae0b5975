"""The plan of a study that searches: propose settings, train them, and train the best ones again."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from mixup_study.study.expand import Cell
from mixup_study.study.labels import describe_search, label_searched
from mixup_study.study.packs import pack_key
from mixup_study.study.plan import DONE, WAIT, Endings, GridPlan, Job, NextJobs, Plan
from mixup_study.study.search import Search
from mixup_study.study.search_progress import Pauses, Results, SearchProgress
from mixup_study.study.space import Values
from mixup_study.study.study import Study
from mixup_study.study.trial import Trial
from mixup_study.study.warm_start import WarmStartReader


class Ledger(Protocol):
    """What remembers a search: its proposals, and what their trials measured."""

    def read_proposals(self) -> Mapping[str, Mapping[int, Values]]:
        """Return the values of the proposals by their search's search_id and their number."""

    def write_proposal(self, search: Search, study: str, number: int, values: Values, trial_ids: Sequence[str]) -> None:
        """Record a proposal, before a trial of it starts."""

    def read_results(self, trial_ids: Collection[str], metrics: Sequence[str]) -> Results:
        """Return what trials measured that have ended for good; None of one that failed because of what it is."""

    def read_pauses(self, trial_ids: Collection[str], curve: str, epochs: Collection[int]) -> Pauses:
        """Return a curve of trials after some epochs, as far as they are recorded."""

    def remove_checkpoints(self, trial_ids: Collection[str]) -> None:
        """Remove the checkpoints of trials that do not go on, where there are any."""


@dataclass(frozen=True)
class _Attempt:
    """A search's wish for trials: they try a proposal."""

    progress: SearchProgress
    number: int
    """Of the proposal."""
    seed: int
    """In a race, the place of the trial among the proposal's seeds; otherwise 0, for all of them together."""

    @property
    def is_over(self) -> bool:
        """Return whether the proposal does not go on, or lost its race before this seed."""
        if self.progress.search.options.race is not None:
            return self.seed >= self.progress.count_seeds(self.number)
        return self.progress.stopped_after(self.number) is not None

    @property
    def epochs(self) -> float:
        """Return the epoch until which the trials are wanted, as far as is decided; infinity until the last."""
        if self.seed >= self.progress.seeds_wanted(self.number):
            return 0
        return self.progress.next_pause(self.number) or math.inf


@dataclass(eq=False)
class _Group:
    """Trials that one process trains together, and how far they were handed out."""

    trial_ids: tuple[str, ...]
    attempts: list[_Attempt] = field(default_factory=list)
    """The searches that want them; searches of two arms may try the same trial."""
    is_wanted_whole: bool = False
    """Whether they also confirm what a search found."""
    handed_out: set[float] = field(default_factory=set)
    """The epochs, infinity for the last, until which they were."""

    @property
    def epochs(self) -> float:
        """Return the epoch after which they are to stop next; infinity for their last, 0 while none is wanted."""
        return math.inf if self.is_wanted_whole else max(attempt.epochs for attempt in self.attempts)

    @property
    def is_stopped(self) -> bool:
        """Return whether they do not go on."""
        return not self.is_wanted_whole and all(attempt.is_over for attempt in self.attempts)


class SearchPlan:
    """The plan of a study with searches: its grid's trials, the proposals as they are made, then what confirms them.

    A proposal is written to the ledger before its trials are handed out, and its seeds are a pack where they may be,
    whatever the number of slots. With successive halving its trials are handed out until each pause in turn.
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
        self._groups: dict[_Group, None] = {}
        """Of the searches, in the order in which they are handed out; those that have ended are left out."""
        self._group_of: dict[str, _Group] = {}
        """By trial_id, of those that have ended too."""
        self._results: dict[str, tuple[float, ...] | None] = {}
        self._search_of: dict[str, SearchProgress] = {}
        """By trial_id, of the trials of proposals."""
        self._pending: set[str] = set()
        """trial_ids of the trials of proposals that have not ended."""
        self._lost: set[str] = set()
        """trial_ids of those that failed for another reason than what they are."""
        self._pauses: dict[str, Mapping[int, float]] = {}
        self._until: dict[str, int | None] = {}
        """By trial_id, the epoch until which a trial was handed out last; None for its last."""
        self._abandoned: set[str] = set()
        """trial_ids of the trials that do not go on, whose checkpoints are to be removed."""
        self._stopped_ids: set[str] = set()
        """trial_ids of the trials of proposals that do not go on."""
        self._spared_ids: set[str] = set()
        """trial_ids of those among them that never started, since their proposal lost its race."""
        self._options = study.searches[0].options
        recorded = ledger.read_proposals()
        reader = WarmStartReader(recorded, self._read_measured)
        self.searches = [
            SearchProgress(
                search, recorded.get(search.search_id, {}), self._results, self._pauses, reader.observe(search)
            )
            for search in study.searches
        ]
        self._added = [0] * len(self.searches)
        self._confirmed: set[int] = set()
        self._add_trials()
        self._read(self._pending)
        self._add_trials()
        self._drop_ended({})

    @property
    def study(self) -> str:
        """Return the name of the study that the trials are of."""
        return self._study.name

    @property
    def expected(self) -> int:
        """Return how many trials there will be in all, if no proposal is made twice."""
        return len(self.trials) - len(self._spared_ids) + len(self._list_to_come())

    def list_left(self, done: Collection[str]) -> list[Trial]:
        """Return the trials that are not among ``done``; of those to come, others that take as long."""
        left = [trial for trial_id, trial in self.trials.items() if not self._has_ended(trial_id, done)]
        return left + self._list_to_come()

    def _list_to_come(self) -> list[Trial]:
        """Return a trial in the place of each that is still to be proposed, or to confirm what is found."""
        to_come = []
        for place, progress in enumerate(self.searches):
            known = progress.winner() is not None and place not in self._confirmed  # but not among the trials yet
            count = progress.to_come + (progress.search.confirming if known else 0)
            to_come += [progress.search.example.trial] * count
        return to_come

    def next(self, ended: Endings, started: Collection[str]) -> NextJobs:
        """Return the jobs that are ready, given how trials ``ended`` and the trial_ids of those handed out before."""
        self._take_results(ended)
        for progress in self.searches:
            progress.decide()
        self._propose()
        self._add_trials()
        self._drop_ended(ended)
        if self._abandoned:
            self._ledger.remove_checkpoints(self._abandoned)
            self._abandoned.clear()
        jobs = [job for group in self._groups if (job := self._next_job(group, ended)) is not None]
        answer = self._grid.next(ended, started)
        if isinstance(answer, tuple):
            return (*answer, *jobs)
        return tuple(jobs) or (WAIT if answer is WAIT or self._groups else DONE)

    def _next_job(self, group: _Group, ended: Endings) -> Job | None:
        """Return the job of what is left of a group until its next pause; None where that was handed out before."""
        epochs = group.epochs
        if not epochs or epochs in group.handed_out:
            return None
        until = None if math.isinf(epochs) else int(epochs)
        left = [
            trial_id
            for trial_id in group.trial_ids
            if not self._has_ended(trial_id, ended) and not self._has_come_to(trial_id, until)
        ]
        if not left:
            return None
        group.handed_out.add(epochs)
        self._until.update(dict.fromkeys(left, until))
        keep = frozenset(left) if self._study.keep_models else frozenset()
        return Job(tuple(self.trials[trial_id] for trial_id in left), keep, until)

    def _drop_ended(self, ended: Endings) -> None:
        """Leave out the groups that have ended, or do not go on."""
        for group in list(self._groups):
            if group.is_stopped:
                self._stopped_ids.update(group.trial_ids)
                self._pending.difference_update(group.trial_ids)
                if self._options.race is None:
                    self._abandoned.update(group.trial_ids)
                else:
                    self._spared_ids.update(group.trial_ids)
                del self._groups[group]
            elif all(self._has_ended(trial_id, ended) for trial_id in group.trial_ids):
                del self._groups[group]

    def _has_ended(self, trial_id: str, ended: Collection[str]) -> bool:
        if isinstance(ended, Mapping) and ended.get(trial_id) == "stopped":
            return False
        return trial_id in ended or trial_id in self._results or trial_id in self._stopped_ids

    def _has_come_to(self, trial_id: str, epoch: int | None) -> bool:
        return epoch is not None and epoch in self._pauses.get(trial_id, {})

    def _take_results(self, ended: Endings) -> None:
        """Take in what trials of proposals measured that have ended, or stopped, since."""
        new = {trial_id for trial_id in self._pending if trial_id in ended and not self._is_paused(trial_id)}
        if not new:
            return
        self._read(new)
        for trial_id in new - self._results.keys():
            epoch = self._until.get(trial_id)
            if ended[trial_id] != "stopped" or epoch is None:
                self._lost.add(trial_id)
                self._results[trial_id] = None
            elif not self._has_come_to(trial_id, epoch):  # what it measured there is no number
                self._pauses[trial_id] = {**self._pauses.get(trial_id, {}), epoch: math.inf}
        self._pending.difference_update(self._results)

    def _is_paused(self, trial_id: str) -> bool:
        """Return whether it is known what a trial measured at the pause until which it was handed out."""
        return self._has_come_to(trial_id, self._until.get(trial_id))

    def _read(self, trial_ids: Collection[str]) -> None:
        """Read what trials have measured by now."""
        results, pauses = self._read_measured(self._study.searches[0], trial_ids)
        self._pauses |= pauses
        self._results |= results
        self._pending.difference_update(self._results)

    def _read_measured(self, search: Search, trial_ids: Collection[str]) -> tuple[Results, Pauses]:
        """Return what trials have measured by now of what decides in a search, at their end and at its pauses."""
        options = search.options
        pauses = self._ledger.read_pauses(trial_ids, options.curve, options.pauses)
        return self._ledger.read_results(trial_ids, options.metrics), pauses

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
                    self._add_cells(progress.search.list_cells(progress.proposals[number]), progress, number)
                    self._search_of.update(dict.fromkeys(progress.list_trial_ids(number), progress))
                    self._pending.update(set(progress.list_trial_ids(number)) - self._results.keys())
                    self._added[place] = number + 1
        for place, progress in enumerate(self.searches):
            winner = None if place in self._confirmed else progress.winner()
            if winner is not None:
                self._confirmed.add(place)
                self._add_cells(progress.search.list_confirmation(progress.proposals[winner]))

    def _add_cells(self, cells: Sequence[Cell], progress: SearchProgress | None = None, number: int = 0) -> None:
        """Add the trials of a proposal, or, without ``progress``, those that confirm a setting."""
        for cell in cells:
            trial_id = cell.trial.trial_id
            self.labels.setdefault(trial_id, label_searched(self._study, cell))
            self.arms.setdefault(trial_id, cell.arm)
            self.trials.setdefault(trial_id, cell.trial)
        racing = progress is not None and progress.search.options.race is not None
        for seed, some in enumerate([[cell] for cell in cells] if racing else [cells]):
            for group in self._find_groups([cell.trial for cell in some]):
                if progress is None:
                    group.is_wanted_whole = True
                else:
                    group.attempts.append(_Attempt(progress, number, seed))

    def _find_groups(self, trials: Sequence[Trial]) -> Iterator[_Group]:
        """Yield the groups of trials, to be handed out again where they had ended; those of the grid have none."""
        own = [trial for trial in trials if trial.trial_id not in self._grid.trials]
        for trial_ids in _group([trial for trial in own if trial.trial_id not in self._group_of]):
            self._group_of.update(dict.fromkeys(trial_ids, _Group(trial_ids)))
        for group in dict.fromkeys(self._group_of[trial.trial_id] for trial in own):
            self._groups.setdefault(group)
            self._stopped_ids.difference_update(group.trial_ids)
            self._spared_ids.difference_update(group.trial_ids)
            self._pending.update(set(group.trial_ids) - self._results.keys())
            yield group

    def is_done(self, done: Collection[str]) -> bool:
        """Return whether nothing is left to propose or to train where the trials ``done`` are."""
        return not self.list_left(done) and self._grid.is_done(done)

    def is_settled(self, trial_id: str) -> bool:
        """Return whether a trial that is not done has ended all the same: one that diverged, or that was stopped."""
        return trial_id in self._stopped_ids or (
            self._results.get(trial_id, 0.0) is None and trial_id not in self._lost
        )

    def list_wanted(self, done: Collection[str]) -> set[str]:
        """Return the trials whose models are needed by those that are not among ``done``."""
        return self._grid.list_wanted(done)

    def list_retrained(self, done: Collection[str], models: Collection[str]) -> set[str]:
        """Return which trials among ``done`` must be trained again, as a GridPlan does; a search needs no models."""
        return self._grid.list_retrained(done, models)

    def describe(self, trial_id: str) -> str:
        """Return how far a trial's search is by its end, and which of its settings is the best so far."""
        if trial_id in self._pending:
            self._read([trial_id])
        progress = self._search_of.get(trial_id)
        return "" if progress is None else describe_search(progress)

    def blocked(self, ended: Endings) -> dict[str, str]:
        """Return by trial_id each trial that will never be ready, with the trial_id of the failed one it waits for."""
        return self._grid.blocked(ended)


def build_plan(study: Study, slots: int, ledger: Ledger) -> Plan:
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
