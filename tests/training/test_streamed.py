"""Trials whose images are read from files, by one worker and by two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mixup_study.study.trial import Trial
from mixup_study.training.parallel import Worker
from mixup_study.training.process import settle
from mixup_study.training.task import Environment, TrialResult
from mixup_study.training.tasks.attack import Attack
from mixup_study.training.tasks.classification import Classification
from tests.training.alone import CPU, train_alone
from tests.training.pair import Pair, running_pair


def trial(**fields: Any) -> Trial:
    small = {"train_size": 70, "width": 2, "epochs": 2, "batch_size": 20, "lr": 0.1, "lr_warmup_epochs": 1}
    return Trial(**{"dataset": "patches_jpeg", "model": "preact_resnet18", **small, **fields})


MIXUP = {"method": "mixup", "alpha": 1.0, "mix_across_workers": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.mark.slow
def test_the_processes_that_read_ahead_change_no_number(folder: Path) -> None:
    results = []
    for loaders in (0, 2):
        settle(CPU)
        run = Classification(trial(**MIXUP, dropout=0.3), Environment(folder, Worker(), CPU, loaders=loaders))
        results.append([run.run_epoch(epoch) for epoch in range(2)])
    assert results[0] == results[1]


def test_what_is_not_measured_says_nothing(folder: Path) -> None:
    result = train_alone(trial(epochs=1), folder)
    assert isinstance(result, TrialResult)
    assert result.measurements["test_error_last"] is not None
    assert result.measurements["test_top5_error_last"] is not None
    assert result.measurements["train_error_real"] is None  # the training set is not read once more
    assert result.data_digest is not None
    noisy = train_alone(trial(epochs=1, label_noise=0.5), folder)
    assert noisy.measurements["train_error_corrupted"] is not None


def seen_by(trial: Trial, folder: Path) -> dict[str, Any]:
    """Return what this process reads and learns in an epoch, as one of the workers of a trial."""
    settle(CPU)
    run = Classification(trial, Environment(folder, Worker.current(), CPU))
    read: list[int] = []
    list_requests = type(run.data).list_requests

    def listened(data: Any, parts: Any, seed: int, epoch: int) -> Any:
        requests = list_requests(data, parts, seed, epoch)
        read.extend(request.number for part in requests for request in part)
        return requests

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(run.data), "list_requests", listened)
        loss = run.train_epoch(0)
    parameters = [parameter.detach().clone() for parameter in run.model.parameters()]
    return {"read": read, "loss": loss, "parameters": parameters, **run.errors()}


@pytest.fixture(scope="module")
def pair() -> Any:
    with running_pair() as started:
        yield started


@pytest.mark.slow
def test_each_of_two_workers_reads_its_own_part_alone(pair: Pair, folder: Path) -> None:
    first, second = pair.call(seen_by, trial(**MIXUP, workers=2), folder)
    assert len(first["read"]) == len(second["read"]) == 35
    assert len({*first["read"], *second["read"]}) == 70
    assert first["loss"] == second["loss"]
    assert first["test_error"] == second["test_error"]
    assert all(torch.equal(one, other) for one, other in zip(first["parameters"], second["parameters"], strict=True))


@pytest.mark.slow
def test_images_of_other_workers_are_looked_up_while_processes_read_ahead(pair: Pair, folder: Path) -> None:
    across = trial(method="mixup", alpha=1.0, workers=2)
    both = [pair.call(learn, across, folder, loaders)[0] for loaders in (0, 1)]
    assert all(torch.equal(one, other) for one, other in zip(*both, strict=True))


def learn(trial: Trial, folder: Path, loaders: int) -> list[torch.Tensor]:
    """Return the parameters after an epoch, as one of the workers of a trial."""
    settle(CPU)
    run = Classification(trial, Environment(folder, Worker.current(), CPU, loaders=loaders))
    run.train_epoch(0)
    return [parameter.detach().clone() for parameter in run.model.parameters()]


def test_two_workers_measure_what_one_does(pair: Pair, folder: Path) -> None:
    both = pair.call(errors_of, trial(workers=2), folder)
    assert both == [errors_of(trial(), folder)] * 2


def errors_of(trial: Trial, folder: Path) -> dict[str, float]:
    settle(CPU)
    return Classification(trial, Environment(folder, Worker.current(), CPU)).errors()


@pytest.mark.slow
def test_streamed_images_are_attacked(folder: Path) -> None:
    own = trial(width=8, train_size=None, epochs=4, lr_warmup_epochs=0, dataset="patches")
    model: dict[str, Any] = {}
    train_alone(own, folder, save_model=lambda trial, state: model.update(state))
    environment = Environment(folder, Worker(), CPU, load_model=lambda needed: dict(model))
    source = own.to_dict() | {"dataset": "patches_jpeg"}
    errors = {
        epsilon: Attack(Trial(task="attack", source=source, epsilon=epsilon, steps=2), environment).evaluate()
        for epsilon in (1e-4, 16.0)
    }
    nothing, much = (result.measurements for result in errors.values())
    assert nothing["adversarial_error"] == nothing["clean_error"] == much["clean_error"]
    assert nothing["adversarial_top5_error"] == much["clean_top5_error"]
    assert (much["adversarial_error"] or 0) > (much["clean_error"] or 1) + 0.03
