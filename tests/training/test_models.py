"""Models that outlive their trials: what is handed over at the end of training, and what its file gives back."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mixup_study.networks.mlp import MLP
from mixup_study.store.checkpoints import CheckpointEntry, seal_checkpoint
from mixup_study.store.envelope import FileUnusable
from mixup_study.store.models import ENVELOPE, open_model, seal_model
from mixup_study.study.trial import Trial
from mixup_study.training.checkpoint import Checkpointing, Stopped
from mixup_study.training.loop import train
from mixup_study.training.model_file import pack_model, unpack_model
from mixup_study.training.packs import pack
from mixup_study.training.task import TrainingDiverged, TrialResult
from tests.study import test_packs
from tests.training import test_checkpoint
from tests.training.alone import CPU
from tests.training.tasks import test_gan
from tests.training.test_checkpoint import Memory

FOLDER = Path("/dev/null")
TRIAL, OTHER = "0123456789abcdef", "fedcba9876543210"

Models = dict[str, dict[str, Tensor]]


def train_for_models(
    trials: Sequence[Trial], checkpointing: Checkpointing | None = None
) -> tuple[list[TrialResult | TrainingDiverged], Models]:
    """Return what the trials measured, and the models that were handed over, by trial_id."""
    models: Models = {}

    def save_model(trial: Trial, model: Mapping[str, Tensor]) -> None:
        assert trial.trial_id not in models
        models[trial.trial_id] = {name: tensor.clone() for name, tensor in model.items()}

    ended = train(trials, FOLDER, CPU, lambda trial, row, examples: None, checkpointing, save_model)
    return ended, models


def assert_equal(model: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Both hold the same names in one order, of the same types and shapes, and of the same bits."""
    assert list(model) == list(expected)
    for name, tensor in model.items():
        assert (tensor.dtype, tensor.shape) == (expected[name].dtype, expected[name].shape)
        assert bits(tensor) == bits(expected[name])


def bits(tensor: Tensor) -> list[int]:
    """Return the bytes of a tensor's numbers, in their order."""
    return tensor.contiguous().flatten().view(torch.uint8).tolist()


# What training hands over.


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"precision": "bfloat16", "memory_format": "channels_last"},
        {"method": "latent_mixup", "alpha": 1, "layer": 2},
    ],
    ids=["erm", "bfloat16", "latent mixup"],
)
def test_the_model_of_a_network_fits_a_new_one_and_comes_back_from_its_file(fields: dict[str, Any]) -> None:
    trial = test_checkpoint.trial(**fields)
    (measured,), models = train_for_models([trial])
    assert isinstance(measured, TrialResult)
    model = models[trial.trial_id]
    network = trial.components.network.load()(trial, (1, 8, 8), 10)
    assert list(model) == list(network.state_dict())
    assert model["stages.0.0.norm1.num_batches_tracked"].item() == 4 * 5
    assert model["stages.0.0.norm1.running_mean"].any()
    unpacked = unpack_model(trial.trial_id, pack_model(trial.trial_id, model))
    assert_equal(unpacked, model)
    network.load_state_dict(unpacked)
    assert_equal(network.state_dict(), model)


def test_asking_for_the_model_changes_no_number() -> None:
    trial = test_checkpoint.trial(dropout=0.2)
    without = train([trial], FOLDER, CPU, lambda trial, row, examples: None)[0]
    asked = train_for_models([trial])[0][0]
    assert isinstance(without, TrialResult)
    assert isinstance(asked, TrialResult)
    assert test_checkpoint.numbers(asked) == test_checkpoint.numbers(without)


def test_a_resumed_trial_leaves_the_model_of_the_undisturbed_one() -> None:
    trial = test_checkpoint.trial()
    file = Memory()
    with pytest.raises(Stopped):
        train_for_models([trial], Checkpointing(lambda trial: file, 1e9, lambda: True, print))
    assert file.content is not None
    _, resumed = train_for_models([trial], Checkpointing(lambda trial: file, 1e9, lambda: False, print))
    _, undisturbed = train_for_models([trial])
    assert_equal(resumed[trial.trial_id], undisturbed[trial.trial_id])


def test_the_model_of_a_gan_is_both_its_networks() -> None:
    trial = test_gan.trial(epochs=1)
    _, models = train_for_models([trial])
    model = models[trial.trial_id]
    for prefix, outputs in (("generator", 2), ("discriminator", 1)):
        network = MLP(2, outputs, trial.width, trial.depth)
        network.load_state_dict(
            {name.removeprefix(f"{prefix}."): tensor for name, tensor in model.items() if name.startswith(prefix)}
        )
    assert len(model) == 2 * len(network.state_dict())
    assert_equal(unpack_model(trial.trial_id, pack_model(trial.trial_id, model)), model)


def test_each_trial_of_a_pack_leaves_the_model_that_it_leaves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "BLOCK", 2)
    trials = [test_packs.trial(seed=seed, method="mixup", alpha=alpha) for seed, alpha in enumerate([0.2, 1.0, 8.0])]
    _, together = train_for_models(trials)
    assert list(together) == [trial.trial_id for trial in trials]
    for trial in trials:
        _, alone = train_for_models([trial])
        assert list(together[trial.trial_id]) == list(alone[trial.trial_id])
        for name, tensor in alone[trial.trial_id].items():
            torch.testing.assert_close(together[trial.trial_id][name], tensor, rtol=1e-4, atol=1e-5)
    first, second = (together[trial.trial_id] for trial in trials[:2])
    assert not torch.equal(first["stages.0.0.weight"], second["stages.0.0.weight"])


def test_a_trial_that_diverges_leaves_no_model() -> None:
    fields = {"optimizer": "sgd", "lr": 1.0, "epochs": 3}
    diverges = test_packs.trial(**fields, weight_decay=1e30)
    trained = test_packs.trial(**fields, seed=1)
    (first, second), models = train_for_models([diverges, trained])
    assert isinstance(first, TrainingDiverged)
    assert isinstance(second, TrialResult)
    assert list(models) == [trained.trial_id]
    assert train_for_models([diverges])[1] == {}


def test_what_saving_raises_ends_the_training() -> None:
    def fail(trial: Trial, model: Mapping[str, Tensor]) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device"):
        train([test_checkpoint.trial(epochs=1)], FOLDER, CPU, lambda trial, row, examples: None, save_model=fail)


# What its file refuses.


class Code:
    """What a pickle runs when it is read."""

    def __reduce__(self) -> Any:
        return (print, ("code of a model ran",))


def saved(value: object) -> bytes:
    """Return what ``torch.save`` writes of anything."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_every_type_of_number_comes_back_to_the_bit() -> None:
    model = {
        "bfloat16": torch.tensor([1.0, float("nan"), -0.0]).to(torch.bfloat16),
        "float32": torch.tensor([[float("inf"), 1e-45], [-0.0, float("nan")]]),
        "transposed": torch.arange(6.0).view(2, 3).t(),
        "count": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "empty": torch.empty(0, 3),
    }
    assert_equal(unpack_model(TRIAL, pack_model(TRIAL, model)), model)


def test_a_parameter_comes_back_as_a_plain_tensor() -> None:
    weight = nn.Linear(2, 1).weight
    unpacked = unpack_model(TRIAL, pack_model(TRIAL, {"weight": weight}))["weight"]
    assert type(unpacked) is Tensor
    assert not unpacked.requires_grad
    assert torch.equal(unpacked, weight)


@pytest.mark.parametrize("content", [saved({"weight": Code()}), pickle.dumps(Code()), pickle.dumps({"weight": Code()})])
def test_a_model_runs_no_code(content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileUnusable, match=r"^it holds more than numbers$"):
        unpack_model(TRIAL, seal_model(TRIAL, content))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "value",
    [
        [torch.ones(1)],
        torch.ones(1),
        {1: torch.ones(1)},
        {"weight": 1.0},
        {"networks": {"weight": torch.ones(1)}},
        {"weight": torch.ones(2).to_sparse()},
        {"weight": torch.ones(2, device="meta")},
    ],
    ids=["list", "tensor", "number as a name", "number", "nested", "sparse", "meta"],
)
def test_anything_but_tensors_by_name_is_refused(value: object) -> None:
    with pytest.raises(FileUnusable, match=r"^it holds "):
        unpack_model(TRIAL, seal_model(TRIAL, saved(value)))


PLAIN = saved({"weight": torch.arange(6.0), "bias": torch.zeros(2)})
MALFORMED: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "a zip of nothing": lambda content: b"PK\x05\x06" + bytes(18),
    "an empty pickle": lambda content: pickle.dumps({})[:-1],
    "a stack that is empty": lambda content: b"\x80\x02.",
    "a value that nobody put": lambda content: b"\x80\x02h\x07.",
    "a call of a number": lambda content: b"\x80\x02K\x01)R.",
    "another storage": lambda content: content.replace(b"FloatStorage", b"LongStorage_"),
    "other sizes": lambda content: content.replace(b"K\x06\x85", b"K\xff\x85"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_content_under_the_right_digest_is_one_line(name: str) -> None:
    with pytest.raises(FileUnusable) as caught:
        unpack_model(TRIAL, seal_model(TRIAL, MALFORMED[name](PLAIN)))
    assert str(caught.value).startswith(("it holds ", "it cannot be read ("))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", MALFORMED)
def test_a_checkpoint_with_such_content_is_not_used(name: str) -> None:
    file = Memory(seal_checkpoint(CheckpointEntry(TRIAL, 1, False), MALFORMED[name](PLAIN)))
    warnings: list[str] = []
    checkpointing = Checkpointing(lambda trial: file, 1e9, lambda: False, warnings.append)
    assert checkpointing.load(test_checkpoint.trial(), {"trial_id": TRIAL}) is None
    (line,) = warnings
    assert line.startswith("checkpoint not used, training starts over: it ")
    assert len(line.splitlines()) == 1


@given(st.integers(0, len(PLAIN)), st.integers(0, 200), st.binary(max_size=20))
def test_damage_under_the_right_digest_never_ends_in_another_error(start: int, length: int, put: bytes) -> None:
    content = PLAIN[:start] + put + PLAIN[start + length :]
    try:
        model = unpack_model(TRIAL, seal_model(TRIAL, content))
    except FileUnusable:
        return
    assert all(type(tensor) is Tensor for tensor in model.values())


def test_the_model_of_another_trial_is_refused() -> None:
    file = pack_model(OTHER, {"weight": torch.ones(1)})
    with pytest.raises(FileUnusable, match=f"^it is of trial_id {OTHER}, not {TRIAL}$"):
        unpack_model(TRIAL, file)


def test_a_model_is_no_checkpoint_and_a_checkpoint_no_model() -> None:
    with pytest.raises(FileUnusable, match=r"^it is not a checkpoint of mixup_study$"):
        test_checkpoint.unpack(pack_model(TRIAL, {}))
    with pytest.raises(FileUnusable, match=r"^it is not a model of mixup_study$"):
        unpack_model(TRIAL, test_checkpoint.pack({"trial_id": TRIAL}))


def test_a_file_is_the_envelope_of_what_torch_saves() -> None:
    file = pack_model(TRIAL, {"weight": torch.ones(2)})
    assert file.startswith(ENVELOPE.first_line)
    plain = torch.load(io.BytesIO(open_model(TRIAL, file)), weights_only=True)
    assert torch.equal(plain["weight"], torch.ones(2))
