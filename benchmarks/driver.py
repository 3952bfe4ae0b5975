"""What the driver takes to handle a message, were 1,000 slots to report twice a second.

Usage: python benchmarks/driver.py [--seconds N]

Hands the reports that Tune would hand it to the driver's own callback, with the listeners of a run: the live view and
the study's metrics. 900 slots train one trial each and 100 a pack of 256. Now and then a trial ends, so that the plan
is asked for more, and the live view draws twice a second. Targets: at most 0.2 ms a message, at most half of a core.
Tune's own handling of a report, and its way through Ray, are not in it.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from mixup_study.cluster.assignment import RunSettings
from mixup_study.cluster.driver import Driver
from mixup_study.cluster.interrupt import Interrupt
from mixup_study.cluster.messages import EpochEnded, Message, TrialEnded, to_report
from mixup_study.cluster.metrics import StudyMetrics
from mixup_study.cluster.scheduler import PlanSearcher, RunStopper, TuneCallbacks
from mixup_study.progress import RunProgress
from mixup_study.study.plan import GridPlan, Job
from mixup_study.study.study import Study, StudyFile

SLOTS = 1000
PACKS = 100
PACK_SIZE = 256
REPORTS_PER_SECOND = 2
ENDS = 20
"""Of so many messages of a trial that trains alone, one is its end."""
STUDY = """\
name: driver
trial: {{dataset: digits, model: mlp, width: 8, epochs: 100000, batch_size: 50, lr: 0.1}}
grid: {{seed: {seeds}}}
arms:
  pack: {{dataset: iris, optimizer: adam, weight_decay: {packs}}}
  alone: {{train_size: 1000, data_seed: {alone}}}
table:
  title: Driver
  rows: [arm]
  columns: [{{title: last, metric: test_error_last}}]
  pick: {{lowest: test_error_last}}
"""

RESULT = {
    "timestamp": 1764000000,
    "checkpoint_dir_name": None,
    "should_checkpoint": False,
    "done": False,
    "training_iteration": 5,
    "date": "2026-01-01_00-00-00",
    "time_this_iter_s": 0.5,
    "time_total_s": 2.5,
    "pid": 1,
    "hostname": "node",
    "node_ip": "127.0.0.1",
    "time_since_restore": 2.5,
    "iterations_since_restore": 5,
}
"""What Tune adds to every report."""


class Board:
    """A board that nobody asks."""

    name = "board"

    def post(self, name: str, assignment: str) -> None:
        pass

    def take_down(self, name: str) -> None:
        pass


def load(folder: Path) -> Study:
    """Return a study of more trials alone than there are slots for, and of packs."""
    file = folder / "driver.yaml"
    decays = [(number + 1) / 1e6 for number in range(PACKS)]
    file.write_text(STUDY.format(seeds=list(range(PACK_SIZE)), alone=list(range(40)), packs=decays))
    return StudyFile(file).load("full")


class Starts:
    """Listens for the job that started last."""

    def __init__(self) -> None:
        self.job: Any = None

    def started(self, job: Job, trial_ids: Sequence[str]) -> None:
        self.job = job

    def progressed(self, trial_id: str, epoch: int, headline: float) -> None:
        pass

    def restarted(self, trial_ids: Sequence[str], reason: str) -> None:
        pass

    def warned(self, trial_id: str, line: str) -> None:
        pass

    def waited(self, line: str) -> None:
        pass

    def resized(self, slots: int) -> None:
        pass

    def interrupted(self, line: str) -> None:
        pass

    def stopped(self, trial_id: str, train_seconds: float, headline: float | None) -> None:
        pass

    def finished(self, trial_id: str, train_seconds: float, headline: float | None, error: str | None) -> None:
        pass


class Simulation:
    """A driver, and the slots that report to it."""

    def __init__(self, folder: Path) -> None:
        study = load(folder)
        plan = GridPlan(study, PACKS)
        settings = RunSettings.from_study(study, str(folder / "results"), folder, "benchmark")
        self.console = Console(file=io.StringIO(), force_terminal=True, width=120)
        self.progress = RunProgress(self.console, plan, ())
        self.starts = Starts()
        driver = Driver(plan, settings, SLOTS, (), [self.progress, StudyMetrics(plan, ()), self.starts])
        board: Any = Board()
        interrupt = Interrupt(0, ())
        self.searcher = PlanSearcher(driver, board, interrupt)
        self.callbacks = TuneCallbacks(driver, board, interrupt, RunStopper(driver))
        self.number = 0
        self.seconds: dict[str, list[float]] = {"a trial alone": [], f"a pack of {PACK_SIZE}": [], "a trial's end": []}
        self.slots: list[tuple[Any, Job]] = []
        while (slot := self.start()) is not None:
            self.slots.append(slot)
        sizes = Counter(len(job.trials) for _, job in self.slots)
        assert sizes == {1: SLOTS - PACKS, PACK_SIZE: PACKS}, sizes

    def start(self) -> tuple[Any, Job] | None:
        """Let Tune start the next job; None where no slot is free."""
        self.number += 1
        config = self.searcher.suggest(str(self.number))
        if not isinstance(config, dict):
            return None
        trial = SimpleNamespace(trial_id=str(self.number), config=config)
        self.callbacks.on_trial_start(0, [], trial)
        return trial, self.starts.job

    def report(self, place: int, number: int) -> None:
        """Let a slot report, as Tune hands it on; ``number`` counts its reports."""
        trial, job = self.slots[place]
        pack = len(job.trials) > 1
        ends = not pack and (number + place) % ENDS == 0
        trial_id = job.trial_ids[(number * 7) % len(job.trial_ids)]
        if ends:
            message: Message = TrialEnded(trial_id, "done", 0.25, 1.5)
        else:
            message = EpochEnded(trial_id, number + 1, 0.25)
        result = {**to_report(message), **RESULT, "config": trial.config, "trial_id": trial.trial_id}
        begun = time.perf_counter()
        self.callbacks.on_trial_result(0, [], trial, result)
        if ends:
            self.searcher.on_trial_complete(trial.trial_id, result)
            self.callbacks.on_trial_complete(0, [], trial)
            started = self.start()
            assert started is not None
            self.slots[place] = started
        else:
            self.searcher.suggest("")  # Tune asks at every step
        self.callbacks.on_step_end(0, [])
        seconds = time.perf_counter() - begun
        kind = "a trial's end" if ends else f"a pack of {PACK_SIZE}" if pack else "a trial alone"
        self.seconds[kind].append(seconds)

    def draw(self) -> float:
        """Draw the live view; return the seconds that it took."""
        begun = time.perf_counter()
        self.console.print(self.progress.view())
        return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10, help="seconds to simulate (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(Path(folder))
        views = []
        for number in range(1, options.seconds * REPORTS_PER_SECOND + 1):
            for place in range(SLOTS):
                simulation.report(place, number)
            views.append(simulation.draw())
    for kind, seconds in simulation.seconds.items():
        print(f"{kind}: {1000 * statistics.mean(seconds):.3f} ms a message, {len(seconds)} messages")
    seconds = [one for kind in simulation.seconds.values() for one in kind]
    print(f"together: {1000 * statistics.mean(seconds):.3f} ms a message (target: at most 0.2)")
    print(f"live view: {1000 * statistics.mean(views):.1f} ms, drawn {REPORTS_PER_SECOND} times a second")
    share = (sum(seconds) + sum(views)) / options.seconds
    print(f"{SLOTS} slots, {REPORTS_PER_SECOND} reports a second each: {share:.0%} of a core (target: at most 50%)")


if __name__ == "__main__":
    main()
