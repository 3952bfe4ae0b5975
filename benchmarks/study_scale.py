"""What a study of many trials takes: to be planned, to be listed, and until its first trial starts.

Usage: python benchmarks/study_scale.py [--trials N]

Runs ``plan`` and ``run --dry-run`` in processes of their own, and measures their CPU time and memory. Then, in this
process, what a run does between the start of Ray and that of its first trial. Targets for 100,000 trials: at most 10 s
and 500 MB each, and 10 s until the first trial starts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from mixup_study.cluster.assignment import RunSettings
from mixup_study.cluster.driver import Driver
from mixup_study.cluster.session import Cluster
from mixup_study.progress import RunProgress, counts_text
from mixup_study.store.store import ResultStore
from mixup_study.study.plan import GridPlan
from mixup_study.study.study import StudyFile
from mixup_study.views.growing_table import GrowingTable

SETTINGS = 100
STUDY = """\
name: scale
trial: {{dataset: digits, model: preact_resnet18, width: 8, epochs: 20, batch_size: 64, lr: 0.1, milestones: [10, 15]}}
grid:
  weight_decay: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4]
  label_noise: [0.1, 0.2, 0.3, 0.4, 0.5]
  seed: {seeds}
arms:
  ERM: {{}}
  mixup: {{method: mixup, alpha: [0.2, 1, 4]}}
table:
  title: Many trials
  rows: [weight_decay, label_noise, arm]
  columns: [{{title: last, metric: test_error_last}}]
  pick: {{lowest: test_error_last}}
"""


def measure_command(command: str, *arguments: str) -> str:
    """Return what a command took."""
    process = subprocess.Popen([sys.executable, "-m", f"mixup_study.{command}", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command} ended with status {process.returncode}")
    return f"{usage.ru_utime + usage.ru_stime:.1f} s of CPU, {usage.ru_maxrss / 1024:.0f} MB"


def start_first_trial(path: Path, results: str) -> float:
    """Return the CPU seconds from a loaded study to the assignment of its first trial."""
    study, store = StudyFile(path).load("full"), ResultStore(results)
    begun = time.process_time()
    plan = GridPlan(study, 2)
    done = store.done().intersection(plan.trials)
    counts_text(plan, done, ())
    cluster = Cluster(((2.0, 0.0),), None)
    for trial in plan.list_left(done):
        cluster.check(study.resources, trial.processes)
    settings = RunSettings.from_study(study, store.location, path.parent, "benchmark")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        progress = RunProgress(Console(file=nowhere), plan, done, table=GrowingTable(study, store))
        driver = Driver(plan, settings, 2, done, [progress])
        job = driver.next_job()
        assert job is not None
        driver.assignment(job).model_dump_json()
        driver.start(job.name)
    return time.process_time() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    options = parser.parse_args()
    seeds = max(options.trials // SETTINGS, 1)
    with tempfile.TemporaryDirectory() as folder:
        path, results = Path(folder) / "study.yaml", str(Path(folder) / "results")
        path.write_text(STUDY.format(seeds=list(range(seeds))), encoding="utf-8")
        print(f"{seeds * SETTINGS:,} trials")
        print("plan:", measure_command("plan", str(path), "--results", results))
        print("run --dry-run:", measure_command("run", str(path), "--results", results, "--dry-run"))
        print(f"from Ray's start to the first trial: {start_first_trial(path, results):.1f} s of CPU")


if __name__ == "__main__":
    main()
