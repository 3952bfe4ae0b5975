"""Tasks, methods and networks on a CUDA device that computes nothing: all tensors lie there, and no step waits.

Packs and what prepares data sets are not among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mixup_study.catalogue import CATALOGUE
from mixup_study.data.image_files import Loader, Request
from mixup_study.data.speech import Speech
from mixup_study.data.speech_commands import open_archive
from mixup_study.study.trial import Trial
from mixup_study.training.parallel import Worker
from mixup_study.training.task import Environment, build_group
from mixup_study.training.tasks import gan
from mixup_study.training.tasks.classification import Classification
from tests.data.speech import write_archive
from tests.training.alone import ALONE
from tests.training.fake_cuda import CUDA, fake_cuda

ENVIRONMENT = Environment(Path("/dev/null"), Worker(), CUDA)

METHODS: list[dict[str, Any]] = [
    {},
    {"dropout": 0.3, "augment": True, "label_noise": 0.5},
    {"method": "mixup", "alpha": 1.0},
    {"method": "mixup", "alpha": 1.0, "same_class": True},
    {"method": "dirichlet_mixup", "alpha": 1.0, "ways": 3},
    {"method": "latent_mixup", "alpha": 1.0, "layer": 3},
    {"method": "mix_inputs", "alpha": 1.0, "label_smoothing": 0.1},
    {"method": "gaussian_noise", "sigma": 0.2},
    {"method": "label_smoothing", "label_smoothing": 0.1},
    {"precision": "bfloat16", "memory_format": "channels_last", "micro_batch": 16},
    {"optimizer": "adam", "weight_decay": 1e-3},
]
NETWORKS: list[dict[str, Any]] = [
    {"model": "mlp"},
    {"model": "wide_resnet", "depth": 10, "widen_factor": 1},
    {"model": "densenet_bc", "depth": 10, "growth_rate": 4},
    {"model": "resnet50", "width_per_group": 2},
    {"model": "resnext101_32x4d", "width_per_group": 1},
]


def test_every_method_is_among_them() -> None:
    assert {fields.get("method", "erm") for fields in METHODS} == set(CATALOGUE.methods)


def trial(**fields: Any) -> Trial:
    small = {"train_size": 200, "epochs": 1, "batch_size": 50, "lr": 0.1, "augment": False}
    model = {} if "model" in fields else {"model": "preact_resnet18", "width": 4}
    return Trial(**{"dataset": "digits", **model, **small, **fields})


@pytest.mark.slow
@pytest.mark.parametrize("fields", [*METHODS, *NETWORKS], ids=str)
def test_a_classification_trains_there_and_no_step_waits(fields: dict[str, Any]) -> None:
    check_training(trial(**fields), ENVIRONMENT.folder)


def check_training(trial: Trial, folder: Path, reads: int = 1) -> None:
    """Train an epoch, in which the device is read so often: once for its loss, and once for the files of all steps."""
    Classification(trial, replace(ALONE, folder=folder))  # what is kept of data sets from trial to trial is real
    with fake_cuda() as device:
        run = Classification(trial, replace(ENVIRONMENT, folder=folder))
        assert {parameter.device for parameter in run.model.parameters()} == {CUDA}
        device.places.clear()
        run.train_epoch(0)
        assert len(device.places) == reads, device.places
        run.measure([run.run_epoch(1)])


@pytest.mark.parametrize("fields", [{"model": "speech_lenet"}, {"model": "vgg11", "width": 1}], ids=str)
def test_a_network_of_spectrograms_trains_there_and_no_step_waits(fields: dict[str, Any], tmp_path: Path) -> None:
    write_archive(tmp_path / "speech_commands")
    entry = CATALOGUE.data_sets["speech_commands"]
    small = Speech("speech_commands", lambda folder: open_archive(folder / "speech_commands", 150))
    size = {"train_size": 60, "epochs": 1, "batch_size": 30, "lr": 0.1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(entry), "load", lambda self: small)
        check_training(Trial(dataset="speech_commands", method="mixup", alpha=1.0, **size, **fields), tmp_path)


@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true but no accelerator is found")
def test_streamed_images_train_there_and_no_step_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: Loader, requests: Sequence[Sequence[Request]]) -> Iterator[torch.Tensor]:
        return (torch.zeros((len(batch), 3, 32, 32), dtype=torch.uint8) for batch in requests)

    monkeypatch.setattr(Loader, "read", read)  # decoders take no fake tensors
    check_training(trial(dataset="patches_jpeg", method="mixup", alpha=1.0, augment=True), tmp_path, reads=2)


@pytest.mark.parametrize("fields", [{}, {"method": "mixup", "alpha": 0.2}], ids=str)
def test_a_gan_trains_there_and_no_step_waits(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for steps in (2, 6):
        monkeypatch.setattr(gan, "STEPS", steps)
        with fake_cuda() as reads:
            run = gan.GAN(
                Trial(
                    task="gan", dataset="gaussian_ring", model="mlp", width=8, epochs=1, batch_size=8, lr=0.1, **fields
                ),
                ENVIRONMENT,
            )
            row = run.run_epoch(0)
            counts.append(len(reads.places))
            run.measure([row])
    assert counts[0] == counts[1], reads.places


@pytest.mark.parametrize(
    "fields", [{"task": "attack", "epsilon": 8, "steps": 2}, {"task": "between", "pairs": 20, "lambdas": 3}], ids=str
)
def test_models_are_evaluated_there(fields: dict[str, Any]) -> None:
    source = trial(method="mixup", alpha=1.0)
    model = Classification(source, ALONE).model_state()
    with fake_cuda():
        evaluation = Trial(source=source, **fields)
        group = build_group([evaluation], replace(ENVIRONMENT, load_model=lambda trial: model))
        (measured,) = group.measure([[]])
    assert set(measured.measurements) <= {metric.name for metric in CATALOGUE.tasks[fields["task"]].metrics}
