"""Images per second of the training loop, against the bare model step and against a plain DataLoader loop.

Usage: python benchmarks/throughput.py [--rounds N] [--methods]

All three train the same network (the quick profile of studies/corrupt_labels.yaml, with mixup and random crops) on one
CPU thread, taking turns in one process, so that their ratios hold on a busy machine too. Targets: at least 0.95 of the
bare step, at least 1.5 times the DataLoader loop.

With --methods: the time of a step of every arm of studies/ablation.yaml (quick profile), and of mixup of three
examples, relative to ERM's, likewise taking turns; nearest neighbours are found beforehand. Target: at most 1.10.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from mixup_study.study.study import StudyFile
from mixup_study.study.trial import Trial
from mixup_study.training.parallel import Worker
from mixup_study.training.process import settle
from mixup_study.training.task import Environment
from mixup_study.training.tasks.classification import Classification

CPU = torch.device("cpu")
STUDIES = Path(__file__).parent.parent / "studies"


def quick_mixup_trial() -> Trial:
    overrides = ("trial.augment=true", "arms.mixup.alpha=1", "grid.label_noise=0.5")
    study = StudyFile(STUDIES / "corrupt_labels.yaml", overrides).load("quick")
    return next(cell.trial for cell in study.cells if cell.arm == "mixup")


def bare_step(run: Classification) -> Callable[[], int]:
    """One epoch's worth of optimiser steps on one fixed minibatch: nothing but the network."""
    trial = run.trial
    rows = torch.arange(trial.batch_size)
    images, targets = run.inputs.epoch(0, 0)[rows], run.targets(rows)
    steps = -(-len(run.labels_N) // trial.batch_size)

    def epoch() -> int:
        run.model.train()
        for _ in range(steps):
            run.optimizer.zero_grad()
            F.cross_entropy(run.logits(run.model, images), targets).backward()
            run.optimizer.step()
        return steps * trial.batch_size

    return epoch


def training_loop(run: Classification) -> Callable[[], int]:
    """One epoch as trials train it."""
    epochs = iter(range(1_000_000))

    def epoch() -> int:
        run.train_epoch(next(epochs))
        return len(run.labels_N)

    return epoch


class Digits(Dataset[tuple[torch.Tensor, int]]):
    """The training images as PIL images, transformed one at a time."""

    def __init__(self, run: Classification) -> None:
        self.images = [Image.fromarray(image) for image in run.data.train_inputs_N[..., 0].numpy()]
        self.labels = run.labels_N.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(8, padding=1),
                transforms.ToTensor(),
                transforms.Normalize(run.data.mean, run.data.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def plain_loop(run: Classification) -> Callable[[], int]:
    """One epoch of mixup over a DataLoader, as most public code writes it."""
    trial = run.trial
    loader = DataLoader(Digits(run), batch_size=trial.batch_size, shuffle=True)
    model: nn.Module = trial.components.network.load()(trial, run.data.shape, 10)
    optimiser = torch.optim.SGD(model.parameters(), lr=trial.lr, momentum=trial.momentum, weight_decay=1e-4)
    criterion = nn.CrossEntropyLoss()

    def epoch() -> int:
        model.train()
        total = 0.0
        for images, labels in loader:
            lam = np.random.beta(1.0, 1.0)
            index = torch.randperm(images.size(0))
            mixed = lam * images + (1 - lam) * images[index]
            outputs = model(mixed)
            loss = lam * criterion(outputs, labels) + (1 - lam) * criterion(outputs, labels[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        return len(run.labels_N)

    return epoch


def take_turns(runs: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Return the images per second of each run, once a round; a first round warms up."""
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name in random.sample(list(runs), len(runs)):  # so that none always follows the same other
            begun = time.perf_counter()
            images = runs[name]()
            if turn:
                speeds[name].append(images / (time.perf_counter() - begun))
    return speeds


def compare_loops(rounds: int) -> None:
    trial = quick_mixup_trial()
    runs = {
        "bare model step": bare_step(Classification(trial, Environment(Path("unused"), Worker(), CPU))),
        "training loop": training_loop(Classification(trial, Environment(Path("unused"), Worker(), CPU))),
        "DataLoader loop": plain_loop(Classification(trial, Environment(Path("unused"), Worker(), CPU))),
    }
    speeds = take_turns(runs, rounds)
    print(f"{trial.model} of width {trial.width} on {trial.dataset}, minibatch {trial.batch_size}, one CPU thread")
    for name, found in speeds.items():
        print(f"{name:<16} {statistics.median(found):8.0f} images/s (median of {rounds})")
    loop = speeds["training loop"]
    for name, target in (("bare model step", 0.95), ("DataLoader loop", 1.5)):
        ratio = statistics.median(mine / other for mine, other in zip(loop, speeds[name], strict=True))
        print(f"training loop / {name}: {ratio:.2f} (target: at least {target})")


def compare_methods(rounds: int) -> None:
    three = "arms.mixup / 3-way={method: dirichlet_mixup, alpha: 1, ways: 3}"
    study = StudyFile(STUDIES / "ablation.yaml", ("grid.seed=0", "grid.weight_decay=1e-4", three)).load("quick")
    with tempfile.TemporaryDirectory() as folder:
        loops = {cell.arm: Classification(cell.trial, Environment(Path(folder), Worker(), CPU)) for cell in study.cells}
        runs = {arm: training_loop(loop) for arm, loop in loops.items()}
    speeds = take_turns(runs, rounds)
    print(f"seconds per step relative to ERM's, median of {rounds} rounds (target: at most 1.10)")
    for name, found in speeds.items():
        ratio = statistics.median(erm / mine for mine, erm in zip(found, speeds["ERM"], strict=True))
        print(f"{ratio:5.2f}  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="times that each takes its turn (default: %(default)s)")
    parser.add_argument("--methods", action="store_true", help="compare every vicinal distribution with ERM instead")
    options = parser.parse_args()
    settle(CPU)
    if options.methods:
        compare_methods(options.rounds)
    else:
        compare_loops(options.rounds)


if __name__ == "__main__":
    main()
