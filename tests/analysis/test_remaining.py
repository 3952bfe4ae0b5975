from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from mixup_study.analysis.estimate import cost_kind, list_columns, seconds_per_epoch
from mixup_study.analysis.remaining import Remaining, RemainingTime
from mixup_study.store.record import TrialRecord
from mixup_study.study.plan import Job
from mixup_study.study.trial import Trial

RecordMaker = Callable[..., TrialRecord]
TrialMaker = Callable[..., Trial]


def many(trial: TrialMaker, count: int, **fields: object) -> list[Trial]:
    return [trial(**{"epochs": 20, **fields}, seed=seed) for seed in range(count)]


def begin(time: RemainingTime, *trials: Trial, at: float = 0.0) -> None:
    job = Job(trials)
    time.start(job, job.trial_ids, at)


def seconds_left(time: RemainingTime, left: Sequence[Trial], now: float) -> float:
    remaining = time.count(left, now)
    assert remaining is not None
    return remaining.seconds


def test_epochs_count_and_not_trials(trial: TrialMaker) -> None:
    first, second = many(trial, 2)
    time = RemainingTime(1, {}, {})
    begin(time, first)
    assert time.count([first, second], 1.0) is None  # nothing is known yet
    time.report(first.trial_id, 1, 5.0)
    assert seconds_left(time, [first, second], 5.0) == 39 * 5
    time.report(first.trial_id, 2, 7.0)  # the first epoch had the start of the process in it
    time.report(first.trial_id, 4, 11.0)
    assert seconds_left(time, [first, second], 11.0) == 36 * 2
    assert seconds_left(time, [first, second], 12.5) == 36 * 2 - 1.5


def test_recorded_trials_tell_until_this_run_has_measured(trial: TrialMaker, record: RecordMaker) -> None:
    rows = record(epochs=2, train_seconds=20).trials_table().select(list_columns()).to_pylist()
    first, second = many(trial, 2)
    time = RemainingTime(1, seconds_per_epoch(rows), {})
    begin(time, first)
    assert seconds_left(time, [first, second], 0.0) == 40 * 10
    time.report(first.trial_id, 1, 50.0)
    assert seconds_left(time, [first, second], 50.0) == 39 * 10
    time.report(first.trial_id, 2, 53.0)
    assert seconds_left(time, [first, second], 53.0) == 38 * 3


def test_each_kind_of_trial_takes_its_own_time(trial: TrialMaker) -> None:
    narrow, wide = trial(epochs=10, width=2), trial(epochs=10, width=8)
    time = RemainingTime(1, {cost_kind(narrow): 1.0, cost_kind(wide): 7.0}, {})
    assert time.count([narrow, wide], 0.0) == Remaining(80.0, is_least=False)
    time = RemainingTime(1, {cost_kind(narrow): 1.0}, {})
    assert time.count([narrow, wide], 0.0) == Remaining(10.0, is_least=True)
    assert time.count([wide], 0.0) is None


@pytest.mark.parametrize(("slots", "seconds"), [(1, 60.0), (2, 40.0), (3, 20.0), (8, 20.0)])
def test_a_trial_takes_the_slot_that_is_free_first(slots: int, seconds: float, trial: TrialMaker) -> None:
    trials = many(trial, 3)
    time = RemainingTime(slots, {cost_kind(trials[0]): 1.0}, {})
    assert seconds_left(time, trials, 0.0) == seconds
    for one in trials[:slots]:
        begin(time, one)
    assert seconds_left(time, trials, 5.0) == seconds - 5


def test_workers_of_a_trial_hold_a_slot_each(trial: TrialMaker) -> None:
    pair, alone = trial(workers=2, epochs=10), trial(epochs=10)
    time = RemainingTime(2, {cost_kind(pair): 1.0, cost_kind(alone): 1.0}, {})
    assert seconds_left(time, [pair, alone], 0.0) == 20


def test_trials_of_a_pack_share_its_time(trial: TrialMaker) -> None:
    trials = many(trial, 4)
    time = RemainingTime(2, {}, {})
    begin(time, *trials)
    for epoch in (1, 2, 3):
        for one in trials:
            time.report(one.trial_id, epoch, 8.0 * epoch)
    assert seconds_left(time, trials, 24.0) == 17 * 8
    assert seconds_left(time, [*trials, *many(trial, 5)[4:]], 24.0) == 17 * 8  # another slot takes a fifth one


def test_a_trial_goes_on_from_its_checkpoint(trial: TrialMaker) -> None:
    first, second = many(trial, 2)
    time = RemainingTime(1, {}, {first.trial_id: 10})
    begin(time, first)
    time.report(first.trial_id, 12, 6.0)
    assert seconds_left(time, [first, second], 6.0) == (8 + 20) * 3


def test_what_a_trial_does_again_is_not_taken_for_fast_epochs(trial: TrialMaker) -> None:
    (first,) = many(trial, 1)
    time = RemainingTime(1, {}, {})
    begin(time, first)
    for epoch in (1, 2, 3):
        time.report(first.trial_id, epoch, 2.0 * epoch)
    time.pause(first.trial_id)
    assert seconds_left(time, [first], 90.0) == 17 * 2
    begin(time, first, at=100.0)
    time.report(first.trial_id, 2, 100.1)  # of its checkpoint
    time.report(first.trial_id, 3, 102.1)
    assert seconds_left(time, [first], 102.1) == pytest.approx(17 * 2)


def test_short_trials_tell_by_their_ends(trial: TrialMaker) -> None:
    first, second = many(trial, 2, epochs=2)
    time = RemainingTime(1, {}, {})
    begin(time, first)
    time.end(first, 6.0)
    assert seconds_left(time, [second], 9.0) == 6.0


@pytest.mark.parametrize(
    ("remaining", "text"),
    [
        (Remaining(3.0, is_least=False), "under 10 s left"),
        (Remaining(-3.0, is_least=True), "at least 10 s left"),
        (Remaining(41.0, is_least=False), "about 40 s left"),
        (Remaining(58.0, is_least=False), "about 1 min left"),
        (Remaining(725.0, is_least=False), "about 12 min left"),
        (Remaining(725.0, is_least=True), "at least 12 min left"),
        (Remaining(3599.0, is_least=False), "about 1 h 0 min left"),
        (Remaining(7835.0, is_least=False), "about 2 h 11 min left"),
        (Remaining(273_600.0, is_least=False), "about 3 d 4 h left"),
    ],
)
def test_it_is_told_in_few_words(remaining: Remaining, text: str) -> None:
    assert remaining.text() == text


def test_it_counts_down() -> None:
    assert Remaining(725.0, is_least=False).text(600.0) == "about 2 min left"
