"""What scheduling a trial costs, beside the documented pattern of a Tune trial that starts a TorchTrainer.

Usage: python benchmarks/overhead.py [--trials N] [--pattern-trials N]

Runs N trials of one epoch on 100 examples on two slots of a Ray cluster started for it. The overhead of a trial is
the slots' time that was not training: (slots x wall seconds - sum of train_seconds) / N, from the first report of a
trial on, so that the start of Ray and of its processes is left out. Target: at most 0.05 s. The pattern runs the same
training from Ray Train workers of their own, measured whole.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SLOTS = 2


class Clock:
    """Listens to trials and keeps when each of them ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.train_seconds: list[float] = []
        self.errors: list[str] = []

    def started(self, job: Any, trial_ids: Sequence[str]) -> None:
        pass

    def progressed(self, trial_id: str, epoch: int, headline: float) -> None:
        pass

    def restarted(self, trial_ids: Sequence[str], reason: str) -> None:
        raise SystemExit(f"{trial_ids[0]}: {reason}")

    def warned(self, trial_id: str, line: str) -> None:
        raise SystemExit(f"{trial_id}: {line}")

    def waited(self, line: str) -> None:
        raise SystemExit(line)

    def resized(self, slots: int) -> None:
        raise SystemExit(f"the cluster has {slots} slots now")

    def interrupted(self, line: str) -> None:
        pass

    def stopped(self, trial_id: str, train_seconds: float, headline: float | None) -> None:
        raise SystemExit(trial_id)

    def finished(self, trial_id: str, train_seconds: float, headline: float | None, error: str | None) -> None:
        self.ends.append(time.perf_counter())
        self.train_seconds.append(train_seconds)
        if error is not None:
            self.errors.append(error)


def small_trial(seed: int) -> Any:
    from mixup_study.study.trial import Trial

    return Trial(
        dataset="digits", train_size=100, model="preact_resnet18", width=8, epochs=1, batch_size=64, lr=0.1, seed=seed
    )


STUDY = """\
name: overhead
trial:
  {{dataset: digits, train_size: 100, model: preact_resnet18, width: 8, epochs: 1, batch_size: 64, lr: 0.1}}
grid: {{seed: {seeds}}}
arms: {{ERM: {{}}}}
table: {{title: Overhead, rows: [arm], columns: [{{title: last, metric: test_error_last}}]}}
"""


def study_overhead(trials: int, cluster: Any, folder: Path) -> float:
    """Seconds of overhead per trial as `run` schedules it."""
    from mixup_study.cluster.assignment import RunSettings
    from mixup_study.cluster.scheduler import RayExecutor
    from mixup_study.study.plan import GridPlan
    from mixup_study.study.study import StudyFile

    clock = Clock()
    # The first trial of each slot also pays for its process; they are run, and left out.
    file = folder / "overhead.yaml"
    file.write_text(STUDY.format(seeds=list(range(trials + SLOTS))))
    study = StudyFile(file).load("full")
    settings = RunSettings.from_study(study, str(folder / "results"), folder, "benchmark")
    RayExecutor(cluster, grace=8).run(GridPlan(study, SLOTS), settings, (), [clock])
    if clock.errors:
        raise SystemExit(f"{len(clock.errors)} trials failed: {clock.errors[0]}")
    wall = clock.ends[-1] - clock.ends[SLOTS - 1]
    return (SLOTS * wall - sum(clock.train_seconds[SLOTS:])) / trials


def pattern_trial(config: dict[str, Any]) -> None:
    from ray import train
    from ray.train import ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    def train_function(config: dict[str, Any]) -> None:
        import torch

        from mixup_study.training.loop import train as train_trial

        trial = small_trial(config["seed"])
        (ended,) = train_trial([trial], Path("unused"), torch.device("cpu"), lambda trial, row, examples: None)
        if isinstance(ended, Exception):
            raise ended
        train.report({"train_seconds": ended.seconds})

    with tempfile.TemporaryDirectory() as scratch:
        TorchTrainer(
            train_function,
            train_loop_config=config,
            scaling_config=ScalingConfig(num_workers=1),
            run_config=train.RunConfig(storage_path=scratch, callbacks=[TuneReportCallback()]),
        ).fit()


def pattern_overhead(trials: int) -> float:
    """Seconds of overhead per trial of the documented pattern, on the same two slots."""
    from ray import tune

    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        grid = tune.Tuner(
            tune.with_resources(pattern_trial, {"memory": 1.0}),
            param_space={"seed": tune.grid_search(list(range(trials)))},
            tune_config=tune.TuneConfig(max_concurrent_trials=SLOTS),
            run_config=tune.RunConfig(storage_path=scratch, verbose=0),
        ).fit()
        wall = time.perf_counter() - begun
        seconds = [result.metrics["train_seconds"] for result in grid]
    return (SLOTS * wall - sum(seconds)) / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100, help="trials of the study (default: %(default)s)")
    parser.add_argument(
        "--pattern-trials", type=int, default=6, help="trials of the pattern, or 0 (default: %(default)s)"
    )
    options = parser.parse_args()

    from mixup_study.cluster.session import connect

    with tempfile.TemporaryDirectory() as folder, connect(None, SLOTS, 0, "overhead") as cluster:
        ours = study_overhead(options.trials, cluster, Path(folder))
        print(
            f"mixup_study: {ours:.3f} s per trial beyond its training, {options.trials} trials, target: at most 0.05 s"
        )
        if not options.pattern_trials:
            return
        pattern = pattern_overhead(options.pattern_trials)
    print(f"Tune trial that starts a TorchTrainer: {pattern:.1f} s per trial, {options.pattern_trials} trials")
    print(f"ratio: {pattern / ours:.0f}")


if __name__ == "__main__":
    main()
