"""What a run has to do: which trials are ready to be trained, in which jobs, and which wait for others.

A plan schedules nothing and knows no cluster. Whoever trains asks it for jobs again and again, each time with what has
become of the trials so far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import pairwise
from typing import Literal, Protocol

from mixup_study.study.labels import cell_labels, model_labels
from mixup_study.study.packs import largest_pack, pack_key
from mixup_study.study.study import Study
from mixup_study.study.trial import Trial, comparable, joint_id

Ending = Literal["done", "failed", "stopped"]
Endings = Mapping[str, Ending]
"""By trial_id, how the trials ended that have."""


class Answer(Enum):
    """What a plan answers that has no job to hand out."""

    WAIT = "ask again when another trial has ended"
    DONE = "no further job will come"


WAIT = Answer.WAIT
DONE = Answer.DONE
NextJobs = tuple["Job", ...] | Literal[Answer.WAIT, Answer.DONE]
"""The jobs that are ready, at least one; or why there is none."""


@dataclass(frozen=True)
class Job:
    """A trial that one process, or one group of data-parallel workers, trains, or several that one trains as a pack."""

    trials: tuple[Trial, ...]
    keep_models: frozenset[str] = frozenset()
    """trial_ids of those whose model must be written before the record."""
    until: int | None = None
    """The epoch after which they are to stop and leave a checkpoint; None for their last."""

    @cached_property
    def trial_ids(self) -> tuple[str, ...]:
        """Return the trial_id of each trial."""
        return tuple(trial.trial_id for trial in self.trials)

    @cached_property
    def name(self) -> str:
        """Return the id of the trial, or one of all trials together; checkpoint and log are named by it."""
        return joint_id(self.trials)

    @property
    def workers(self) -> int:
        """Return the number of data-parallel workers, the same for all trials of a job."""
        return self.trials[0].processes

    @property
    def epochs(self) -> int:
        """Return the epoch after which it ends, the same for all trials of a job; 0 of an evaluation."""
        return self.trials[0].trained_epochs if self.until is None else self.until


class Plan(Protocol):
    """What a run has to do, job by job."""

    @property
    def study(self) -> str:
        """Return the name of the study that the trials are of."""

    @property
    def trials(self) -> Mapping[str, Trial]:
        """Return by trial_id every trial that the plan may hand out, or has."""

    @property
    def expected(self) -> int:
        """Return how many trials there will be in all, as far as can be known."""

    def list_left(self, done: Collection[str]) -> Sequence[Trial]:
        """Return the trials that are not among ``done``; of those that cannot be known yet, others like them."""

    @property
    def needed(self) -> Collection[str]:
        """Return the trial_ids of the trials whose models others need."""

    @property
    def arms(self) -> Mapping[str, str]:
        """Return by trial_id the arm that each trial is trained for."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Return by trial_id what each trial is within its study, in a few words."""

    def next(self, ended: Endings, started: Collection[str]) -> NextJobs:
        """Return the jobs that are ready, given how trials ``ended`` and the trial_ids of those handed out before."""

    def blocked(self, ended: Endings) -> dict[str, str]:
        """Return by trial_id each trial that will never be ready, with the trial_id of the failed one it waits for."""

    def is_done(self, done: Collection[str]) -> bool:
        """Return whether nothing is left to train where the trials ``done`` are."""

    def is_settled(self, trial_id: str) -> bool:
        """Return whether a trial that is not done has ended all the same, as the study would have it."""

    def list_wanted(self, done: Collection[str]) -> set[str]:
        """Return the trials whose models are needed by those that are not among ``done``."""

    def list_retrained(self, done: Collection[str], models: Collection[str]) -> set[str]:
        """Return which trials among ``done`` must be trained again: others need their models, which are not there.

        ``models`` holds the trial_ids of the trials whose models are.
        """

    def describe(self, trial_id: str) -> str:
        """Return what a trial's end means to the study, in a few words; empty where that is nothing."""


class GridPlan:
    """The plan of a study whose trials are all known: train those that are missing, in the study's order.

    A trial waits for those whose models it ``needs``, is blocked where one of them failed, and makes them leave their
    models; all do where the study keeps models. Needed trials that the study does not show are trained too.
    """

    def __init__(self, study: Study, slots: int) -> None:
        """Take the trials of ``study``, which so many slots train."""
        self._study = study
        self.trials: dict[str, Trial] = list_needed_first(study.trials.values())
        self._needs = {
            trial_id: [needed.trial_id for needed in trial.needs]
            for trial_id, trial in self.trials.items()
            if trial.needs
        }
        self.needed: frozenset[str] = frozenset().union(*self._needs.values())
        """trial_ids of the trials whose models others need."""
        self._slots = slots
        self._groups: Sequence[tuple[str, ...]] | None = None

    @property
    def study(self) -> str:
        """Return the name of the study that the trials are of."""
        return self._study.name

    @property
    def expected(self) -> int:
        """Return how many trials there are."""
        return len(self.trials)

    def list_left(self, done: Collection[str]) -> list[Trial]:
        """Return the trials that are not among ``done``."""
        return [trial for trial_id, trial in self.trials.items() if trial_id not in done]

    @cached_property
    def arms(self) -> dict[str, str]:
        """Return by trial_id the arm that each trial is trained for: a needed one's is that of the trial in need."""
        return self._inherited({cell.trial.trial_id: cell.arm for cell in self._study.cells}, "{}")

    @cached_property
    def labels(self) -> dict[str, str]:
        """Return by trial_id what each trial is within its study, in a few words."""
        return self._inherited({**model_labels(self._study), **cell_labels(self._study)}, "model for {}")

    def _inherited(self, texts: Mapping[str, str], text_of_needed: str) -> dict[str, str]:
        """Return ``texts`` of the study's trials, with one more for each needed trial that the study does not show."""
        inherited = dict(texts)
        for trial_id, needed_ids in reversed(self._needs.items()):  # those in need come before what they need
            for needed in needed_ids:
                inherited.setdefault(needed, text_of_needed.format(inherited[trial_id]))
        return inherited

    def next(self, ended: Endings, started: Collection[str]) -> NextJobs:
        """Return the jobs that are ready, given how trials ``ended`` and the trial_ids of those handed out before."""
        if self._groups is None:
            self._groups = self._compose_groups(ended)
        blocked = self.blocked(ended)
        jobs = []
        waiting = False
        for group in self._groups:
            left = [trial_id for trial_id in group if trial_id not in ended and trial_id not in started]
            if not left or left[0] in blocked:
                continue
            if any(ended.get(needed) != "done" for needed in self._needs.get(left[0], ())):
                waiting = True
                continue
            keep = frozenset(left) if self._study.keep_models else self.needed.intersection(left)
            jobs.append(Job(tuple(self.trials[trial_id] for trial_id in left), keep))
        return tuple(jobs) or (WAIT if waiting else DONE)

    def _compose_groups(self, ended: Endings) -> Sequence[tuple[str, ...]]:
        """Return the trial_ids of each job to come: of packs for all slots of what is left, and of single trials."""
        own = self._study.trials
        alone = [(trial_id,) for trial_id in self.trials if trial_id not in own]
        turns = _count_turns(self._study)
        packs = _compose_packs({trial_id: own[trial_id] for trial_id in own if trial_id not in ended}, self._slots)
        return [*alone, *sorted(packs, key=lambda trial_ids: turns[trial_ids[0]])]

    def is_done(self, done: Collection[str]) -> bool:
        """Return whether all of the study's own trials are among ``done``."""
        return all(trial_id in done for trial_id in self._study.trials)

    def is_settled(self, trial_id: str) -> bool:
        """Return False: every trial of a grid belongs in its table."""
        return False

    def list_wanted(self, done: Collection[str]) -> set[str]:
        """Return the trials whose models are needed by those that are not among ``done``."""
        return {needed for trial_id, ids in self._needs.items() if trial_id not in done for needed in ids}

    def list_retrained(self, done: Collection[str], models: Collection[str]) -> set[str]:
        """Return which trials among ``done`` must be trained again: others need their models, which are not there.

        ``models`` holds the trial_ids of the trials whose models are.
        """
        retrained: set[str] = set()
        for trial_id, needed_ids in reversed(self._needs.items()):  # those in need come before what they need
            if trial_id not in done or trial_id in retrained:
                retrained.update(needed for needed in needed_ids if needed in done and needed not in models)
        return retrained

    def describe(self, trial_id: str) -> str:
        """Return nothing: a trial of a grid is one of many."""
        return ""

    def blocked(self, ended: Endings) -> dict[str, str]:
        """Return by trial_id each trial that will never be ready, with the trial_id of the failed one it waits for."""
        blocked: dict[str, str] = {}
        for trial_id, needed_ids in self._needs.items():  # needed ones come before those in need
            if trial_id not in ended:
                for needed in needed_ids:
                    if ended.get(needed) == "failed":
                        blocked[trial_id] = needed
                    elif needed in blocked:
                        blocked[trial_id] = blocked[needed]
        return blocked


def list_needed_first(trials: Iterable[Trial]) -> dict[str, Trial]:
    """Return each trial by its trial_id, those that it needs before it."""
    listed: dict[str, Trial] = {}

    def add(trial: Trial) -> None:
        if trial.trial_id not in listed:
            for needed in trial.needs:
                add(needed)
            listed[trial.trial_id] = trial

    for trial in trials:
        add(trial)
    return listed


def _count_turns(study: Study) -> dict[str, int]:
    """Return by trial_id how many trials of its row of the table come before each trial.

    Trained in turns, every row has its first number early.
    """
    turns: dict[str, int] = {}
    rows: Counter[tuple[Hashable, ...]] = Counter()
    for cell in study.every_cell:
        row = tuple(cell.arm if name == "arm" else comparable(getattr(cell.trial, name)) for name in study.table.keys)
        if cell.trial.trial_id not in turns:
            turns[cell.trial.trial_id] = rows[row]
            rows[row] += 1
    return turns


def _compose_packs(trials: Mapping[str, Trial], slots: int) -> list[tuple[str, ...]]:
    """Return the trial_ids of each pack, and of each trial that trains alone.

    Trials that may are trained as packs, of no more than every slot's share of them. What they measure does not depend
    on it.
    """
    groups: dict[Hashable, list[str]] = {}
    for trial_id, trial in trials.items():
        key = None if trial.needs else pack_key(trial)
        groups.setdefault(key or trial_id, []).append(trial_id)
    share = -(-sum(len(group) for group in groups.values() if len(group) > 1) // max(1, slots))
    packs: list[tuple[str, ...]] = []
    for group in groups.values():
        largest = min(share, largest_pack(trials[group[0]])) if len(group) > 1 else 1
        packs += _split(group, -(-len(group) // largest))
    return packs


def _split(trial_ids: Sequence[str], count: int) -> Iterator[tuple[str, ...]]:
    """Yield ``count`` parts of nearly one size."""
    bounds = [len(trial_ids) * number // count for number in range(count + 1)]
    for start, end in pairwise(bounds):
        yield tuple(trial_ids[start:end])
