"""What is ready to be trained, and in which packs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixup_study.study.packs import LARGEST
from mixup_study.study.plan import DONE, WAIT, Ending, GridPlan, Job
from mixup_study.study.study import Study, StudyFile
from mixup_study.study.trial import Trial

PACKS = """\
name: packs
trial: {dataset: iris, model: mlp, width: 8, epochs: 3, batch_size: 16, optimizer: adam, lr: 1e-2, weight_decay: 0}
grid: {seed: [0, 1, 2, 3, 4]}
arms:
  ERM: {}
  mixup: {method: mixup, alpha: [0.2, 1]}
table:
  title: Small tables
  rows: [arm]
  columns: [{title: last, metric: test_error_last}]
  pick: {lowest: test_error_last}
"""
NETWORKS = """\
name: networks
trial: {dataset: digits, model: mlp, width: 8, epochs: 3, batch_size: 50, lr: 0.1}
grid: {seed: [0, 1, 2, 3, 4, 5]}
arms:
  ERM: {}
table: {title: Networks, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""


@pytest.fixture
def packs(load: Callable[..., Study]) -> Callable[..., Study]:
    """Loads a study of two packs of small networks, five trials of ERM and ten of mixup, under overrides."""
    return lambda *overrides: load(PACKS, *overrides)


def jobs(study: Study, slots: int = 1, done: Sequence[int] = ()) -> tuple[Job, ...]:
    """Return the first jobs of a study whose trials at places ``done`` are done."""
    order = list(study.trials)
    ready = GridPlan(study, slots).next({order[place]: "done" for place in done}, ())
    assert isinstance(ready, tuple)
    return ready


def sizes(jobs: Sequence[Job]) -> list[int]:
    return [len(job.trials) for job in jobs]


def test_every_row_of_the_table_has_its_first_trial_before_another_has_its_second(load: Callable[..., Study]) -> None:
    grid = "grid={label_noise: [0.2, 0.5, 0.8], seed: [0, 1]}"
    table = ("table.rows=[label_noise, arm]", "table.pick={lowest: test_error_last}")
    study = load(NETWORKS, grid, "arms.mixup={method: mixup, alpha: [1, 8]}", *table)
    order = [trial for job in jobs(study, 4) for trial in job.trials]
    rows = [(trial.label_noise, trial.method) for trial in order]
    assert len(order) == len(study.trials) == 18
    assert len(set(rows[:6])) == 6
    assert len(set(rows[6:12])) == 6
    assert set(rows[12:]) == {(noise, "mixup") for noise in (0.2, 0.5, 0.8)}


# Packs.


def test_trials_that_may_are_packed_in_the_order_of_the_study(packs: Callable[..., Study]) -> None:
    study = packs()
    erm, mixup = jobs(study)
    assert [trial.seed for trial in erm.trials] == [0, 1, 2, 3, 4]
    assert {trial.method for trial in erm.trials} == {"erm"}
    assert {trial.method for trial in mixup.trials} == {"mixup"}
    assert list(mixup.trials) == [trial for trial in study.trials.values() if trial.method == "mixup"]


@pytest.mark.parametrize(
    ("slots", "expected"),
    [(1, [5, 10]), (2, [5, 5, 5]), (3, [5, 5, 5]), (4, [2, 3, 3, 3, 4]), (5, [2, 3, 2, 3, 2, 3]), (99, [1] * 15)],
)
def test_no_slot_is_left_idle_while_another_trains_a_large_pack(
    packs: Callable[..., Study], slots: int, expected: list[int]
) -> None:
    study = packs()
    ready = jobs(study, slots)
    assert sorted(sizes(ready)) == sorted(expected)
    assert max(sizes(ready)) <= -(-15 // slots)
    assert sorted(trial_id for job in ready for trial_id in job.trial_ids) == sorted(study.trials)


def test_large_studies_have_several_packs_of_a_size(packs: Callable[..., Study]) -> None:
    seeds = f"grid.seed={list(range(2 * LARGEST + 2))}"
    large = sizes(jobs(packs(seeds, "arms.mixup=null")))
    assert sum(large) == 2 * LARGEST + 2
    assert len(large) == 3
    assert max(large) - min(large) <= 1


def test_what_cannot_be_packed_is_trained_alone_and_takes_no_share_of_a_pack(packs: Callable[..., Study]) -> None:
    ready = jobs(packs("arms.drop={dropout: 0.5}"), slots=3)
    assert sizes([job for job in ready if job.trials[0].dropout]) == [1] * 5
    assert sizes([job for job in ready if not job.trials[0].dropout]) == [5, 5, 5]


def test_other_shapes_are_packs_of_their_own(packs: Callable[..., Study]) -> None:
    ready = jobs(packs("grid.dataset=[iris, wine]", "arms.mixup=null"))
    assert [{trial.dataset for trial in job.trials} for job in ready] == [{"iris"}, {"wine"}]


def test_what_is_left_is_shared_by_all_slots_again(packs: Callable[..., Study]) -> None:
    study = packs()
    whole = jobs(study, slots=2)
    order = list(study.trials)
    done = [order.index(trial_id) for job in whole[1:] for trial_id in job.trial_ids]
    rest = jobs(study, slots=2, done=done)
    assert len(rest) == 2
    assert [trial for job in rest for trial in job.trials] == list(whole[0].trials)
    assert max(sizes(rest)) - min(sizes(rest)) <= 1


def test_nothing_is_left_of_a_study_that_is_done(packs: Callable[..., Study]) -> None:
    study = packs()
    assert GridPlan(study, 1).next(dict.fromkeys(study.trials, "done"), ()) is DONE


# Trials that need others' models.


def trial(seed: int) -> Trial:
    """Return a trial that no study here has."""
    return Trial(dataset="digits", model="mlp", width=8, epochs=3, batch_size=50, lr=0.1, seed=seed)


Needs = Mapping[int, Sequence[int]]
"""By the seed of a trial, the seeds of those that it needs."""


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of six trials, whose seeds are 0 to 5."""
    (file := tmp_path_factory.mktemp("study") / "networks.yaml").write_text(NETWORKS)
    return StudyFile(file).load("full")


def let_need(patch: pytest.MonkeyPatch, needs: Needs) -> None:
    """Let trials need each other, or others that no study shows."""
    patch.setattr(Trial, "needs", property(lambda one: tuple(trial(seed) for seed in needs.get(one.seed, ()))))


def seeds(ready: Any) -> list[int]:
    return [job.trials[0].seed for job in ready]


def test_a_trial_waits_for_those_that_it_needs_and_they_leave_their_models(
    networks: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_need(monkeypatch, {0: [1], 2: [70]})
    plan = GridPlan(networks, 2)
    first = plan.next({}, ())
    assert isinstance(first, tuple)
    assert seeds(first) == [70, 1, 3, 4, 5]  # 70, which the study does not show, is trained too
    kept = {job.trials[0].seed: job.keep_models for job in first}
    assert kept == {1: {trial(1).trial_id}, 70: {trial(70).trial_id}, 3: set(), 4: set(), 5: set()}
    assert plan.labels[trial(70).trial_id] == f"model for {plan.labels[trial(2).trial_id]}"
    assert plan.arms[trial(70).trial_id] == "ERM"

    started = {job.name for job in first}
    assert plan.next({}, started) is WAIT
    ended: dict[str, Ending] = {trial(3).trial_id: "done"}
    assert plan.next(ended, started) is WAIT
    ended[trial(1).trial_id] = "done"
    assert seeds(plan.next(ended, started)) == [0]
    started.add(trial(0).trial_id)
    ended[trial(70).trial_id] = "failed"
    assert plan.next(ended, started) is DONE
    assert plan.blocked(ended) == {trial(2).trial_id: trial(70).trial_id}


def test_what_waits_for_a_blocked_trial_waits_for_the_one_that_failed(
    networks: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_need(monkeypatch, {0: [1], 1: [2]})
    plan = GridPlan(networks, 2)
    failed, middle, last = (trial(seed).trial_id for seed in (2, 1, 0))
    assert plan.blocked({failed: "failed"}) == {middle: failed, last: failed}
    assert plan.blocked({failed: "done", middle: "failed"}) == {last: middle}
    assert plan.blocked({}) == {}


graphs = st.dictionaries(st.integers(0, 5), st.lists(st.integers(1, 8), max_size=3, unique=True), max_size=6).map(
    lambda graph: {seed: [needed for needed in above if needed > seed] for seed, above in graph.items()}
)


@given(
    graph=graphs, failing=st.sets(st.integers(0, 8)), slots=st.integers(1, 4), order=st.randoms(use_true_random=False)
)
def test_whatever_order_trials_end_in_each_is_handed_out_once_after_those_it_needs(
    networks: Study, graph: Needs, failing: set[int], slots: int, order: random.Random
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        let_need(patch, graph)
        plan = GridPlan(networks, slots)
        ended: dict[str, Ending] = {}
        started: set[str] = set()
        running: list[Trial] = []
        queue: list[Job] = []
        while True:
            ready = plan.next(ended, started)
            if isinstance(ready, tuple):
                assert ready
                for job in ready:
                    assert started.isdisjoint(job.trial_ids)
                    assert all(ended.get(needed.trial_id) == "done" for needed in job.trials[0].needs)
                    started.update(job.trial_ids)
                    queue.append(job)
                continue
            if not queue and not running:
                break
            while queue and len(running) < slots:
                running.append(queue.pop(order.randrange(len(queue))).trials[0])
            over = running.pop(order.randrange(len(running)))
            ended[over.trial_id] = "failed" if over.seed in failing else "done"
        assert ready is DONE  # and WAIT only while something runs
        blocked = plan.blocked(ended)
        assert started == ended.keys()
        assert started | blocked.keys() == set(plan.trials)
        assert started.isdisjoint(blocked)
        assert all(ended[waited_for] == "failed" for waited_for in blocked.values())
        assert set(networks.trials) <= set(plan.trials)


EVALUATIONS = """\
name: evaluations
trial: {task: attack, dataset: digits, model: mlp, width: 8, epochs: 3, batch_size: 50, lr: 0.1}
models: {ERM: {}, other: {seed: 1}}
grid: {steps: [1, 10]}
arms:
  white: {source: ERM}
  black: {source: ERM, attacker: other}
table: {title: Evaluations, rows: [arm, steps], columns: [{title: error, metric: adversarial_error}]}
"""


def test_evaluations_have_their_models_trained_first_and_once(load: Callable[..., Study]) -> None:
    plan = GridPlan(load(EVALUATIONS), 1)
    erm, other = trial(0).trial_id, trial(1).trial_id
    assert plan.needed == {erm, other} == plan.list_wanted(())
    first = plan.next({}, ())
    assert isinstance(first, tuple)
    assert [job.trial_ids for job in first] == [(erm,), (other,)]
    ready = plan.next({erm: "done"}, {erm, other})
    assert isinstance(ready, tuple)
    assert [job.trials[0].attacker for job in ready] == [None, None]
    assert [job.epochs for job in ready] == [0, 0]
    evaluations = set(plan.trials) - {erm, other}
    assert plan.list_wanted({erm, other, *evaluations}) == set()
    assert plan.list_retrained({erm, other}, {other}) == {erm}
    assert plan.list_retrained({erm, other, *evaluations}, set()) == set()
