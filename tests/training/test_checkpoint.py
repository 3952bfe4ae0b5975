from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixup_study.store.checkpoints import ENVELOPE, CheckpointEntry, open_checkpoint, seal_checkpoint
from mixup_study.store.envelope import FileUnusable
from mixup_study.study.trial import Trial
from mixup_study.training.checkpoint import Checkpointing, Stopped
from mixup_study.training.loop import train
from mixup_study.training.state_bytes import load_state, save_state
from mixup_study.training.task import StoppedTrial, TrialResult
from tests.training.alone import train_alone

CPU = torch.device("cpu")
FOLDER = Path("/dev/null")


def trial(**fields: Any) -> Trial:
    small = {"train_size": 130, "label_noise": 0.5, "width": 2, "epochs": 4, "batch_size": 32, "milestones": [2]}
    return Trial(**{"dataset": "digits", "model": "preact_resnet18", "lr": 0.1, **small, **fields})


def pack(state: dict[str, Any]) -> bytes:
    return seal_checkpoint(CheckpointEntry("0" * 16, 1, False), save_state(state))


def unpack(checkpoint: bytes) -> dict[str, Any]:
    return load_state(open_checkpoint(checkpoint))


@dataclass
class Memory:
    """A place for one checkpoint."""

    content: bytes | None = None
    full: bool = False

    def read(self) -> bytes | None:
        return self.content

    def write(self, content: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.content = content


@dataclass
class Run:
    """One process that trains a trial: it stops after some epochs, and says what it did."""

    file: Memory
    stop_after: int | None = None
    seconds: float = 0.0
    epochs: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def train(self, trial: Trial) -> TrialResult:
        checkpointing = Checkpointing(
            lambda trial: self.file, self.seconds, lambda: len(self.epochs) == self.stop_after, self.warnings.append
        )
        return train_alone(trial, FOLDER, lambda row: self.epochs.append(row["epoch"]), checkpointing)


def numbers(measured: TrialResult) -> list[Any]:
    return [measured.measurements, [row | {"seconds": 0} for row in measured.epochs]]


METHODS: list[dict[str, Any]] = [
    {},
    {"dropout": 0.3, "augment": True},
    {"method": "mixup", "alpha": 1.0, "neighbours": 3},
    {"method": "latent_mixup", "alpha": 1.0, "layer": 3},
    {"method": "gaussian_noise", "sigma": 0.2},
    {"precision": "bfloat16", "memory_format": "channels_last"},
    {"fused": False, "momentum": 0.0},
]


@pytest.mark.parametrize("fields", METHODS, ids=str)
def test_a_resumed_trial_equals_the_undisturbed_one_to_the_bit(fields: dict[str, Any]) -> None:
    whole = train_alone(trial(**fields))
    file = Memory()
    for stop_after in (1, 2):
        run = Run(file, stop_after)
        with pytest.raises(Stopped):
            run.train(trial(**fields))
        torch.rand(5)  # what else a process drew must not matter
    last = Run(file)
    assert numbers(last.train(trial(**fields))) == numbers(whole)
    assert last.epochs == [4]


STEPS = 5
"""Of an epoch of 130 examples in minibatches of 32."""


@pytest.mark.parametrize("fields", METHODS, ids=str)
def test_a_trial_stopped_within_an_epoch_goes_on_from_that_step_to_the_bit(fields: dict[str, Any]) -> None:
    whole = train_alone(trial(**fields))
    file = Memory()
    asked = iter(range(1000))
    processes = 0
    while True:
        processes += 1
        epochs: list[int] = []
        stops = Checkpointing(lambda trial: file, 3600, lambda: next(asked) % 3 == 2, pytest.fail)
        try:
            measured = train_alone(trial(**fields), FOLDER, lambda row, epochs=epochs: epochs.append(1), stops)
        except Stopped:
            torch.rand(5)  # what else a process drew must not matter
            continue
        break
    assert processes == 1 + (4 * STEPS - 1) // 3  # stopped after every third step, of which none was taken twice
    assert numbers(measured) == numbers(whole)
    assert measured.seconds > measured.resumed_seconds > 0
    assert sum(row["seconds"] for row in measured.epochs) < measured.seconds


def test_a_trial_that_stops_on_the_way_goes_on_to_the_same_numbers() -> None:
    file = Memory()
    undisturbed = train_alone(trial(method="mixup", alpha=1))

    def train_until(until: int | None) -> TrialResult | StoppedTrial:
        checkpointing = Checkpointing(lambda trial: file, 3600, lambda: False, pytest.fail)
        group = [trial(method="mixup", alpha=1)]
        (ended,) = train(group, FOLDER, CPU, lambda *row: None, checkpointing, until=until)
        assert not isinstance(ended, Exception)
        return ended

    for until in (1, 3, 2):
        stopped = train_until(until)
        assert isinstance(stopped, StoppedTrial)
        assert len(stopped.epochs) == max(until, 3 if until == 2 else 0)
        assert without_seconds(stopped.epochs) == without_seconds(undisturbed.epochs[: len(stopped.epochs)])
        assert 0 <= stopped.resumed_seconds <= stopped.seconds
    ended = train_until(None)
    assert isinstance(ended, TrialResult)
    assert ended.measurements == undisturbed.measurements
    assert without_seconds(ended.epochs) == without_seconds(undisturbed.epochs)
    assert isinstance(train_until(7), TrialResult)  # its last epoch comes before


def without_seconds(epochs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in epochs]


def test_seconds_add_up_over_the_processes() -> None:
    file = Memory()
    with pytest.raises(Stopped):
        Run(file, stop_after=2).train(trial())
    first = unpack(file.content or b"")["seconds"]
    assert first > 0
    assert Run(file).train(trial()).seconds > first


@pytest.mark.parametrize(("seconds", "saved"), [(0.0, True), (3600.0, False)])
def test_a_checkpoint_is_saved_when_the_last_is_old_enough(seconds: float, saved: bool) -> None:
    file = Memory()
    Run(file, seconds=seconds).train(trial(epochs=2))
    assert (file.content is not None) is saved


def test_there_is_no_checkpoint_after_the_last_epoch() -> None:
    file = Memory()
    assert Run(file, stop_after=1, seconds=3600).train(trial(epochs=1)).epochs
    assert file.content is None


@pytest.fixture(scope="module")
def checkpoint() -> bytes:
    file = Memory()
    with pytest.raises(Stopped):
        Run(file, stop_after=2).train(trial())
    assert file.content is not None
    return file.content


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda content: content[: len(content) // 2], "it is damaged"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "it is damaged"),
        (lambda content: ENVELOPE.first_line, "it is damaged"),
        (lambda content: ENVELOPE.seal(save_state(unpack(content))), "it does not say how far its trial is"),
        (lambda content: b"", "it is not a checkpoint of mixup_study"),
        (lambda content: b"PK\x03\x04 something else", "it is not a checkpoint of mixup_study"),
        (lambda content: content.replace(b"checkpoint 3\n", b"checkpoint 2\n", 1), "it has another format"),
        (lambda content: pack({**unpack(content), "trial_id": "0" * 16}), "it is of trial_id 0000000000000000, not "),
        (lambda content: pack({**unpack(content), "torch": "1.0"}), "it is of torch 1.0, not "),
        (lambda content: pack({**unpack(content), "device": "cuda"}), "it is of device cuda, not cpu"),
    ],
    ids=[
        "half",
        "one bit",
        "header",
        "no place",
        "empty",
        "zip",
        "older",
        "other trial",
        "other torch",
        "other device",
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_told_and_the_trial_starts_over(
    spoil: Any, line: str, checkpoint: bytes
) -> None:
    run = Run(Memory(spoil(checkpoint)))
    measured = run.train(trial())
    assert run.epochs == [1, 2, 3, 4]
    assert len(run.warnings) == 1
    assert run.warnings[0].startswith(f"checkpoint not used, training starts over: {line}")
    assert numbers(measured) == numbers(train_alone(trial()))


def without(state: dict[str, Any], *path: str) -> None:
    for key in path[:-1]:
        state = state[key]
    del state[path[-1]]


def reshape_momentum(state: dict[str, Any]) -> None:
    buffers = state["optimizer"]["state"][0]
    buffers["momentum_buffer"] = buffers["momentum_buffer"].flatten()


MISFITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no rows": lambda state: without(state, "rows"),
    "rows of nobody": lambda state: state["rows"].clear(),
    "rows of nothing": lambda state: state["rows"].clear(),
    "a row too many": lambda state: state["rows"].append({**state["rows"][0], "epoch": 3}),
    "an epoch is missing": lambda state: state["rows"].pop(0),
    "the last epoch is missing": lambda state: state["rows"].pop(),
    "all epochs": lambda state: state.update(
        epochs=4, rows=[{**state["rows"][0], "epoch": epoch} for epoch in (1, 2, 3, 4)]
    ),
    "no epochs": lambda state: without(state, "epochs"),
    "a row without its curve": lambda state: without(state["rows"][1], "test_error"),
    "rows are text": lambda state: state.update(rows="rows"),
    "no seconds": lambda state: without(state, "seconds"),
    "endless seconds": lambda state: state.update(seconds=float("inf")),
    "no model": lambda state: without(state, "model"),
    "a weight is missing": lambda state: without(state, "model", "stem.weight"),
    "a weight of another shape": lambda state: state["model"].update({"stem.weight": torch.zeros(3)}),
    "a weight is text": lambda state: state["model"].update({"stem.weight": "heavy"}),
    "no optimizer": lambda state: without(state, "optimizer"),
    "an optimizer without groups": lambda state: without(state, "optimizer", "param_groups"),
    "momentum of another shape": reshape_momentum,
}


@pytest.fixture(scope="module")
def checkpoint_within() -> bytes:
    file = Memory()
    asked = iter(range(100))
    with pytest.raises(Stopped):
        train_alone(
            trial(),
            checkpointing=Checkpointing(lambda trial: file, 3600, lambda: next(asked) == STEPS + 1, pytest.fail),
        )
    assert file.content is not None
    return file.content


MISFITS_WITHIN: dict[str, Callable[[dict[str, Any]], object]] = {
    "another epoch": lambda state: state.update(epoch=2),
    "no epoch": lambda state: state.update(epoch="second"),
    "all steps": lambda state: state.update(steps=STEPS),
    "steps are text": lambda state: state.update(steps="three"),
    "two workers": lambda state: state["workers"].append(state["workers"][0]),
    "no worker": lambda state: state["workers"].clear(),
    "a loss that is text": lambda state: state["workers"][0].update(loss_sum="little"),
    "no draws": lambda state: without(state["workers"][0], "draws"),
    "another stream": lambda state: state["workers"][0]["draws"].update(interpolation={"bit_generator": "MT19937"}),
    "half a stream": lambda state: state["workers"][0].update(dropout=torch.zeros(7, dtype=torch.uint8)),
}


def assert_starts_over(state: dict[str, Any]) -> None:
    """Assert that a trial does not go on from a checkpoint of ``state``, and says so."""
    run = Run(Memory(pack(state)))
    measured = run.train(trial())
    assert run.epochs == [1, 2, 3, 4]
    (line,) = run.warnings
    assert line.startswith("checkpoint not used, training starts over: it does not fit the trial (")
    assert numbers(measured) == numbers(train_alone(trial()))


@pytest.mark.parametrize("name", MISFITS_WITHIN)
def test_nor_is_one_from_within_an_epoch(name: str, checkpoint_within: bytes) -> None:
    state = unpack(checkpoint_within)
    assert (len(state["rows"]), state["epoch"], state["steps"]) == (1, 1, 2)
    MISFITS_WITHIN[name](state)
    assert_starts_over(state)


@pytest.mark.parametrize("name", MISFITS)
def test_a_checkpoint_of_the_right_digest_that_does_not_fit_is_not_used(name: str, checkpoint: bytes) -> None:
    state = unpack(checkpoint)
    MISFITS[name](state)
    assert_starts_over(state)


def test_a_resumed_trial_tells_what_it_trained_before() -> None:
    file = Memory()
    with pytest.raises(Stopped):
        Run(file, 2).train(trial())
    before = unpack(file.content or b"")["seconds"]
    measured = Run(file).train(trial())
    assert measured.seconds > measured.resumed_seconds == before > 0
    assert train_alone(trial()).resumed_seconds == 0


def test_a_full_disk_costs_only_the_checkpoint() -> None:
    run = Run(Memory(full=True))
    assert numbers(run.train(trial())) == numbers(train_alone(trial()))
    assert run.warnings == ["no checkpoint saved: [Errno 28] No space left on device"]


class Dangerous:
    def __reduce__(self) -> Any:
        return (print, ("code of a checkpoint ran",))


def test_a_checkpoint_runs_no_code(capsys: pytest.CaptureFixture[str]) -> None:
    content = pack({"model": Dangerous()})
    with pytest.raises(FileUnusable):
        unpack(content)
    assert capsys.readouterr().out == ""


@given(st.binary(max_size=300))
def test_bytes_that_are_no_checkpoint_are_refused(content: bytes) -> None:
    for found in (content, ENVELOPE.first_line + content):
        with pytest.raises(FileUnusable):
            unpack(found)
