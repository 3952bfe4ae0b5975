"""Seconds per trial of a tabular study trained as packs, against one trial at a time.

Usage: python benchmarks/packs.py [--rounds N] [--datasets NAME …]

Both train the trials of studies/tabular.yaml whole (split, weights, all epochs with a test after each, training errors)
in one process on one CPU thread and take turns, so that their ratio holds on a busy machine too. Trials are half ERM
and half mixup in all of them. Targets: at least 11 times less time per trial with 64 in a pack, 16 with 256.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mixup_study.study.packs import largest_pack
from mixup_study.study.study import StudyFile
from mixup_study.study.trial import Trial
from mixup_study.training.loop import train

STUDY = Path(__file__).parent.parent / "studies" / "tabular.yaml"
FOLDER = Path("unused")
PACKS = {64: 11, 256: 16}
"""Trials in a pack, and how many times less time each shall take."""


def trials(dataset: str, arm: str, count: int) -> list[Trial]:
    overrides = (f"grid.dataset={dataset}", f"grid.seed={list(range(count))}")
    return [cell.trial for cell in StudyFile(STUDY, overrides).load("quick").cells if cell.arm == arm]


def seconds_each(groups: list[list[Trial]]) -> float:
    """Train each group together; return the seconds per trial."""
    begun = time.perf_counter()
    for group in groups:
        train(group, FOLDER, torch.device("cpu"), lambda trial, row, examples: None)
    return (time.perf_counter() - begun) / sum(map(len, groups))


def compare(dataset: str, rounds: int) -> None:
    arms = {arm: trials(dataset, arm, max(PACKS)) for arm in ("ERM", "mixup")}
    runs: dict[int, Callable[[], float]] = {
        1: lambda: seconds_each([[trial] for of_arm in arms.values() for trial in of_arm[:2]])
    }
    for size in PACKS:
        if largest_pack(arms["ERM"][0]) < size:
            raise SystemExit(f"{dataset}: a pack holds at most {largest_pack(arms['ERM'][0])} of its trials")
        runs[size] = lambda size=size: seconds_each([of_arm[:size] for of_arm in arms.values()])
    found: dict[int, list[float]] = {size: [] for size in runs}
    for turn in range(rounds + 1):  # the first warms up
        for size in random.sample(list(runs), len(runs)):
            seconds = runs[size]()
            if turn:
                found[size].append(seconds)
    print(f"{dataset}: one at a time {1000 * statistics.median(found[1]):.1f} ms per trial (median of {rounds})")
    for size, target in PACKS.items():
        ratio = statistics.median(alone / packed for alone, packed in zip(found[1], found[size], strict=True))
        each = 1000 * statistics.median(found[size])
        print(f"  {size:3} in a pack {each:6.1f} ms per trial, {ratio:4.1f} times less (target: at least {target})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="times that each takes its turn (default: %(default)s)")
    parser.add_argument("--datasets", nargs="+", default=["iris", "wine", "breast_cancer", "optdigits"])
    options = parser.parse_args()
    for dataset in options.datasets:
        compare(dataset, options.rounds)


if __name__ == "__main__":
    main()
