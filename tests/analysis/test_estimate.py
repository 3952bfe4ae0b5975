from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from mixup_study.analysis.estimate import count_flop, estimate, estimate_gpu_hours
from mixup_study.store.record import TrialRecord
from mixup_study.study.trial import Trial

RecordMaker = Callable[..., TrialRecord]
TrialMaker = Callable[..., Trial]


def rows(*records: TrialRecord) -> Sequence[Mapping[str, Any]]:
    return [row for record in records for row in record.trials_table().to_pylist()]


def expected(trial: Trial, took: Sequence[Mapping[str, Any]]) -> str:
    """Return how long a trial may take, or none."""
    return estimate([trial], took, 0).removeprefix("estimate: ").split(" of training")[0].split(";")[0]


def test_a_trial_may_take_the_median_of_those_alike(record: RecordMaker, trial: TrialMaker) -> None:
    took = rows(*(record(seed=seed, train_seconds=taken) for seed, taken in enumerate([10, 12, 100])))
    assert expected(trial(seed=9), took) == "12 s"


def test_it_takes_as_much_longer_as_it_has_more_epochs(record: RecordMaker, trial: TrialMaker) -> None:
    took = rows(record(epochs=2, train_seconds=10))
    assert expected(trial(epochs=20), took) == "1 min 40 s"


def test_hyper_parameters_make_no_difference(record: RecordMaker, trial: TrialMaker) -> None:
    took = rows(record(train_seconds=10))
    assert expected(trial(method="mixup", alpha=8, dropout=0.5, label_noise=0.8, lr=1.0), took) == "10 s"


GAN = {"task": "gan", "dataset": "gaussian_ring", "model": "mlp"}


@pytest.mark.parametrize(
    ("recorded", "fields"),
    [
        *(({}, given) for given in ({"dataset": "cifar10"}, {"train_size": 5}, {"width": 8}, {"batch_size": 1})),
        *(({}, given) for given in ({"workers": 2}, {"precision": "bfloat16"}, {"model": "mlp"})),
        ({"model": "mlp"}, {"model": "mlp", "depth": 64}),
        (GAN, GAN | {"discriminator_steps": 1}),
    ],
    ids=str,
)
def test_another_data_set_network_or_minibatch_is_not_alike(
    record: RecordMaker, trial: TrialMaker, recorded: dict[str, Any], fields: dict[str, Any]
) -> None:
    assert expected(trial(**fields), rows(record(**recorded))) == "none"
    assert expected(trial(**recorded), rows(record(**recorded))) != "none"


def test_a_failed_trial_says_nothing(record: RecordMaker, trial: TrialMaker) -> None:
    assert expected(trial(), rows(record(status="failed"))) == "none"
    assert expected(trial(), []) == "none"


def test_slots_share_the_time(record: RecordMaker, trial: TrialMaker) -> None:
    left = [trial(seed=seed) for seed in range(1, 7)]
    took = rows(record(train_seconds=60))
    assert estimate(left, took, 1) == "estimate: 6 min 0 s of training, 6 min 0 s on 1 slot, going by trials on a CPU"
    assert estimate(left, took, 3) == "estimate: 6 min 0 s of training, 2 min 0 s on 3 slots, going by trials on a CPU"


def test_epochs_that_a_checkpoint_holds_are_not_counted(record: RecordMaker, trial: TrialMaker) -> None:
    left = [trial(epochs=20, seed=1), trial(epochs=20, seed=2)]
    took = rows(record(epochs=2, train_seconds=10))
    assert estimate(left, took, 0, {left[0].trial_id: 15}).startswith("estimate: 2 min 5 s of training, going by")


def test_workers_of_a_trial_hold_a_slot_each(record: RecordMaker, trial: TrialMaker) -> None:
    took = rows(record(workers=2, train_seconds=30))
    assert (
        estimate([trial(workers=2)], took, 2)
        == "estimate: 1 min 0 s of training, 30 s on 2 slots, going by trials on a CPU"
    )


def test_trials_like_none_are_counted_apart(record: RecordMaker, trial: TrialMaker) -> None:
    left = [trial(seed=1), trial(width=8), trial(width=16)]
    found = estimate(left, rows(record(train_seconds=10)), 1)
    counted = "estimate: 10 s of training, 10 s on 1 slot; 2 trials without a comparable one not counted"
    assert found == f"{counted}, going by trials on a CPU"


def test_without_any_like_them_there_is_no_estimate(trial: TrialMaker) -> None:
    found = estimate([trial()], [], 1)
    assert found == "estimate: none; no finished trial of the same data set and network in the results"


def test_with_nothing_left_there_is_nothing_to_estimate(record: RecordMaker) -> None:
    assert estimate([], rows(record()), 1) == "nothing to run"


def test_an_evaluation_may_take_what_others_of_models_like_its_own_did(record: RecordMaker, trial: TrialMaker) -> None:
    took = rows(record(width=8, train_seconds=100), record(width=16, train_seconds=200))
    for width, seconds in ((8, 3), (16, 7)):
        evaluation = Trial(task="attack", source=trial(width=width), epsilon=8)
        took = [*took, *rows(record(evaluation, train_seconds=seconds))]
    for width, seconds in ((8, "3.0 s"), (16, "7.0 s")):
        evaluation = Trial(task="attack", source=trial(width=width, seed=5), epsilon=8)
        assert expected(evaluation, took) in (seconds, seconds.replace(".0", ""))
    assert expected(Trial(task="attack", source=trial(width=32)), took) == "none"
    assert expected(Trial(task="attack", source=trial(width=8), steps=10), took) == "none"


FULL = {"dataset": "imagenet", "model": "resnet50", "precision": "bfloat16", "batch_size": 256}


def full(**fields: Any) -> Trial:
    return Trial(**{**FULL, "epochs": 90, "lr": 0.1, **fields})


def test_the_arithmetic_of_a_trial_follows_from_its_network_its_examples_and_its_epochs() -> None:
    assert count_flop(full()) == pytest.approx(3 * 8.18e9 * 1_281_167 * 90)
    assert count_flop(full(epochs=45, train_size=1000)) == pytest.approx(3 * 8.18e9 * 1000 * 45)
    assert count_flop(full(dataset="cifar10")) == pytest.approx(3 * 8.18e9 * 50_000 * 90 * 32 * 32 / 224 / 224)


def test_it_is_not_known_of_another_width_nor_of_data_without_a_size(trial: TrialMaker) -> None:
    assert count_flop(full(width_per_group=32)) is None
    assert count_flop(full(dataset="digits")) is None
    assert count_flop(trial(model="mlp")) is None
    assert count_flop(Trial(task="attack", source=full(), epsilon=8)) is None


def test_what_nothing_was_measured_of_is_estimated_by_its_arithmetic(trial: TrialMaker) -> None:
    assert (
        estimate_gpu_hours([full(), full(seed=1, epochs=180), trial()], [], tflops=100, price=2)
        == "estimate by arithmetic, not measured: 23.6 GPU-hours, 47 at 2 an hour for 2 trials (7 h 51 min to 15 h 43"
        " min each) at 100 TFLOP/s a GPU; 1 trial not counted"
    )
    assert (
        estimate_gpu_hours([full(), full(precision="float32")], [])
        == "estimate by arithmetic, not measured: 41.9 GPU-hours for 2 trials (10 h 28 min to 1 d 7 h each) at 75 or 25"
        " TFLOP/s a GPU"
    )
    assert "47 at 2 an hour, 15 h 43 min on 2 GPUs for 2 trials" in (
        estimate_gpu_hours([full(), full(seed=1, epochs=180)], [], tflops=100, price=2, gpus=2) or ""
    )  # as long as the longest trial
    assert "15 h 43 min on 8 GPUs" in (estimate_gpu_hours([full(seed=n) for n in range(16)], [], 100, gpus=8) or "")
    assert estimate_gpu_hours([trial()], []) is None


def test_what_was_measured_is_not_estimated_by_arithmetic(record: RecordMaker) -> None:
    took = rows(record(full(), train_seconds=3600))
    assert estimate_gpu_hours([full(seed=1)], took) is None
    assert "1 trial" in (estimate_gpu_hours([full(seed=1), full(model="resnet101")], took) or "")
