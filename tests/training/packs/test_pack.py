"""Trials in a pack measure what each measures alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mixup_study.study.packs import pack_key
from mixup_study.study.trial import Trial
from mixup_study.training.checkpoint import Checkpointing, Stopped
from mixup_study.training.loop import train
from mixup_study.training.packs import pack
from mixup_study.training.task import TrainingDiverged, TrialResult
from tests.study.test_packs import trial
from tests.training.alone import CPU, train_alone
from tests.training.test_checkpoint import Memory

FOLDER = Path("/dev/null")


def train_together(
    trials: list[Trial], checkpointing: Checkpointing | None = None
) -> list[TrialResult | TrainingDiverged]:
    return train(trials, FOLDER, CPU, lambda trial, row, examples: None, checkpointing)


VARIED: list[dict[str, Any]] = [
    {"seed": 0},
    {"seed": 1},
    {"seed": 1, "split_seed": 7},
    {"seed": 2, "weight_decay": 0.1},
    {"seed": 3, "label_noise": 0.5, "data_seed": 4},
]
PACKS: dict[str, list[dict[str, Any]]] = {
    "erm": VARIED,
    "sgd": [{**fields, "optimizer": "sgd", "lr": 0.1, "momentum": 0.5} for fields in VARIED],
    "mixup": [
        {**fields, "method": "mixup", "alpha": alpha}
        for fields, alpha in zip(VARIED, [0.2, 0.0, 8.0, float("inf"), 0.05], strict=True)
    ],
    "inputs": [{**fields, "method": "mix_inputs", "alpha": 1.0, "label_smoothing": 0.2} for fields in VARIED],
    "smoothing": [{**fields, "method": "label_smoothing", "label_smoothing": 0.1} for fields in VARIED],
    "a subset": [{**fields, "train_size": 50, "milestones": [1]} for fields in VARIED],
    "warmed up": [{**fields, "method": "mixup", "alpha": 1.0, "warmup_epochs": n} for n, fields in enumerate(VARIED)],
    "validated": [{**fields, "train_size": 90, "validation": 0.1} for fields in VARIED],
    "deeper": [{**fields, "depth": 3, "dataset": "wine"} for fields in VARIED],
    "in the plane": [{**fields, "dataset": "two_moons"} for fields in VARIED[:3]],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("block", [2, 16])
def test_a_pack_measures_what_its_trials_measure_alone(name: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "BLOCK", block)
    trials = [trial(**fields) for fields in PACKS[name]]
    assert len({pack_key(one) for one in trials}) == 1
    assert pack_key(trials[0]) is not None
    for one, together in zip(trials, train_together(trials), strict=True):
        alone = train_alone(one)
        assert isinstance(together, TrialResult)
        assert together.epochs[0]["train_loss"] == pytest.approx(alone.epochs[0]["train_loss"], rel=1e-5)
        assert [row["lr"] for row in together.epochs] == [row["lr"] for row in alone.epochs]
        for row, expected in zip(together.epochs, alone.epochs, strict=True):
            assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-4)
            assert row["test_error"] == pytest.approx(expected["test_error"], abs=0.02)
        assert together.measurements.keys() == alone.measurements.keys()
        for metric, value in alone.measurements.items():
            assert together.measurements[metric] == (None if value is None else pytest.approx(value, abs=0.02))
        assert together.points.keys() == alone.points.keys()


def test_what_a_trial_measures_does_not_depend_on_the_others() -> None:
    mixup = [trial(seed=seed, method="mixup", alpha=0.2) for seed in range(6)]
    first = train_together(mixup)[2]
    other = train_together([trial(seed=9, method="mixup", alpha=1.0), mixup[2], *mixup[4:]])[1]
    assert isinstance(first, TrialResult)
    assert isinstance(other, TrialResult)
    losses = [[row["train_loss"] for row in one.epochs] for one in (first, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.slow
def test_a_trial_that_diverges_ends_only_itself() -> None:
    sgd: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1}
    tame, wild = train_together([trial(seed=0, **sgd), trial(seed=1, weight_decay=1e20, **sgd)])
    assert isinstance(wild, TrainingDiverged)
    assert str(wild) == "the training loss of epoch 1 is nan"
    assert isinstance(tame, TrialResult)
    alone = train_alone(trial(seed=0, **sgd))
    assert [row["test_error"] for row in tame.epochs] == [row["test_error"] for row in alone.epochs]


def test_a_resumed_pack_equals_the_undisturbed_one_to_the_bit() -> None:
    trials = [trial(seed=seed, epochs=4, method="mixup", alpha=0.2, weight_decay=seed / 100) for seed in range(5)]
    whole = train_together(trials)
    file = Memory()
    for stop_after in (1, 2):
        epochs: list[int] = []
        checkpointing = Checkpointing(
            file, 0.0, lambda epochs=epochs, last=stop_after: len(epochs) == last * len(trials), pytest.fail
        )
        with pytest.raises(Stopped):
            train(
                trials,
                FOLDER,
                CPU,
                lambda trial, row, examples, epochs=epochs: epochs.append(row["epoch"]),
                checkpointing,
            )
        torch.rand(5)  # what else a process drew must not matter
    resumed = train_together(trials, Checkpointing(file, 3600.0, lambda: False, pytest.fail))
    for one, other in zip(whole, resumed, strict=True):
        assert isinstance(one, TrialResult)
        assert isinstance(other, TrialResult)
        assert one.measurements == other.measurements
        assert [row["train_loss"] for row in one.epochs] == [row["train_loss"] for row in other.epochs]


def test_the_checkpoint_of_another_pack_is_not_used() -> None:
    trials = [trial(seed=seed, epochs=3) for seed in range(3)]
    file = Memory()
    train_together(trials, Checkpointing(file, 0.0, lambda: False, pytest.fail))
    told: list[str] = []
    ended = train_together(trials[:2], Checkpointing(file, 3600.0, lambda: False, told.append))
    assert len(told) == 1
    assert told[0].startswith("checkpoint not used, training starts over: it is of trial_id ")
    assert all(isinstance(one, TrialResult) and len(one.epochs) == 3 for one in ended)
