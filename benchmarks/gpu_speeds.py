"""How fast a device trains: the training loop, its step alone in several forms, and a plain PyTorch loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, multiprocessing, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.gpu_checks import FOLDER, tabular_trials, train_here
from mixup_study.analysis.estimate import TRAINING
from mixup_study.catalogue import load_plugins
from mixup_study.study.trial import Trial
from mixup_study.training.parallel import Worker
from mixup_study.training.process import settle
from mixup_study.training.task import Environment
from mixup_study.training.tasks.classification import Classification
from mixup_study.training.tasks.gan import GAN, STEPS

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bfloat16 operations a second by the makers' data sheets, of the SXM cards; a PCIe card's is lower."""


@dataclass(frozen=True)
class Speed:
    """How many of something a second."""

    name: str
    rate: float
    unit: str = "images"
    share: float | None = None
    """Of the card's bfloat16 peak; None where that or the arithmetic is unknown."""


def network_trials(tiny: bool) -> dict[str, Trial]:
    """Return mixup on each network, at the paper's minibatch of 128 (256 of ImageNet's images)."""
    common = {"method": "mixup", "alpha": 1.0, "lr": 0.1, "epochs": 200, "augment": True}
    fast = {"precision": "bfloat16", "memory_format": "channels_last"}
    small = {"dataset": "generated", "batch_size": 128, **common, **fast}
    if tiny:
        return {
            "PreActResNet-18": Trial(**{**small, "batch_size": 16, "train_size": 64}, model="preact_resnet18", width=2)
        }
    large = {"dataset": "generated_large", "batch_size": 256, **common, **fast}
    return {
        "PreActResNet-18": Trial(**small, model="preact_resnet18"),
        "WideResNet-28-10": Trial(**small, model="wide_resnet"),
        "ResNet-50 at 224x224": Trial(**large, model="resnet50"),
    }


def measure_speeds(device: torch.device, tiny: bool) -> Iterator[Speed]:
    """Yield speeds as they are measured."""
    seconds = 0.2 if tiny else 6.0
    trials = network_trials(tiny)
    for name, trial in trials.items():
        yield from _measure_network(name, trial, device, seconds)
    first, trial = next(iter(trials.items()))
    for count in (2,) if tiny else (1, 2, 4):
        yield Speed(f"{first}, {count} processes side by side", _side_by_side(trial, device, count, 2 * seconds))
    yield _measure_gan(device, tiny)
    yield from _measure_packs(device, tiny)


def _measure_network(name: str, trial: Trial, device: torch.device, seconds: float) -> Iterator[Speed]:
    run = Classification(trial, Environment(FOLDER, Worker(), device))
    peak = next((value for card, value in PEAKS.items() if card in _card(device)), None)
    arithmetic = trial.components.network.arithmetic
    pixels = run.data.shape[1] * run.data.shape[2]
    operations = None if arithmetic is None else TRAINING * arithmetic.gflop * 1e9 * pixels / arithmetic.pixels

    def speed(of: str, rate: float) -> Speed:
        return Speed(f"{name}: {of}", rate, share=rate * operations / peak if operations and peak else None)

    yield speed("plain loop", _images_a_second(_plain_loop(run), device, seconds, trial.batch_size))
    yield speed("training loop", _training_rate(run, seconds))
    yield speed("step alone", _step_rate(run, device, seconds))
    with _any_kernels():
        yield speed("step alone, not deterministic", _step_rate(run, device, seconds))
    backend = "inductor" if device.type == "cuda" else "eager"  # on a CPU only the call is tried
    yield speed("step alone, compiled", _step_rate(run, device, seconds, torch.compile(run.model, backend=backend)))
    if device.type == "cuda":
        yield speed("step alone, a CUDA graph", _images_a_second(_graph(run), device, seconds, trial.batch_size))


def _card(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def _images_a_second(step: Callable[[], Any], device: torch.device, seconds: float, images: int) -> float:
    """Repeat ``step`` of ``images`` images for ``seconds``, once it has warmed up for a third of them."""

    def repeat(limit: float) -> float:
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < limit or not done:
            for _ in range(1 if device.type == "cpu" else 20):
                step()
                done += 1
            _wait_for(device)
        return done / (time.perf_counter() - begun)

    repeat(seconds / 3)
    return repeat(seconds) * images


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _training_rate(run: Classification, seconds: float) -> float:
    """Return the images a second of epochs as trials train them, augmentation and draws included."""
    run.train_epoch(0)
    epochs, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds or not epochs:
        epochs += 1
        run.train_epoch(epochs)  # returns the loss: it has waited for the device
    return epochs * run.examples / (time.perf_counter() - begun)


def _minibatch(run: Classification) -> tuple[Tensor, Tensor]:
    rows = torch.arange(run.trial.batch_size, device=run.device)
    return run.inputs.epoch(0, 0)[rows].contiguous(memory_format=torch.channels_last), run.targets(rows)


def _step_on(run: Classification, model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    run.optimizer.zero_grad()
    F.cross_entropy(run.logits(model, inputs).float(), targets).backward()
    run.optimizer.step()


def _step_rate(run: Classification, device: torch.device, seconds: float, model: nn.Module | None = None) -> float:
    """Return the images a second of steps on one minibatch: nothing but network and optimizer."""
    inputs, targets = _minibatch(run)
    run.model.train()
    stepped = run.model if model is None else model
    return _images_a_second(lambda: _step_on(run, stepped, inputs, targets), device, seconds, len(inputs))


def _graph(run: Classification) -> Callable[[], None]:
    """Return a step on one minibatch, recorded as a CUDA graph."""
    inputs, targets = _minibatch(run)
    run.model.train()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            _step_on(run, run.model, inputs, targets)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    run.optimizer.zero_grad()
    with torch.cuda.graph(graph):
        _step_on(run, run.model, inputs, targets)
    return graph.replay


@contextmanager
def _any_kernels() -> Iterator[None]:
    """Allow kernels that are not deterministic, of which cuDNN looks for the fastest."""
    torch.set_deterministic_debug_mode("default")
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = False
        torch.set_deterministic_debug_mode("error")


class _Images(Dataset[tuple[Tensor, int]]):
    """The training images as PIL images, transformed one at a time."""

    def __init__(self, run: Classification) -> None:
        self._images, self._labels = run.data.train_inputs_N.cpu(), run.labels_N.tolist()
        side = self._images.shape[1]
        self._transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomCrop(side, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(run.data.mean, run.data.std),
            ]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(self._images[index].permute(2, 0, 1)), self._labels[index]


def _plain_loop(run: Classification) -> Callable[[], None]:
    """Return a step of mixup over a DataLoader in float32, as most public code writes it."""
    trial, device = run.trial, run.device
    workers = 0 if device.type == "cpu" else 8
    loader = DataLoader(
        _Images(run), trial.batch_size, shuffle=True, num_workers=workers, pin_memory=workers > 0, drop_last=True
    )
    model = trial.components.network.load()(trial, run.data.shape, run.data.classes).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=trial.lr, momentum=0.9, weight_decay=1e-4)
    criterion = nn.CrossEntropyLoss()

    def minibatches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader

    source = minibatches()

    def step() -> None:
        images, labels = (part.to(device, non_blocking=True) for part in next(source))
        lam = np.random.beta(1.0, 1.0)
        index = torch.randperm(len(images), device=device)
        outputs = model(lam * images + (1 - lam) * images[index])
        loss = lam * criterion(outputs, labels) + (1 - lam) * criterion(outputs, labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _train_for(trial: dict[str, Any], device: str, seconds: float, ready: Any, rates: Any) -> None:
    settle(torch.device(device))
    load_plugins(["benchmarks.gpu_data"])
    run = Classification(Trial(**trial), Environment(FOLDER, Worker(), torch.device(device)))
    run.train_epoch(0)
    ready.wait()
    rates.put(_training_rate(run, seconds))


def _side_by_side(trial: Trial, device: torch.device, count: int, seconds: float) -> float:
    """Return the images a second of ``count`` processes together, each with a trial on the same device."""
    spawn = multiprocessing.get_context("spawn")
    ready, rates = spawn.Barrier(count), spawn.SimpleQueue()
    arguments = (trial.model_dump(exclude_none=True), str(device), seconds, ready, rates)
    processes = [spawn.Process(target=_train_for, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    total = sum(rates.get() for _ in processes)
    for process in processes:
        process.join()
    return float(total)


def _measure_gan(device: torch.device, tiny: bool) -> Speed:
    size = {"width": 8, "depth": 2, "batch_size": 8} if tiny else {"width": 512, "depth": 3, "batch_size": 128}
    trial = Trial(task="gan", dataset="gaussian_ring", model="mlp", epochs=10, lr=1e-3, optimizer="adam", **size)
    run = GAN(trial, Environment(FOLDER, Worker(), device))
    rate = _images_a_second(lambda: run.run_epoch(0), device, 0.1 if tiny else 4.0, STEPS)
    return Speed("GAN", rate, "steps")


def _measure_packs(device: torch.device, tiny: bool) -> Iterator[Speed]:
    trials = tabular_trials(tiny)
    for name, groups in {"alone": [[trial] for trial in trials[:3]], f"in a pack of {len(trials)}": [trials]}.items():
        train_here(groups[0], device)
        begun = time.perf_counter()
        for group in groups:
            train_here(group, device)
        yield Speed(f"tabular trials {name}", sum(map(len, groups)) / (time.perf_counter() - begun), "trials")
