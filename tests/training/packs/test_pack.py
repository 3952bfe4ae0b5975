"""Trials in a pack measure what each measures alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mixup_study.study.packs import pack_key
from mixup_study.study.trial import Trial
from mixup_study.training import task
from mixup_study.training.checkpoint import Checkpointing, Stopped
from mixup_study.training.loop import train
from mixup_study.training.packs import pack
from mixup_study.training.task import TrainingDiverged, TrialResult
from tests.study.test_packs import trial
from tests.training.alone import CPU, train_alone
from tests.training.test_checkpoint import Memory, unpack
from tests.training.test_checkpoint import pack as pack_state

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
    together_all = train_together(trials)
    monkeypatch.setattr(task, "pack_key", lambda trial: None)  # as one that no pack takes
    for one, together in zip(trials, together_all, strict=True):
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


def train_and_digest(trials: list[Trial]) -> dict[str, Any]:
    """Return all numbers of each trial's training, and its trained weights as bytes, by trial_id."""
    weights: dict[str, bytes] = {}

    def keep(trial: Trial, state: Mapping[str, Tensor]) -> None:
        weights[trial.trial_id] = b"".join(tensor.contiguous().numpy().tobytes() for tensor in state.values())

    results = train(trials, FOLDER, CPU, lambda trial, row, examples: None, save_model=keep)
    digests = {}
    for own, result in zip(trials, results, strict=True):
        assert isinstance(result, TrialResult)
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in result.epochs]
        digests[own.trial_id] = (rows, result.measurements, weights[own.trial_id])
    return digests


SHAPES: dict[str, dict[str, Any]] = {
    "as in Table 4": {"width": 128},
    "odd sizes": {"width": 7, "batch_size": 9, "method": "mixup", "alpha": 1.0},
    "odd sizes, SGD": {"width": 13, "dataset": "wine", "optimizer": "sgd", "lr": 0.1, "momentum": 0.5},
    "smoothed": {"width": 8, "method": "label_smoothing", "label_smoothing": 0.1, "train_size": 50},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_trial_measures_the_same_bits_in_any_company(shape: str) -> None:
    trials = [trial(seed=seed, weight_decay=seed % 3 / 100, **{"epochs": 2, **SHAPES[shape]}) for seed in range(21)]
    whole = train_and_digest(trials)
    draw = random.Random(0)
    for size in (1, 2, 3, 5, 17):
        company = draw.sample(trials, size)
        assert train_and_digest(company) == {one.trial_id: whole[one.trial_id] for one in company}


@pytest.mark.slow
def test_a_trial_that_diverges_ends_only_itself() -> None:
    sgd: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1}
    tame, wild = train_together([trial(seed=0, **sgd), trial(seed=1, weight_decay=1e20, **sgd)])
    assert isinstance(wild, TrainingDiverged)
    assert str(wild) == "the training loss of epoch 1 is nan"
    assert isinstance(tame, TrialResult)
    alone = train_alone(trial(seed=0, **sgd))
    assert [row["test_error"] for row in tame.epochs] == [row["test_error"] for row in alone.epochs]


class Memories:
    """A place for the checkpoint of each trial."""

    def __init__(self) -> None:
        self.files: dict[str, Memory] = {}

    def __call__(self, trial: Trial) -> Memory:
        return self.files.setdefault(trial.trial_id, Memory())


def train_until(trials: list[Trial], files: Memories, epoch: int) -> None:
    """Train trials that are stopped after an epoch, and save."""
    epochs: list[int] = []

    def report(trial: Trial, row: Mapping[str, Any], examples: int) -> None:
        epochs.append(row["epoch"])

    checkpointing = Checkpointing(files, 0.0, lambda: epoch in epochs, pytest.fail)
    with pytest.raises(Stopped):
        train(trials, FOLDER, CPU, report, checkpointing)
    torch.rand(5)  # what else a process drew must not matter


def assert_same_numbers(trials: list[Trial], files: Memories, warn: Callable[[str], None] = pytest.fail) -> None:
    """Assert that trials go on from their checkpoints to the numbers of undisturbed ones."""
    resumed = train_together(trials, Checkpointing(files, 3600.0, lambda: False, warn))
    for one, other in zip(train_together(trials), resumed, strict=True):
        assert isinstance(one, TrialResult)
        assert isinstance(other, TrialResult)
        assert one.measurements == other.measurements
        assert [row["train_loss"] for row in one.epochs] == [row["train_loss"] for row in other.epochs]


@pytest.mark.parametrize("optimizer", [{}, {"optimizer": "sgd", "lr": 0.1, "momentum": 0.5}], ids=["adam", "sgd"])
def test_trials_go_on_from_their_own_checkpoints_in_any_company(optimizer: dict[str, Any]) -> None:
    fields = {"epochs": 4, "method": "mixup", "alpha": 0.2, **optimizer}
    trials = [trial(seed=seed, weight_decay=seed / 100, **fields) for seed in range(5)]
    files = Memories()
    train_until(trials[:3], files, 1)
    train_until([trials[4], trials[1]], files, 2)
    assert_same_numbers(trials, files)  # of epochs 0, 1 and 2


def test_a_checkpoint_that_does_not_fit_costs_its_own_trial_alone() -> None:
    trials = [trial(seed=seed, epochs=3) for seed in range(3)]
    files = Memories()
    train_until(trials, files, 2)
    state = unpack(files(trials[1]).content or b"")
    del state["parameters"]
    files(trials[1]).content = pack_state(state)
    told: list[str] = []
    assert_same_numbers(trials, files, told.append)
    assert [line.startswith("checkpoint not used, training starts over: it does not fit") for line in told] == [True]
