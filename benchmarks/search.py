"""Searches compared: what is found after equal numbers of trials, whether twice the same, and what a proposal costs.

Usage: python benchmarks/search.py [--results DIR] [--seeds N] [--slots K]

Trains a grid of settings of mixup + dropout once (digits, half of the labels corrupted, 8 x 7 x 7 settings of alpha,
weight decay and dropout; some six minutes, kept in DIR) and takes the multilinear interpolation of their validation
errors for the error of every setting between them. Over it N seeds of each search make 48 trials whose durations are
drawn (log-normal, spread 0.3) on K simulated slots:

- window: this project's TPE, of which a proposal knows the results of all but the last 11 before it;
- asynchronous: Ray's OptunaSearch, given results as they come;
- random, and the paper's grid of section 3.4 (alpha 1, 2, 4, 8 x dropout 0.3, 0.5, 0.7 at weight decay 1e-4).

Regret is the error of the best setting tried less the least error there is, in points. A search is repeatable where
other durations give the same proposals. With halving (after 3 of the 10 epochs a third goes on), as many settings are
tried as the same epochs allow.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import logging
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ALPHAS = (0.05, 0.13, 0.32, 0.8, 2, 5, 13, 32)
DECAYS = (1e-5, 3.16e-5, 1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2)
DROPOUTS = (0, 0.1, 0.2, 0.3, 0.4, 0.55, 0.7)
STUDY = f"""\
name: surface
trial:
  {{dataset: digits, train_size: 500, label_noise: 0.5, validation: 0.2, augment: false, model: preact_resnet18,
   width: 4, epochs: 10, batch_size: 50, lr: 0.1, milestones: [5, 8], method: mixup}}
grid: {{seed: [0]}}
arms: {{mixup: {{alpha: {list(ALPHAS)}, weight_decay: {list(DECAYS)}, dropout: {list(DROPOUTS)}}}}}
table:
  title: The surface
  rows: [arm]
  columns: [{{title: last, metric: validation_error_last}}]
  pick: {{lowest: validation_error_last}}
"""
EPOCHS, PAUSE, KEEP = 10, 3, 0.33
TRIALS = 48
CHECKED = (12, 24, 48)
WINDOW = 12
SPREAD = 0.3

Setting = Mapping[str, float]
Suggest = Callable[[int, Sequence[tuple[int, float]]], Setting | None]
"""Given a number and the results so far in the order in which they came, a setting, or None to wait."""


class Surface:
    """The validation error of every setting, in percent: that of the grid's, interpolated."""

    def __init__(self, errors: Any) -> None:
        import numpy as np
        from scipy.interpolate import RegularGridInterpolator

        self.table = np.array([[[errors[a, d, p] for p in DROPOUTS] for d in DECAYS] for a in ALPHAS]) * 100
        self._interpolate = RegularGridInterpolator((np.log(ALPHAS), np.log(DECAYS), DROPOUTS), self.table)

    def __call__(self, setting: Setting) -> float:
        place = [math.log(setting["alpha"]), math.log(setting["weight_decay"]), setting["dropout"]]
        return float(self._interpolate(place)[0])


def measure_surfaces(results: Path) -> tuple[Surface, Surface]:
    """Train what is missing of the grid and return the surfaces after the last epoch and at the pause."""
    import pandas as pd

    file = results / "surface.yaml"
    results.mkdir(parents=True, exist_ok=True)
    file.write_text(STUDY)
    run = [sys.executable, "-m", "mixup_study.run", str(file), "--results", str(results)]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    trials = pd.read_parquet(results / "trials").set_index("trial_id")
    epochs = pd.read_parquet(results / "epochs").set_index(["epoch", "trial_id"])["validation_error"]
    keys = ["alpha", "weight_decay", "dropout"]
    last, early = (trials[keys].assign(error=epochs[epoch]).set_index(keys)["error"] for epoch in (EPOCHS, PAUSE))
    return Surface(last.fillna(1.0)), Surface(early.fillna(1.0))


def simulate(
    suggest: Suggest, objective: Surface, slots: int, durations: random.Random
) -> tuple[list[Setting], list[float], float]:
    """Return the settings in the order of their numbers, the errors in the order of their ends, and the slots' use."""
    now = busy = 0.0
    running: list[tuple[float, int]] = []
    settings: list[Setting] = []
    results: list[tuple[int, float]] = []
    while len(results) < TRIALS:
        while len(running) < slots and len(settings) < TRIALS:
            setting = suggest(len(settings), results)
            if setting is None:
                break
            settings.append(setting)
            seconds = durations.lognormvariate(0, SPREAD)
            busy += seconds
            heapq.heappush(running, (now + seconds, len(settings) - 1))
        now, number = heapq.heappop(running)
        results.append((number, objective(settings[number])))
    return settings, [error for _, error in results], busy / (slots * now)


def window_search(seed: int, sampler: str = "tpe") -> Suggest:
    """Return this project's search."""
    from mixup_study.study.sampling import Observation, sample

    proposals: list[Setting] = []

    def suggest(number: int, results: Sequence[tuple[int, float]]) -> Setting | None:
        known = max(0, number - WINDOW + 1)
        errors = dict(results)
        if any(earlier not in errors for earlier in range(known)):
            return None
        history = [Observation(proposals[earlier], (errors[earlier],)) for earlier in range(known)]
        proposals.append(sample(sampler, seed, space(), history, proposals[known:]))
        return proposals[-1]

    return suggest


def asynchronous_search(seed: int) -> Suggest:
    """Return Ray's OptunaSearch, with each result as it comes."""
    import optuna
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    own = {
        "alpha": tune.loguniform(ALPHAS[0], ALPHAS[-1]),
        "weight_decay": tune.loguniform(DECAYS[0], DECAYS[-1]),
        "dropout": tune.uniform(DROPOUTS[0], DROPOUTS[-1]),
    }
    search = OptunaSearch(own, metric="error", mode="min", sampler=optuna.samplers.TPESampler(seed=seed))
    reported = 0

    def suggest(number: int, results: Sequence[tuple[int, float]]) -> Setting | None:
        nonlocal reported
        for earlier, error in results[reported:]:
            search.on_trial_complete(str(earlier), {"error": error})
        reported = len(results)
        setting: Setting = search.suggest(str(number))
        return setting

    return suggest


def paper_grid(seed: int) -> Suggest:
    """Return the paper's settings, in an order drawn by the seed; after the last, the first again."""
    settings = [
        {"alpha": a, "weight_decay": 1e-4, "dropout": p} for a, p in itertools.product((1, 2, 4, 8), (0.3, 0.5, 0.7))
    ]
    random.Random(seed).shuffle(settings)
    return lambda number, results: settings[number % len(settings)]


def space() -> Any:
    from mixup_study.study.space import Distribution

    return {
        "alpha": Distribution(log=[ALPHAS[0], ALPHAS[-1]]),
        "weight_decay": Distribution(log=[DECAYS[0], DECAYS[-1]]),
        "dropout": Distribution(uniform=[DROPOUTS[0], DROPOUTS[-1]]),
    }


def compare(objective: Surface, seeds: int, slots: int) -> Iterator[list[str]]:
    """Yield a row for each search: its regrets, its slots' use, and how often other durations change nothing."""
    searches = {
        "window-TPE": window_search,
        "OptunaSearch, asynchronous": asynchronous_search,
        "window-GP": lambda seed: window_search(seed, "gp"),
        "random": lambda seed: window_search(seed, "random"),
        "the paper's grid": paper_grid,
    }
    for name, build in searches.items():
        regrets: dict[int, list[float]] = {count: [] for count in CHECKED}
        used, repeated = [], 0
        some = seeds if "GP" not in name else min(seeds, 5)
        for seed in range(some):
            settings, errors, use = simulate(build(seed), objective, slots, random.Random(seed))
            again, _, _ = simulate(build(seed), objective, slots, random.Random(seed + 10_000))
            repeated += settings == again
            used.append(use)
            for count in CHECKED:
                regrets[count].append(min(errors[:count]) - objective.table.min())
        spread = {count: statistics.stdev(values) / len(values) ** 0.5 for count, values in regrets.items()}
        cells = [f"{statistics.fmean(values):.2f} ± {spread[count]:.2f}" for count, values in regrets.items()]
        yield [name, *cells, f"{statistics.fmean(used):.0%}", f"{repeated}/{some}"]


def search_by_halving(seed: int, surface: Surface, early: Surface) -> tuple[float, int]:
    """Return the regret after as many epochs as TRIALS whole trials take, and the settings tried with them."""
    from mixup_study.study.sampling import Observation, sample

    left, best = TRIALS * EPOCHS, math.inf
    observations: list[Observation] = []
    ranked: list[float] = []
    while left >= EPOCHS:
        known = max(0, len(observations) - WINDOW + 1)
        setting = sample(
            "tpe", seed, space(), observations[:known], [earlier.values for earlier in observations[known:]]
        )
        insort(ranked, error := early(setting))
        if ranked.index(error) < math.ceil(KEEP * len(ranked)):
            observations.append(Observation(setting, (surface(setting),)))
            best = min(best, observations[-1].objectives[0])
            left -= EPOCHS
        else:
            observations.append(Observation(setting, (error,), PAUSE))
            left -= PAUSE
    return best - surface.table.min(), len(observations)


def time_proposals() -> Iterator[list[str]]:
    """Yield what a proposal takes after so many results."""
    from mixup_study.study.sampling import Observation, sample

    for sampler, counts in (("tpe", (100, 1000)), ("gp", (100,)), ("qmc", (1000,)), ("random", (1000,))):
        for count in counts:
            settings = [sample("random", number, space(), [], []) for number in range(count)]
            history = [Observation(setting, (setting["dropout"],)) for setting in settings]
            seconds = []
            for seed in range(1 if sampler == "gp" else 5):
                begun = time.perf_counter()
                sample(sampler, seed, space(), history, [])
                seconds.append(time.perf_counter() - begun)
            yield [sampler, str(count), f"{statistics.median(seconds):.3f} s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "mixup_study-surface")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--slots", type=int, default=8)
    options = parser.parse_args()
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    warnings.simplefilter("ignore")
    objective, early = measure_surfaces(options.results)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    table = objective.table
    print(
        f"validation errors of {table.size} settings: {table.min():.2f} to {table.max():.2f} %, {options.seeds} seeds"
    )
    print(f"{'search':28} " + " ".join(f"{f'regret, {count}':>14}" for count in CHECKED) + "  slots busy  repeatable")
    for name, *cells, use, repeated in compare(objective, options.seeds, options.slots):
        print(f"{name:28} " + " ".join(f"{cell:>14}" for cell in cells) + f"  {use:>10}  {repeated:>10}", flush=True)
    halved = [search_by_halving(seed, objective, early) for seed in range(options.seeds)]
    regrets = [regret for regret, _ in halved]
    error = statistics.stdev(regrets) / len(regrets) ** 0.5
    settings = statistics.fmean(count for _, count in halved)
    print(f"\nwindow-TPE with halving, {settings:.0f} settings in the epochs of {TRIALS} whole trials:", end=" ")
    print(f"regret {statistics.fmean(regrets):.2f} ± {error:.2f}")
    print("\na proposal after so many results")
    for sampler, count, seconds in time_proposals():
        print(f"{sampler:8} {count:>5} {seconds:>10}")


if __name__ == "__main__":
    main()
