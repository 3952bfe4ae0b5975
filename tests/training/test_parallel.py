"""Two data-parallel workers over gloo, without Ray."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn

from mixup_study.networks import StagedNetwork, preact_resnet
from mixup_study.study.trial import Trial
from mixup_study.training.checkpoint import Checkpointing, Stopped
from mixup_study.training.loop import train
from mixup_study.training.parallel import Worker
from mixup_study.training.process import settle
from mixup_study.training.task import Environment
from mixup_study.training.tasks.classification import Classification
from mixup_study.vicinity import Draws

CPU = torch.device("cpu")


def trial(**fields: Any) -> Trial:
    small = {"train_size": 133, "width": 2, "epochs": 1, "batch_size": 32, "lr": 0.1, "weight_decay": 1e-3}
    return Trial(**{"dataset": "digits", "model": "preact_resnet18", "workers": 2, **small, **fields})


class WithoutBatchNorm(StagedNetwork):
    """A small network of two stages that computes in float64."""

    def __init__(self, trial: Trial, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(
            nn.Conv2d(shape[0], 4, 3), [nn.ReLU(), nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, classes))]
        )
        self.double()

    def forward(self, images: Tensor, *latent: Any) -> Tensor:
        return super().forward(images.double(), *latent)


def epoch_of(trial: Trial, worker: Worker, float64: bool) -> dict[str, Any]:
    """What one worker saw and learned in an epoch."""
    settle(CPU)
    if float64:
        preact_resnet.build_preact_resnet18 = WithoutBatchNorm
    run = Classification(trial, Environment(Path("/dev/null"), worker, CPU))
    shards: list[Tensor] = []
    lams: list[float] = []
    shard = worker.shard

    class Draw:
        """The interpolation stream, listened to."""

        def __init__(self, draws: Draws) -> None:
            self.generator = draws.interpolation

        def beta(self, a: float, b: float) -> float:
            lams.append(self.generator.beta(a, b))
            return lams[-1]

    for minibatch in run.order(0).split(trial.batch_size):
        shards.append(shard(minibatch))
    listened = Draws.for_epoch
    Draws.for_epoch = classmethod(
        lambda cls, *arguments: replace(real := listened(*arguments), interpolation=Draw(real))
    )
    loss = run.train_epoch(0)
    Draws.for_epoch = listened
    return {
        "loss": loss,
        "shards": shards,
        "lams": lams,
        "parameters": [parameter.detach().clone() for parameter in run.model.parameters()],
        "test_error": run.test_error(),
    }


def worker_process(rank: int, port: int, trial: Trial, float64: bool, folder: str) -> None:
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.save(epoch_of(trial, Worker.current(), float64), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def two_workers(trial: Trial, folder: Path, float64: bool = False) -> list[dict[str, Any]]:
    multiprocessing.spawn(worker_process, (free_port(), trial, float64, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def stopped_process(rank: int, port: int, trial: Trial, asked: int, folder: str) -> None:
    """Train as one of two workers of which only ``asked`` is told to stop; write down when it did, and its model."""
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    checkpointing = Checkpointing(Kept(Path(folder, "checkpoint")), 1e9, lambda: rank == asked, print)
    try:
        train(
            [trial],
            Path(folder),
            CPU,
            lambda trial, row, examples: None,
            checkpointing,
            lambda trial, model: torch.save(dict(model), f"{folder}/{rank}.model"),
        )
        said = "finished"
    except Stopped as stopped:
        said = str(stopped)
    Path(folder, f"{rank}.txt").write_text(said)
    distributed.destroy_process_group()


@dataclass
class Kept:
    """A checkpoint in a file."""

    path: Path

    def read(self) -> bytes | None:
        return self.path.read_bytes() if self.path.exists() else None

    def write(self, content: bytes) -> None:
        self.path.write_bytes(content)


@pytest.mark.parametrize(("asked", "said"), [(0, "after epoch 1"), (1, "finished")])
def test_all_workers_stop_when_the_first_is_told_to_and_it_has_saved(asked: int, said: str, tmp_path: Path) -> None:
    multiprocessing.spawn(stopped_process, (free_port(), trial(epochs=2), asked, str(tmp_path)), nprocs=2)
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)] == [said] * 2
    assert (tmp_path / "checkpoint").exists() == (asked == 0)
    if said == "finished":
        model = torch.load(tmp_path / "0.model", weights_only=True)
        assert list(model) == list(Classification(trial(), tmp_path, Worker(), CPU).model.state_dict())
    assert [(tmp_path / f"{rank}.model").exists() for rank in range(2)] == [said == "finished", False]


@pytest.fixture(scope="module")
def mixup_workers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return two_workers(trial(method="mixup", alpha=1.0, dropout=0.2), tmp_path_factory.mktemp("mixup"))


def test_the_shards_of_an_epoch_are_disjoint_and_cover_the_data(mixup_workers: list[dict[str, Any]]) -> None:
    seen = [torch.cat(worker["shards"]).tolist() for worker in mixup_workers]
    assert not set(seen[0]) & set(seen[1])
    assert sorted(seen[0] + seen[1]) == list(range(133))


def test_lambda_is_the_same_on_every_worker(mixup_workers: list[dict[str, Any]]) -> None:
    assert len(mixup_workers[0]["lams"]) == 5
    assert mixup_workers[0]["lams"] == mixup_workers[1]["lams"]


def test_parameters_and_measurements_stay_equal_on_all_workers(mixup_workers: list[dict[str, Any]]) -> None:
    for first, second in zip(*(worker["parameters"] for worker in mixup_workers), strict=True):
        assert torch.equal(first, second)
    assert mixup_workers[0]["test_error"] == mixup_workers[1]["test_error"]
    assert mixup_workers[0]["loss"] == mixup_workers[1]["loss"]


@pytest.mark.parametrize(
    "method",
    [{}, {"method": "mixup", "alpha": 1.0}, {"method": "latent_mixup", "alpha": 1.0, "layer": 2}],
    ids=lambda fields: fields.get("method", "erm"),
)
def test_two_workers_learn_what_one_does_on_the_same_minibatches(
    method: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preact_resnet, "build_preact_resnet18", preact_resnet.build_preact_resnet18)
    both = two_workers(trial(**method), tmp_path, float64=True)
    alone = epoch_of(trial(**method), Worker(), float64=True)
    for found, expected in zip(both[0]["parameters"], alone["parameters"], strict=True):
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert both[0]["loss"] == pytest.approx(alone["loss"], rel=1e-6)


@pytest.mark.parametrize(("examples", "batch_size", "fits"), [(64, 32, True), (65, 32, False), (66, 32, True)])
def test_a_minibatch_too_small_for_the_workers_is_refused(examples: int, batch_size: int, fits: bool) -> None:
    workers = Worker(rank=0, count=2)
    if fits:
        workers.check(examples, batch_size)
    else:
        with pytest.raises(ValueError, match="a minibatch of 1 of 65 examples cannot be shared by 2 workers"):
            workers.check(examples, batch_size)
