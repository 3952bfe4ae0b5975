"""Searches: which study files declare them, what they propose, and that nothing but results decides that."""

from __future__ import annotations

import math
import random
import statistics
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixup_study.errors import InputError
from mixup_study.study.plan import DONE, WAIT, Ending
from mixup_study.study.sampling import Observation, sample
from mixup_study.study.search import Search
from mixup_study.study.search_plan import SearchPlan
from mixup_study.study.search_progress import Pauses, Results, SearchProgress
from mixup_study.study.space import Distribution, Values
from mixup_study.study.stopping import is_worse
from mixup_study.study.study import Study, StudyFile
from mixup_study.study.warm_start import WarmStartReader

SEARCHING = """\
name: searching
trial: {dataset: digits, model: preact_resnet18, width: 4, epochs: 2, batch_size: 50, lr: 0.1, validation: 0.2}
grid: {label_noise: [0.2, 0.8], seed: [0, 1]}
arms:
  ERM: {weight_decay: 0}
  dropout: {}
  mixup: {method: mixup}
search:
  proposals: 14
  window: 3
  space:
    dropout: {dropout: {uniform: [0, 0.5]}}
    mixup: {alpha: {log: [0.1, 10]}, dropout: {uniform: [0, 0.5]}}
  first: [{alpha: 1, dropout: 0}]
  minimise: validation_error_last
  confirm: {seed: [7, 8, 9]}
table:
  title: Searched
  rows: [label_noise, arm]
  columns: [{title: last, metric: test_error_last}]
"""

Load = Callable[..., Study]


class MemoryLedger:
    """Proposals and results in memory."""

    def __init__(self, metrics: int = 1) -> None:
        self.metrics = metrics
        """How many are read."""
        self.proposals: dict[str, dict[int, Values]] = {}
        self.recorded: dict[str, tuple[float, ...] | None] = {}
        self.pauses: dict[str, dict[int, float]] = {}
        self.abandoned: set[str] = set()
        self.written = 0

    def read_proposals(self) -> Mapping[str, Mapping[int, Values]]:
        return {search_id: dict(proposals) for search_id, proposals in self.proposals.items()}

    def write_proposal(self, search: Search, study: str, number: int, values: Values, trial_ids: Sequence[str]) -> None:
        self.proposals.setdefault(search.search_id, {})[number] = values
        self.written += 1

    def read_results(self, trial_ids: Collection[str], metrics: Sequence[str]) -> Results:
        return {trial_id: self.recorded[trial_id] for trial_id in trial_ids if trial_id in self.recorded}

    def read_pauses(self, trial_ids: Collection[str], curve: str, epochs: Collection[int]) -> Pauses:
        return {trial_id: dict(self.pauses[trial_id]) for trial_id in trial_ids if trial_id in self.pauses}

    def remove_checkpoints(self, names: Collection[str]) -> None:
        self.abandoned.update(names)

    def record(self, trial_id: str, until: int | None, pauses: Sequence[int]) -> Ending:
        """Record what a trial measures that has trained until an epoch, and return how it ended."""
        values = measure(trial_id)
        if values is not None:
            for epoch in pauses:
                if until is None or epoch <= until:
                    self.pauses.setdefault(trial_id, {})[epoch] = values[0] + 0.5 / epoch
        if values is None or until is None:
            self.recorded[trial_id] = None if values is None else values[: self.metrics]
        return "failed" if values is None else "done" if until is None else "stopped"


def measure(trial_id: str) -> tuple[float, ...] | None:
    """Return what a trial measures of two metrics; one of eight diverges."""
    number = int(trial_id, 16)
    return None if number % 8 == 0 else (number / 16**16, number % 16**8 / 16**8)


def run_search(
    study: Study, slots: int, chance: random.Random, crashes: int, ledger: MemoryLedger | None = None
) -> tuple[MemoryLedger, Counter[Any]]:
    """Run a study to its end: trials end in any order, and the command dies ``crashes`` times.

    Returns the ledger, and how often each trial trained until each epoch.
    """
    options = study.searches[0].options
    ledger, trained = ledger or MemoryLedger(len(options.metrics)), Counter[Any]()
    pauses = options.pauses
    while True:
        plan = SearchPlan(study, slots, ledger)
        expected = plan.expected
        ended: dict[str, Ending] = {one: "done" for one, value in ledger.recorded.items() if value is not None}
        started: set[str] = set()
        under_way: set[str] = set()
        ready: list[tuple[str, int | None]] = []
        running: list[tuple[str, int | None]] = []
        crash_after = chance.randrange(1, 12) if crashes else math.inf
        crashes -= 1
        while crash_after > 0:
            while isinstance(jobs := plan.next(ended, started), tuple):
                for job in jobs:
                    assert not under_way.intersection(job.trial_ids)
                    started.update(job.trial_ids)
                    under_way.update(job.trial_ids)
                    for trial_id in job.trial_ids:
                        ended.pop(trial_id, None)
                        ready.append((trial_id, job.until))
            while ready and len(running) < slots:
                running.append(ready.pop(0))
            if not running:
                assert jobs is DONE
                assert plan.is_done(ledger.recorded)
                return ledger, trained
            trial_id, until = running.pop(chance.randrange(len(running)))
            ended[trial_id] = ledger.record(trial_id, until, pauses)
            under_way.remove(trial_id)
            trained[trial_id, until] += 1
            plan.describe(trial_id)  # reads what was measured, before the plan is asked again
            assert plan.expected <= expected  # less where a proposal comes twice, or loses its race
            expected = plan.expected
            crash_after -= 1


HALVING = "search.stop={after: [1, 3], keep: 0.4}"


RACE = "search.race={after: 3, p: 0.2}"
SEEDS = "grid.seed=[0, 1, 2, 3, 4, 5]"
TWO = "search.minimise=[validation_error_last, validation_error_best]"
BOUND = "search.at_most={validation_error_best: 40}"
SHARED = [
    "arms.both={}",
    "arms.mixup=null",
    "search.space={dropout: {dropout: {uniform: [0, 0.5]}}, both: {dropout: {uniform: [0, 0.5]}, lr: {log: [0.1, 1]}}}",
    "search.first=[{dropout: 0.1, lr: 0.1}, {dropout: 0.2, lr: 0.1}, {dropout: 0.3, lr: 0.1}, {dropout: 0.4, lr: 0.1}]",
]
"""Two arms that try the same settings first."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [HALVING, "trial.epochs=5"],
        [RACE, SEEDS],
        [TWO],
        [BOUND],
        [*SHARED, HALVING, "trial.epochs=5"],
        [*SHARED, RACE, SEEDS],
    ],
    ids=["whole", "halving", "race", "two", "bound", "halving of shared trials", "race of shared trials"],
)
@settings(max_examples=8)
@given(chance=st.randoms(use_true_random=False), slots=st.integers(1, 9), crashes=st.integers(0, 4))
def test_proposals_depend_on_no_order_no_slots_and_no_crash(
    searching_file: Path, overrides: Sequence[str], chance: random.Random, slots: int, crashes: int
) -> None:
    study, undisturbed = run_undisturbed(searching_file, *overrides)
    ledger, trained = run_search(study, slots, chance, crashes)
    assert ledger.proposals == undisturbed.proposals
    assert ledger.recorded == undisturbed.recorded
    assert ledger.pauses == undisturbed.pauses
    diverging = {trial_id for trial_id, value in ledger.recorded.items() if value is None}
    confirming = {cell.trial.trial_id for found in list_found(study, ledger) for cell in found}
    assert all(count == 1 for (trial_id, _), count in trained.items() if trial_id not in diverging & confirming)


@cache
def run_undisturbed(file: Path, *overrides: str) -> tuple[Study, MemoryLedger]:
    study = StudyFile(file, overrides).load("full")
    return study, run_search(study, 1, random.Random(0), 0)[0]


def test_halving_stops_all_but_the_best_so_far(searching_file: Path) -> None:
    study, ledger = run_undisturbed(searching_file, HALVING, "trial.epochs=5")
    for search in study.searches:
        progress = SearchProgress(search, ledger.proposals[search.search_id], ledger.recorded, ledger.pauses)
        stops = []
        for number in range(len(progress.proposals)):
            assert progress.result(number) is not None
            stops.append(progress.stopped_after(number))
        assert stops[0] is None  # nobody is better so far
        assert 1 in stops
        for epoch in (1, 3):
            came = [number for number, stop in enumerate(stops) if stop is None or stop >= epoch]
            for index, number in enumerate(came):
                ranked = sorted((progress._mean_at(other, epoch), other) for other in came[: index + 1])
                best = [other for _, other in ranked[: math.ceil(0.4 * len(ranked))]]
                assert (stops[number] != epoch) == (number in best)
        best = progress.best()
        assert best is not None
        assert stops[best] is None
    whole, undisturbed = run_undisturbed(searching_file, "trial.epochs=5")
    assert {search.search_id for search in whole.searches}.isdisjoint(search.search_id for search in study.searches)
    assert len(ledger.recorded) < 0.7 * len(undisturbed.recorded)
    assert ledger.abandoned


def follow(study: Study, ledger: MemoryLedger) -> list[SearchProgress]:
    """Return how far each search of a study is by a ledger."""
    return [
        SearchProgress(search, ledger.proposals[search.search_id], ledger.recorded, ledger.pauses)
        for search in study.searches
    ]


def test_a_race_ends_for_those_that_are_significantly_worse(searching_file: Path) -> None:
    study, ledger = run_undisturbed(searching_file, RACE, SEEDS)
    lost = 0
    for progress in follow(study, ledger):
        progress.decide()
        for number in range(len(progress.proposals)):
            results = [ledger.recorded.get(trial_id, ()) for trial_id in progress.list_trial_ids(number)]
            trained = [1.0 if values is None else values[0] for values in results if values != ()]
            stopped = progress.stopped_after(number)
            assert len(trained) == (stopped or 6)
            known = [earlier for earlier in range(max(0, number - 2)) if progress.stopped_after(earlier) is None]
            measured = {earlier: progress.result(earlier) for earlier in known}
            best = min(known, key=lambda earlier: (measured[earlier], earlier), default=None)
            against = (
                None
                if best is None
                else [
                    1.0 if (values := ledger.recorded[trial_id]) is None else values[0]
                    for trial_id in progress.list_trial_ids(best)
                ]
            )
            for count in range(3, len(trained) + 1):
                worse = against is not None and count < 6 and is_worse(trained[:count], against[:count], 0.2)
                assert worse == (count == stopped)
            lost += stopped is not None
        best = progress.best()
        assert best is not None
        assert progress.stopped_after(best) is None
    assert lost > 10


@pytest.mark.slow
@settings(max_examples=30)
@given(pairs=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=9))
def test_a_race_is_decided_as_optuna_would(pairs: list[tuple[int, int]]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=0)
    created = optuna.create_study(pruner=pruner)
    best, trial = created.ask(), created.ask()
    for step, (own, other) in enumerate(pairs):
        best.report(other, step)
        trial.report(own, step)
    mean = sum(other for _, other in pairs) / len(pairs)
    created.tell(best, mean)
    own_mean = sum(own for own, _ in pairs) / len(pairs)
    if own_mean > mean:  # Optuna goes on where the mean is better
        assert is_worse(*zip(*pairs, strict=True), 0.1) == trial.should_prune()


def test_the_front_is_what_nothing_is_better_than(searching_file: Path) -> None:
    study, ledger = run_undisturbed(searching_file, TWO)
    sizes = set()
    for progress, confirmed in zip(follow(study, ledger), list_found(study, ledger), strict=True):
        points = [progress.measured(number) for number in range(14)]
        front = progress.list_front()
        for number, point in enumerate(points):
            assert point is not None
            beaten = any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points if other)
            assert beaten == (number not in front)
        assert front[0] == progress.winner()
        assert all(getattr(confirmed[0].trial, name) == v for name, v in progress.proposals[front[0]].items())
        sizes.add(len(front))
    assert max(sizes) > 1


def test_the_best_keeps_to_its_bounds(searching_file: Path) -> None:
    study, ledger = run_undisturbed(searching_file, BOUND)
    kept = 0
    for progress in follow(study, ledger):
        measured = {number: progress.measured(number) or () for number in range(14)}
        within = [number for number, (_, bounded) in measured.items() if bounded <= 0.4]
        best = progress.winner()
        assert best is not None
        if within:
            assert best == min(within, key=lambda number: (measured[number][0], number))
        else:
            assert best == min(measured, key=lambda number: (measured[number][1], measured[number][0]))
        assert progress.keeps_bounds(best) == bool(within)
        assert progress.list_front() == ([best] if within else [])
        kept += bool(within)
    assert kept


def test_a_sampler_keeps_away_from_what_breaks_a_bound() -> None:
    space = {"dropout": Distribution(uniform=[0.0, 1.0])}
    medians = []
    for bounded in (False, True):
        proposals: list[Values] = []
        for number in range(30):
            known = max(0, number - 3)
            observations = [
                Observation(values, (value := values["dropout"],), None, {"bounded": 0.5 - value} if bounded else {})
                for values in proposals[:known]
            ]
            proposals.append(sample("tpe", 0, space, observations, proposals[known:]))
        medians.append(statistics.median(values["dropout"] for values in proposals[15:]))
    assert medians[0] < 0.2 < 0.4 < medians[1]


GRID = (
    SEARCHING.replace("name: searching", "name: earlier").split("search:")[0]
    + """\
table:
  title: Earlier
  rows: [label_noise, arm, dropout]
  columns: [{title: last, metric: test_error_last}]
"""
)


def write_earlier(folder: Path, *, search: bool) -> None:
    """Write a study that has trials of the shape of those searched: a grid, or a search of its own."""
    text = GRID.replace("  dropout: {}\n  mixup: {method: mixup}", "  dropout: {dropout: [0.1, 0.3, 0.7]}")
    if search:
        text = SEARCHING.replace("name: searching", "name: earlier").replace("proposals: 14", "proposals: 4")
    (folder / "earlier.yaml").write_text(text)
    (folder / "warm.yaml").write_text(SEARCHING.replace("  window: 3", "  window: 3\n  from: [earlier.yaml]"))


@pytest.mark.parametrize("search", [False, True], ids=["grid", "search"])
def test_a_search_starts_from_what_another_study_measured(search: bool, tmp_path: Path) -> None:
    write_earlier(tmp_path, search=search)
    warm, earlier = (StudyFile(tmp_path / name).load("full") for name in ("warm.yaml", "earlier.yaml"))
    cold = {own.search_id for own in StudyFile(tmp_path / "earlier.yaml").load("full").searches}
    assert cold.isdisjoint(own.search_id for own in warm.searches)
    counts = [sum(start.count for start in own.warm_starts) for own in warm.searches]
    assert counts == ([4] * 4 if search else [2, 2, 0, 0])  # 0.7 is beyond the space

    ledger = MemoryLedger()
    unfinished = "search.from: earlier: 0 of 4 " if not search else "search.from: earlier: 0 of 4 proposals have ended"
    with pytest.raises(InputError, match=unfinished):
        SearchPlan(warm, 1, ledger)
    if search:
        ledger, _ = run_search(earlier, 2, random.Random(0), 0)
    else:
        ledger.recorded = {trial_id: measure(trial_id) and measure(trial_id)[:1] for trial_id in earlier.trials}
    before = {search_id: dict(own) for search_id, own in ledger.proposals.items()}
    reader = WarmStartReader(before, lambda own, ids: (ledger.read_results(ids, own.options.metrics), {}))
    for own, count in zip(warm.searches, counts, strict=True):
        observations = reader.observe(own)
        assert len(observations) == count
        for observation in observations:
            trials = [cell.trial.trial_id for cell in own.list_cells(observation.values)]
            assert observation.objectives == own.average([ledger.recorded[trial_id] for trial_id in trials])


def test_a_warm_start_changes_what_is_proposed_and_nothing_else_does(tmp_path: Path) -> None:
    write_earlier(tmp_path, search=True)
    earlier = StudyFile(tmp_path / "earlier.yaml").load("full")
    warm = StudyFile(tmp_path / "warm.yaml").load("full")
    both = []
    for seed in range(2):
        ledger, _ = run_search(earlier, 3, random.Random(seed), seed)
        own, _ = run_search(warm, 1 + seed, random.Random(seed), seed, ledger)
        both.append({search.search_id: own.proposals[search.search_id] for search in warm.searches})
    assert both[0] == both[1]
    cold = run_search(load_text(tmp_path, SEARCHING), 1, random.Random(0), 0)[0].proposals
    assert all(own not in cold.values() for own in both[0].values())


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ("[nowhere.yaml]", "nowhere.yaml: no such file"),
        ("[warm.yaml]", "search.from.0: 'warm.yaml': it starts from this study itself"),
        ("[other.yaml]", "search.from.0: no trial of other, profile full, is like those of the search"),
        ("warm.yaml", "search.from: 'warm.yaml': expected a list"),
    ],
)
def test_a_warm_start_from_nothing_is_one_line(names: str, problem: str, tmp_path: Path) -> None:
    write_earlier(tmp_path, search=False)
    text = (tmp_path / "earlier.yaml").read_text()
    (tmp_path / "other.yaml").write_text(text.replace("name: earlier", "name: other").replace("epochs: 2", "epochs: 3"))
    with pytest.raises(InputError) as refused:
        StudyFile(tmp_path / "warm.yaml", (f"search.from={names}",)).load("full")
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def load_text(folder: Path, text: str) -> Study:
    (folder / "text.yaml").write_text(text)
    return StudyFile(folder / "text.yaml").load("full")


def list_found(study: Study, ledger: MemoryLedger) -> list[Any]:
    found = []
    for search in study.searches:
        progress = SearchProgress(search, ledger.proposals[search.search_id], ledger.recorded, ledger.pauses)
        winner = progress.winner()
        assert winner is not None
        found.append(search.list_confirmation(progress.proposals[winner]))
    return found


@pytest.fixture(scope="module")
def searching_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("search") / "searching.yaml"
    file.write_text(SEARCHING)
    return file


@pytest.fixture(scope="module")
def searching(searching_file: Path) -> Study:
    return run_undisturbed(searching_file)[0]


@pytest.fixture(scope="module")
def undisturbed(searching_file: Path) -> MemoryLedger:
    return run_undisturbed(searching_file)[1]


def test_a_study_has_a_search_for_each_arm_and_condition(searching: Study, undisturbed: MemoryLedger) -> None:
    assert [(search.arm, search.fields["label_noise"]) for search in searching.searches] == [
        ("dropout", 0.2),
        ("dropout", 0.8),
        ("mixup", 0.2),
        ("mixup", 0.8),
    ]
    assert [cell.arm for cell in searching.cells] == ["ERM"] * 4 + ["dropout"] * 6 + ["mixup"] * 6
    assert len(searching.trials) == 4  # the others stand for what is not found yet
    plan = SearchPlan(searching, 1, MemoryLedger())
    assert plan.expected == 4 + 4 * (14 * 2 + 3)
    assert len(undisturbed.recorded) == plan.expected
    for search in searching.searches:
        proposals = undisturbed.proposals[search.search_id]
        assert sorted(proposals) == list(range(14))
        assert proposals[0] == ({"dropout": 0} if search.arm == "dropout" else {"alpha": 1, "dropout": 0})
        for values in proposals.values():
            assert values.keys() == search.space.keys()
            assert all(search.space[name].contains(value) for name, value in values.items())
            assert all(float(f"{value:.3g}") == value for value in values.values())


def test_the_best_setting_is_confirmed_on_all_training_data(searching: Study, undisturbed: MemoryLedger) -> None:
    for search, found in zip(searching.searches, list_found(searching, undisturbed), strict=True):
        assert [cell.trial.seed for cell in found] == [7, 8, 9]
        assert {cell.trial.validation for cell in found} == {0}
        means = {}
        for number, values in undisturbed.proposals[search.search_id].items():
            measured = [undisturbed.recorded[cell.trial.trial_id] for cell in search.list_cells(values)]
            means[number] = sum(1.0 if values is None else values[0] for values in measured) / 2
        best = undisturbed.proposals[search.search_id][min(means, key=lambda number: means[number])]
        assert all(getattr(found[0].trial, name) == value for name, value in best.items())


def test_a_proposal_waits_for_exactly_the_results_that_it_knows(searching: Study) -> None:
    ledger = MemoryLedger()
    plan = SearchPlan(searching, 4, ledger)
    jobs = plan.next({}, ())
    assert isinstance(jobs, tuple)
    assert {len(proposals) for proposals in ledger.proposals.values()} == {3}
    started = {trial_id for job in jobs for trial_id in job.trial_ids}
    assert plan.next({}, started) is WAIT
    search = searching.searches[0]
    second = [cell.trial.trial_id for cell in search.list_cells(ledger.proposals[search.search_id][1])]
    assert plan.next(dict.fromkeys(second, "failed"), started) is WAIT  # the first proposal has not ended
    first = [cell.trial.trial_id for cell in search.list_cells(ledger.proposals[search.search_id][0])]
    more = plan.next(dict.fromkeys([*first, *second], "failed"), started)
    assert isinstance(more, tuple)
    assert {trial_id for job in more for trial_id in job.trial_ids} == {
        cell.trial.trial_id
        for number in (3, 4)
        for cell in search.list_cells(ledger.proposals[search.search_id][number])
    }


def test_a_proposal_that_was_removed_is_made_again(searching: Study, undisturbed: MemoryLedger) -> None:
    ledger = MemoryLedger()
    ledger.recorded = dict(undisturbed.recorded)
    ledger.proposals = {search_id: dict(own) for search_id, own in undisturbed.proposals.items()}
    search_id = searching.searches[2].search_id
    del ledger.proposals[search_id][4]
    plan = SearchPlan(searching, 1, ledger)
    assert plan.next(dict.fromkeys(ledger.recorded, "done"), ()) is DONE
    assert ledger.proposals == undisturbed.proposals
    assert ledger.written == 1


def test_a_longer_search_goes_on_from_a_shorter_one(load: Load, undisturbed: MemoryLedger) -> None:
    longer = load(SEARCHING, "search.proposals=16")
    ledger, _ = run_search(longer, 2, random.Random(1), 0)
    for search_id, proposals in undisturbed.proposals.items():
        assert {number: ledger.proposals[search_id][number] for number in range(14)} == proposals


@pytest.mark.parametrize(
    "override",
    [
        "search.seed=1",
        "search.window=4",
        "search.sampler=random",
        "search.stop={after: [1], keep: 0.5}",
        "trial.epochs=3",
        "search.first=[]",
    ],
)
def test_another_search_has_another_id(load: Load, searching: Study, override: str) -> None:
    ids = {search.search_id for search in searching.searches}
    assert len(ids) == 4
    assert ids.isdisjoint(search.search_id for search in load(SEARCHING, override).searches)


def test_settings_that_are_proposed_twice_train_once(load: Load) -> None:
    study = load(SEARCHING, "search.space={mixup: {alpha: {choice: [1, 2]}}}", "search.first=[]", "arms.dropout=null")
    ledger, trained = run_search(study, 3, random.Random(0), 0)
    assert all(len(proposals) == 14 for proposals in ledger.proposals.values())
    assert set(trained.values()) == {1}
    halved = load(
        SEARCHING,
        "search.space={mixup: {alpha: {choice: [1, 2]}}}",
        "search.first=[]",
        "arms.dropout=null",
        "search.stop={after: [1], keep: 0.4}",
    )
    ledger, trained = run_search(halved, 3, random.Random(0), 0)
    assert set(trained.values()) == {1}


SPACE = {
    "alpha": Distribution(log=[0.05, 32.0]),
    "dropout": Distribution(uniform=[0.0, 0.7]),
    "width": Distribution(log_integer=[2, 64]),
    "depth": Distribution(integer=[1, 4]),
    "augment": Distribution(choice=[True, False]),
}


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "random"])
@settings(max_examples=10)
@given(data=st.data())
def test_a_proposal_is_a_function_of_the_results(sampler: str, data: st.DataObject) -> None:
    errors = data.draw(st.lists(st.floats(0, 1) | st.just(math.inf), max_size=14))
    pending = data.draw(st.integers(0, 3))
    proposals: list[Values] = []
    for number in range(len(errors) + pending):
        proposals.append(sample("random", number, SPACE, [], []))
    stops = data.draw(st.lists(st.sampled_from([None, 1, 3]), min_size=len(errors), max_size=len(errors)))
    results = [
        Observation(values, (error,), stop) for values, error, stop in zip(proposals, errors, stops, strict=False)
    ]
    proposed = [sample(sampler, 5, SPACE, results, proposals[len(errors) :]) for _ in range(2)]
    assert proposed[0] == proposed[1]
    assert all(SPACE[name].contains(value) for name, value in proposed[0].items())


@pytest.mark.slow
def test_a_gaussian_process_proposes_what_is_in_the_space() -> None:
    proposals = [sample("random", number, SPACE, [], []) for number in range(12)]
    results = [Observation(values, (values["dropout"],)) for values in proposals]
    proposed = [sample("gp", 0, SPACE, results, proposals[:2]) for _ in range(2)]
    assert proposed[0] == proposed[1]
    assert all(SPACE[name].contains(value) for name, value in proposed[0].items())


def test_tpe_finds_the_better_half() -> None:
    space = {"dropout": Distribution(uniform=[0.0, 1.0])}
    proposals: list[Values] = []
    for number in range(40):
        known = max(0, number - 3)
        results = [Observation(values, (abs(values["dropout"] - 0.8),)) for values in proposals[:known]]
        proposals.append(sample("tpe", 0, space, results, proposals[known:]))
    late = [values["dropout"] for values in proposals[20:]]
    assert sum(abs(value - 0.8) < 0.2 for value in late) > 15


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (
            ["search.space.mixup.alpah={log: [1, 2]}"],
            "search.space.mixup.alpah: unknown key; expected a field of a trial; did you mean 'alpha'?",
        ),
        (["search.space.mixupp={alpha: {log: [1, 2]}}"], "expected an arm; did you mean 'mixup'?"),
        (["search.space.mixup.alpha={log: [0, 2]}"], "expected numbers above 0"),
        (["search.space.mixup.alpha={log: [2, 1]}"], "expected two finite numbers, the lower first"),
        (["search.space.mixup.alpha={log: [1, 2], uniform: [1, 2]}"], "expected one of uniform, log, integer"),
        (["search.space.mixup.alpha={logg: [1, 2]}"], "did you mean 'log'?"),
        (["search.space.mixup.dropout={uniform: [0, 2]}"], "search.space.mixup.dropout: 2.0: expected a value < 1"),
        (["search.space.mixup.seed={integer: [0, 2]}"], "expected a hyper-parameter"),
        (["search.space.ERM={}"], "expected a field to search"),
        (["search.space.ERM={alpha: {log: [1, 2]}}"], "method erm does not take it"),
        (["search.space.ERM={weight_decay: {uniform: [0, 1]}}"], "search.space has it too"),
        (["search.first=[{alpha: 1}]"], "expected a value of dropout, which dropout searches"),
        (["search.first=[{alpha: 100, dropout: 0}]"], "expected a value within the space of mixup"),
        (["search.first=[{alfa: 1, dropout: 0}]"], "did you mean 'alpha'?"),
        (["search.minimise=validation_error_lst"], "did you mean 'validation_error_last'?"),
        (["search.minimise=test_error_last"], "search.on_test_set: true"),
        (["search.minimise=near_modes_last"], "do not measure it"),
        (["trial.validation=0"], "nothing is held out to measure it on; expected trial.validation"),
        (["search.confirm={epochs: [1]}"], "expected a seed, one of data_seed"),
        (["search.confirm={seed: [1, 1]}"], "expected values, each once"),
        (["search.confirm={seed: [-1]}"], "search.confirm.seed"),
        (["search.sampler=tpee"], "did you mean 'tpe'?"),
        (["search.proposals=0"], "search.proposals"),
        (["search.windw=3"], "did you mean 'window'?"),
        (["search.stop={after: [1, 1], keep: 0.5}"], "search.stop.after"),
        (["search.stop={after: [2], keep: 0.5}"], "expected epochs from 1 to 1, rising"),
        (["search.stop={after: [1], keep: 1}"], "search.stop.keep"),
        (["search.stop={after: [1]}"], "search.stop"),
        (["search.stop={after: [1], kep: 0.5}"], "did you mean 'keep'?"),
        (
            ["search.minimise=[validation_error_last, validation_error_lst]"],
            "search.minimise.1: 'validation_error_lst'",
        ),
        (["search.minimise=[validation_error_last, validation_error_last]"], "stands in minimise already"),
        (["search.minimise=[validation_error_last, test_error_last]"], "search.on_test_set: true"),
        (
            ["search.minimise=[validation_error_last, validation_error_best]", "search.stop={after: [1], keep: 0.5}"],
            "expected one measurement beside search.stop",
        ),
        (["search.minimise=[]"], "search.minimise"),
        (["search.minimise=5"], "search.minimise: 5: expected text"),
        (["search.at_most={test_error_last: 5}"], "search.at_most.test_error_last"),
        (["search.at_most={validation_error_bst: 5}"], "did you mean 'validation_error_best'?"),
        (["search.at_most={validation_error_last: 5}"], "stands in minimise already"),
        (
            ["search.at_most={validation_error_best: low}"],
            "search.at_most.validation_error_best: 'low': expected a number",
        ),
        (["search.race={p: 0.1}"], "search.race: 2: no proposal can lose it at p = 0.1; expected at least 5 values"),
        (["search.race={p: 0}"], "search.race.p"),
        (["search.race={q: 0.1}"], "unknown key; expected one of after, p"),
        (["search.race={p: 0.1}", "search.stop={after: [1], keep: 0.5}"], "expected it without search.stop"),
        (["search.warm_start=[a.yaml]"], "unknown key; expected one of sampler"),
        (["table.rows=[arm]"], "label_noise"),
    ],
)
def test_what_makes_no_search_is_one_line(load: Load, overrides: Sequence[str], problem: str) -> None:
    with pytest.raises(InputError) as refused:
        load(SEARCHING, *overrides)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_test_set_is_searched_on_request(load: Load) -> None:
    study = load(SEARCHING, "search.minimise=test_error_last", "search.on_test_set=true", "trial.validation=0")
    assert len(study.searches) == 4
