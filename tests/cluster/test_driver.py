"""Messages on their way through Ray, and what the driver makes of them, without any process that trains."""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixup_study.catalogue import CATALOGUE
from mixup_study.cluster.assignment import Assignment, RunSettings
from mixup_study.cluster.driver import Driver, JobFailure
from mixup_study.cluster.execution import run_assignment
from mixup_study.cluster.local import LocalExecutor
from mixup_study.cluster.messages import (
    EpochEnded,
    InputUnusable,
    Interrupted,
    Message,
    TrialEnded,
    TrialWarning,
    from_report,
    to_report,
)
from mixup_study.store.store import ResultStore
from mixup_study.study.document import Resources
from mixup_study.study.plan import WAIT, Ending, GridPlan, Job, NextJobs
from mixup_study.study.study import Study

STUDY = """\
name: driven
trial: {dataset: digits, model: mlp, width: 8, epochs: 3, batch_size: 50, lr: 0.1}
arms:
  ERM: {}
  pair: {method: mixup, alpha: 1, workers: 2}
  trio: {method: mixup, alpha: 1, workers: 3}
  mixup: {method: mixup, alpha: [1, .inf]}
retries: 1
table: {title: Driven, rows: [arm], columns: [{title: last, metric: test_error_last}], pick: {lowest: test_error_last}}
"""
PACK = """\
name: pack
trial: {dataset: iris, model: mlp, width: 8, epochs: 3, batch_size: 16, optimizer: adam, lr: 1e-2, weight_decay: 0}
grid: {seed: SEEDS}
arms: {ERM: {}}
table: {title: Pack, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""


class Notes:
    """A listener that keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def started(self, job: Job, trial_ids: Sequence[str]) -> None:
        self.calls.append(("started", *trial_ids))

    def progressed(self, trial_id: str, epoch: int, headline: float) -> None:
        self.calls.append(("progressed", trial_id, epoch, headline))

    def restarted(self, trial_ids: Sequence[str], reason: str) -> None:
        self.calls.append(("restarted", *trial_ids, reason))

    def warned(self, trial_id: str, line: str) -> None:
        self.calls.append(("warned", trial_id, line))

    def waited(self, line: str) -> None:
        self.calls.append(("waited", line))

    def resized(self, slots: int) -> None:
        self.calls.append(("resized", slots))

    def interrupted(self, line: str) -> None:
        self.calls.append(("interrupted", line))

    def stopped(self, trial_id: str, train_seconds: float, headline: float | None) -> None:
        self.calls.append(("stopped", trial_id, headline))

    def finished(self, trial_id: str, train_seconds: float, headline: float | None, error: str | None) -> None:
        self.calls.append(("finished", trial_id, headline, error))


def settings_of(study: Study, folder: Path) -> RunSettings:
    return RunSettings.from_study(study, str(folder / "results"), folder / "data", "0.1.0")


@pytest.fixture
def drive(load: Callable[..., Study], tmp_path: Path) -> Callable[..., tuple[Driver, Notes]]:
    """Makes a driver of a study on so many slots, and a listener of it."""

    def driven(text: str = STUDY, slots: int = 3, done: Collection[str] = ()) -> tuple[Driver, Notes]:
        study = load(text)
        notes = Notes()
        return Driver(GridPlan(study, 1), settings_of(study, tmp_path), slots, done, [notes], "2.60.0"), notes

    return driven


MESSAGES: list[Message] = [
    EpochEnded("0123456789abcdef", 3, 0.25),
    TrialEnded("0123456789abcdef", "done", 0.25, 12.5),
    TrialEnded("0123456789abcdef", "failed", None, 12.5, "RuntimeError: a cable came loose"),
    TrialWarning("0123456789abcdef", "no checkpoint saved"),
    InputUnusable("cifar10: not there"),
    Interrupted(),
]


def test_messages_survive_their_way_through_ray() -> None:
    report = {**pickle.loads(pickle.dumps(to_report(*MESSAGES))), "trial_id": "Tune's own", "time_total_s": 1.0}
    assert from_report(report) == MESSAGES
    assert from_report({"trial_id": "Tune's own", "done": True}) == []
    json.dumps(report)  # plain data, for whatever Ray does with it


def test_an_assignment_survives_its_way_to_a_worker(load: Callable[..., Study], tmp_path: Path) -> None:
    study = load(STUDY)
    plan = GridPlan(study, 1)
    (averaging,) = [trial for trial in study.trials.values() if trial.alpha == math.inf]
    assignment = Assignment.from_job(Job((averaging,), frozenset({"a"})), plan, settings_of(study, tmp_path))
    assert Assignment.model_validate_json(assignment.model_dump_json()) == assignment
    assert assignment.title == "driven: mixup, α=∞"


def test_a_job_whose_code_is_another_on_this_node_trains_nothing(load: Callable[..., Study], tmp_path: Path) -> None:
    study = load(STUDY)
    plan = GridPlan(study, 1)
    trial = next(iter(study.trials.values()))
    assignment = Assignment.from_job(Job((trial,)), plan, settings_of(study, tmp_path))
    network = replace(CATALOGUE.networks["mlp"], source="0123456789abcdef")  # as a plugin's has
    elsewhere = trial.model_copy()
    elsewhere.__dict__["components"] = replace(trial.components, network=network)
    elsewhere.__dict__.pop("trial_id", None)
    there = assignment.model_copy(update={"trials": {trial.trial_id: elsewhere}})
    sent: list[Message] = []
    run_assignment(there, sent.append, lambda: False, lambda left: pytest.fail("it trained"))
    (message,) = sent
    assert isinstance(message, InputUnusable)
    assert message.reason.startswith("ERM: its code on this node is not what the command read (model mlp); expected ")


# Which job comes next.


def arms(driver: Driver) -> list[str]:
    """Take jobs until no other fits; return their arms."""
    taken = []
    while (job := driver.next_job()) is not None:
        taken.append(driver.plan.arms[job.trial_ids[0]])
    return taken


def test_jobs_of_different_sizes_share_the_slots_in_the_order_of_the_study(
    drive: Callable[..., tuple[Driver, Notes]],
) -> None:
    driver, _ = drive(slots=3)
    first = driver.next_job()
    assert first is not None
    assert driver.plan.arms[first.trial_ids[0]] == "ERM"
    assert arms(driver) == ["pair"]  # the slots are full
    driver.end(first.name)
    assert arms(driver) == ["mixup"]  # three slots are not free, and one shall not wait for them
    assert not driver.exhausted


def test_slots_that_are_added_take_jobs_and_those_that_are_lost_take_none(
    drive: Callable[..., tuple[Driver, Notes]],
) -> None:
    driver, notes = drive(slots=1)
    first = driver.next_job()
    assert first is not None
    assert arms(driver) == []
    driver.resize(3)
    assert arms(driver) == ["pair"]
    driver.resize(2)  # of a node with a slot of the pair, which waits for another
    driver.end(first.name)
    assert arms(driver) == []
    driver.resize(0)
    assert arms(driver) == []
    assert not driver.exhausted
    driver.resize(4)
    assert arms(driver) == ["mixup", "mixup"]
    assert [call for call in notes.calls if call[0] == "resized"] == [("resized", slots) for slots in (3, 2, 0, 4)]


def test_every_job_is_handed_out_once(drive: Callable[..., tuple[Driver, Notes]]) -> None:
    driver, _ = drive(slots=3)
    names = []
    while not driver.exhausted:
        job = driver.next_job()
        assert job is not None
        names.append(job.name)
        driver.end(job.name)
    assert sorted(names) == sorted(driver.plan.trials)
    assert driver.next_job() is None


def test_what_is_done_is_not_handed_out(drive: Callable[..., tuple[Driver, Notes]]) -> None:
    driver, _ = drive()
    again, _ = drive(done=list(driver.plan.trials))
    assert again.next_job() is None
    assert again.exhausted


class Waiting(GridPlan):
    """A plan that waits for what nobody trains."""

    def next(self, ended: Mapping[str, Ending], started: Collection[str]) -> NextJobs:
        return WAIT


def test_a_plan_that_waits_for_nothing_is_an_error_and_no_endless_wait(
    load: Callable[..., Study], tmp_path: Path
) -> None:
    study = load(STUDY)
    with pytest.raises(RuntimeError, match="the plan waits for a trial to end, but none is under way"):
        LocalExecutor(0, grace=8).run(Waiting(study, 1), settings_of(study, tmp_path), (), [])


# What listeners are told.


def pack_of(drive: Callable[..., tuple[Driver, Notes]], size: int = 3) -> tuple[Driver, Notes, Job]:
    driver, notes = drive(PACK.replace("SEEDS", str(list(range(size)))), 1)
    job = driver.next_job()
    assert job is not None
    assert len(job.trials) == size
    driver.start(job.name)
    return driver, notes, job


def test_a_pack_that_starts_again_goes_on_with_what_has_not_ended(drive: Callable[..., tuple[Driver, Notes]]) -> None:
    driver, notes, job = pack_of(drive)
    first, second, third = job.trial_ids
    driver.handle(EpochEnded(second, 1, 0.5))
    driver.handle(TrialEnded(first, "failed", None, 1.0, "it diverged"))
    driver.restart(job.name, "its process died")
    driver.start(job.name)
    driver.handle(TrialEnded(first, "failed", None, 1.0, "it diverged"))  # which it does again
    driver.handle(TrialWarning(second, "no checkpoint saved"))
    driver.handle(TrialEnded(second, "done", 0.25))
    driver.handle(TrialEnded(third, "done", 0.5))
    driver.end(job.name)
    assert driver.exhausted
    assert notes.calls == [
        ("started", first, second, third),
        ("progressed", second, 1, 0.5),
        ("finished", first, None, "it diverged"),
        ("restarted", second, third, "its process died"),
        ("started", second, third),
        ("warned", second, "no checkpoint saved"),
        ("finished", second, 0.25, None),
        ("finished", third, 0.5, None),
    ]


def test_a_pack_that_is_given_up_is_recorded_but_for_what_ended(
    drive: Callable[..., tuple[Driver, Notes]], tmp_path: Path
) -> None:
    driver, notes, job = pack_of(drive)
    first, *others = job.trial_ids
    driver.handle(TrialEnded(first, "done", 0.25))
    driver.give_up(job.name, JobFailure(OSError("gone"), "its process died", "as Ray tells it"))
    assert driver.bad_input is None
    assert notes.calls[2:] == [("finished", trial_id, None, "its process died") for trial_id in others]
    rows = ResultStore(str(tmp_path / "results")).trials().to_pylist()
    assert [row["trial_id"] for row in rows] == sorted(others)
    for row in rows:
        assert (row["status"], row["error"], row["traceback"]) == ("failed", "its process died", "as Ray tells it")
        assert (row["pack_size"], row["ray_version"], row["device"]) == (3, "2.60.0", None)


def test_input_that_is_unusable_is_told_by_the_first_that_finds_it(
    drive: Callable[..., tuple[Driver, Notes]],
) -> None:
    driver, _ = drive()
    driver.handle(InputUnusable("cifar10: not there"))
    driver.handle(InputUnusable("mnist: not there"))
    assert driver.bad_input == "cifar10: not there"


def test_a_message_of_a_large_pack_is_handled_as_fast_as_any(drive: Callable[..., tuple[Driver, Notes]]) -> None:
    driver, _, job = pack_of(drive, 256)
    message = to_report(EpochEnded(job.trial_ids[200], 1, 0.5))
    begun = time.process_time()
    for _ in range(1000):
        for one in from_report(message):
            driver.handle(one)
    assert time.process_time() - begun < 1000 * 0.2e-3


def test_resources_are_those_of_the_study(load: Callable[..., Study], tmp_path: Path) -> None:
    settings = settings_of(load(STUDY + "resources: {cpus: 2}\n"), tmp_path)
    assert settings.resources == Resources(cpus=2)
    assert settings.retries == 1
