"""Two data-parallel workers over gloo, without Ray."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixup_study.networks import StagedNetwork, preact_resnet
from mixup_study.study.trial import Trial
from mixup_study.training import checkpoint
from mixup_study.training.checkpoint import Checkpointing, Stopped
from mixup_study.training.loop import train
from mixup_study.training.parallel import Worker
from mixup_study.training.process import settle
from mixup_study.training.task import Environment
from mixup_study.training.tasks.classification import Classification
from mixup_study.vicinity import Draws
from tests.training.alone import train_alone
from tests.training.pair import Pair, running_pair

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


def epoch_of(trial: Trial, float64: bool = False) -> dict[str, Any]:
    """What this process saw and learned in an epoch, as one of the workers that train the trial."""
    settle(CPU)
    with pytest.MonkeyPatch.context() as patch:
        if float64:
            patch.setattr(preact_resnet, "build_preact_resnet18", WithoutBatchNorm)
        worker = Worker.current()
        run = Classification(trial, Environment(Path("/dev/null"), worker, CPU))
        lams: list[float] = []

        class Draw:
            """The interpolation stream, listened to."""

            def __init__(self, draws: Draws) -> None:
                self.generator = draws.interpolation

            def beta(self, a: float, b: float) -> float:
                lams.append(self.generator.beta(a, b))
                return lams[-1]

        drawn = Draws.for_epoch
        listened = classmethod(lambda cls, *arguments: replace(real := drawn(*arguments), interpolation=Draw(real)))
        patch.setattr(Draws, "for_epoch", listened)
        return {
            "shards": [worker.shard(minibatch) for minibatch in run.order(0).split(trial.batch_size)],
            "loss": run.train_epoch(0),
            "lams": lams,
            "parameters": [parameter.detach().clone() for parameter in run.model.parameters()],
            **run.errors(),
        }


def stopped(trial: Trial, asked: int, folder: Path) -> str:
    """Train as one of the workers of which only ``asked`` is told to stop; return what came, and save its model."""
    rank = Worker.current().rank
    checkpointing = Checkpointing(lambda trial: Kept(folder / "checkpoint"), 1e9, lambda: rank == asked, print)
    try:
        train(
            [trial],
            folder,
            CPU,
            lambda trial, row, examples: None,
            checkpointing,
            lambda trial, model: torch.save(dict(model), folder / f"{rank}.model"),
        )
    except Stopped:
        return "stopped"
    return "finished"


def stopped_again_and_again(trial: Trial, folder: Path) -> tuple[int, list[Any]]:
    """Train as one of the workers that are all stopped after every third step; return how often, and the numbers."""
    asked = iter(range(1000))
    stops = 0
    while True:
        checkpointing = Checkpointing(
            lambda trial: Kept(folder / "checkpoint"), 1e9, lambda: next(asked) % 3 == 2, print
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint, "ASK_SECONDS", 0)  # after every step
            try:
                measured = train_alone(trial, folder, checkpointing=checkpointing)
            except Stopped:
                stops += 1
                torch.rand(5 + Worker.current().rank)  # what else a process drew must not matter
                continue
        return stops, [measured.measurements, [row | {"seconds": 0} for row in measured.epochs]]


def undisturbed(trial: Trial) -> list[Any]:
    measured = train_alone(trial)
    return [measured.measurements, [row | {"seconds": 0} for row in measured.epochs]]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair() as started:
        yield started


@dataclass
class Kept:
    """A checkpoint in a file."""

    path: Path

    def read(self) -> bytes | None:
        return self.path.read_bytes() if self.path.exists() else None

    def write(self, content: bytes) -> None:
        self.path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"method": "mixup", "alpha": 1.0, "dropout": 0.2},
        {"method": "mixup", "alpha": 1.0, "mix_across_workers": False, "augment": False},
        {"method": "gaussian_noise", "sigma": 0.2, "micro_batch": 8},
    ],
    ids=str,
)
def test_workers_stopped_within_an_epoch_go_on_to_the_bit(fields: dict[str, Any], pair: Pair, tmp_path: Path) -> None:
    whole = pair.call(undisturbed, trial(epochs=3, **fields))
    assert pair.call(stopped_again_and_again, trial(epochs=3, **fields), tmp_path) == [(4, whole[0])] * 2


@pytest.mark.parametrize(("asked", "said"), [(0, "stopped"), (1, "finished")])
def test_all_workers_stop_when_the_first_is_told_to_and_it_has_saved(
    asked: int, said: str, pair: Pair, tmp_path: Path
) -> None:
    assert pair.call(stopped, trial(epochs=2), asked, tmp_path) == [said] * 2
    assert (tmp_path / "checkpoint").exists() == (asked == 0)
    if said == "finished":
        model = torch.load(tmp_path / "0.model", weights_only=True)
        assert list(model) == list(Classification(trial(), Environment(tmp_path, Worker(), CPU)).model.state_dict())
    assert [(tmp_path / f"{rank}.model").exists() for rank in range(2)] == [said == "finished", False]


def warned(trial: Trial, folder: Path) -> list[str]:
    """Return what this process warns of where no checkpoint can be written."""
    warnings: list[str] = []
    train_alone(
        trial,
        checkpointing=Checkpointing(lambda trial: Kept(folder / "nowhere" / "file"), 0, lambda: False, warnings.append),
    )
    return warnings


def test_the_first_worker_alone_tells_once_that_nothing_can_be_saved(pair: Pair, tmp_path: Path) -> None:
    first, second = pair.call(warned, trial(epochs=3), tmp_path)
    assert [line.startswith("no checkpoint saved: [Errno 2]") for line in first] == [True]
    assert second == []


@pytest.fixture(scope="module")
def mixup_workers(pair: Pair) -> list[dict[str, Any]]:
    return pair.call(epoch_of, trial(method="mixup", alpha=1.0, dropout=0.2))


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
    [{}, {"method": "mixup", "alpha": 1.0}, {"method": "mixup", "alpha": 1.0, "same_class": True}],
    ids=["erm", "mixup", "same class"],
)
def test_two_workers_learn_what_one_does_on_the_same_minibatches(method: dict[str, Any], pair: Pair) -> None:
    both = pair.call(epoch_of, trial(**method), True)
    alone = epoch_of(trial(**method), True)
    for found, expected in zip(both[0]["parameters"], alone["parameters"], strict=True):
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert both[0]["loss"] == pytest.approx(alone["loss"], rel=1e-6)


def test_two_workers_add_up_pieces_too(pair: Pair) -> None:
    both = pair.call(epoch_of, trial(method="mixup", alpha=1.0, micro_batch=5), True)
    whole = epoch_of(trial(method="mixup", alpha=1.0), True)
    for found, expected in zip(both[0]["parameters"], whole["parameters"], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("examples", "batch_size", "fits"), [(64, 32, True), (65, 32, False), (66, 32, True)])
def test_a_minibatch_too_small_for_the_workers_is_refused(examples: int, batch_size: int, fits: bool) -> None:
    workers = Worker(rank=0, count=2)
    if fits:
        workers.check(examples, batch_size)
    else:
        with pytest.raises(ValueError, match="a minibatch of 1 of 65 examples cannot be shared by 2 workers"):
            workers.check(examples, batch_size)
