"""Tasks, methods and networks on a CUDA device that computes nothing: all tensors lie there, and no step waits.

Packs, networks of spectrograms, streamed data and what prepares data sets are not among them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.trial import Trial
from mixup_study.training.parallel import Worker
from mixup_study.training.task import Environment, build_group
from mixup_study.training.tasks import gan
from mixup_study.training.tasks.classification import Classification
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


@pytest.mark.parametrize("fields", [*METHODS, *NETWORKS], ids=str)
def test_a_classification_trains_there_and_no_step_waits(fields: dict[str, Any]) -> None:
    Classification(trial(**fields), ALONE)  # what is kept of data sets from trial to trial is real
    with fake_cuda() as reads:
        run = Classification(trial(**fields), ENVIRONMENT)
        assert {parameter.device for parameter in run.model.parameters()} == {CUDA}
        reads.places.clear()
        run.train_epoch(0)
        assert len(reads.places) == 1, reads.places  # the loss, at the end of the epoch
        run.measure([run.run_epoch(1)])


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
