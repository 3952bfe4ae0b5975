"""How large the report of many trials is, and how long it takes to write and to open.

Usage: python -m benchmarks.report [--trials N] [--epochs N] [--out FILE]

Puts records of a study of N trials into a temporary folder, writes the report in a process that has loaded the study,
and opens it in Debian's Chromium, headless, five times. "drawn" is from the start of the navigation until the last
figure stands. Targets at 1,000 trials of 200 epochs: at most 5 MB, drawn within 2 s.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixup_study.analysis.findings import Findings
from mixup_study.store.record import epochs_schema, trials_schema
from mixup_study.store.store import ResultStore
from mixup_study.study.study import Study, StudyFile
from mixup_study.views.report import write_report
from tests.browser import chromium

SLOTS = 8
ARMS = 100  # settings per condition and seed
STUDY = """\
name: many
paper: {{table: 2, section: "3.4", protocol: "CIFAR-10, 200 epochs"}}
trial: {{dataset: digits, model: preact_resnet18, width: 8, epochs: {epochs}, batch_size: 50, lr: 0.1}}
grid: {{label_noise: [0.2, 0.8], seed: {seeds}}}
arms:
  ERM: {{}}
  ERM + dropout: {{dropout: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]}}
  mixup: {{method: mixup, alpha: {alphas}}}
  mixup + dropout: {{method: mixup, alpha: [0.1, 0.5, 1, 2, 8, 32], dropout: {dropouts}}}
table:
  title: Many trials
  rows: [label_noise, arm]
  columns: [{{title: best, metric: test_error_best}}, {{title: last, metric: test_error_last}}]
  pick: {{lowest: test_error_last}}
figures: [{{kind: curves, title: Test errors over the epochs}}]
"""


def many(folder: Path, trials: int, epochs: int) -> tuple[Study, ResultStore]:
    """Return a study of ``trials`` trials, a multiple of 200, and a store of their records, one in 50 failed."""
    file = folder / "many.yaml"
    alphas, dropouts = [round(1.2**n / 10, 4) for n in range(30)], [round(0.05 * (n + 1), 2) for n in range(10)]
    file.write_text(
        STUDY.format(epochs=epochs, seeds=list(range(max(1, trials // (2 * ARMS)))), alphas=alphas, dropouts=dropouts)
    )
    study = StudyFile(file).load("paper")
    generator = np.random.default_rng(0)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    trial_rows, errors, ids = [], [], list(study.trials)
    for number, (trial_id, trial) in enumerate(study.trials.items()):
        started = start + timedelta(seconds=61 * (number // SLOTS) + (86_400 if number > len(ids) / 2 else 0))
        made = {"pack_size": 1, "started_at": started, "device": "a CPU", "code_version": "benchmark"}
        row = {"trial_id": trial_id, **trial.flat(), **made, "train_seconds": float(generator.uniform(30, 60))}
        if number % 50 == 49:
            trial_rows.append({**row, "status": "failed", "error": "TrainingDiverged: the loss of epoch 3 is nan"})
            errors.append(np.full(epochs, np.nan))
            continue
        curve = trial.label_noise * np.exp(-np.arange(epochs) / 40) + 0.1 + generator.normal(0, 0.01, epochs)
        errors.append(np.clip(curve + 0.05 * (trial.alpha is None), 0, 1))
        measured = {"test_error_best": errors[-1].min(), "test_error_last": errors[-1][-1]}
        measured |= {"train_error_real": 0.05, "train_error_corrupted": 0.8}
        trial_rows.append({**row, "status": "done", **measured})
    columns = {
        "trial_id": np.repeat(ids, epochs),
        "epoch": np.tile(np.arange(1, epochs + 1), len(ids)),
        "test_error": np.concatenate(errors),
        "seconds": np.ones(epochs * len(ids)),
    }
    columns = {name: values[~np.isnan(np.concatenate(errors))] for name, values in columns.items()}
    nothing = [None] * len(columns["epoch"])
    tables = {
        "trials": pa.Table.from_pylist(trial_rows, schema=trials_schema()).sort_by("trial_id"),
        "epochs": pa.table({name: columns.get(name, nothing) for name in epochs_schema().names}, epochs_schema()),
    }
    store = ResultStore(str(folder / "results"))
    for name, table in tables.items():
        merged = Path(store.location, name, "merged")
        merged.mkdir(parents=True)
        pq.write_table(table.sort_by("trial_id"), merged / f"{len(table)}-bulk.parquet", row_group_size=10_000)
    return study, store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=200, metavar="N", help="default: %(default)s")
    parser.add_argument("--out", metavar="FILE", help="keep the report there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study, store = many(folder, options.trials, options.epochs)
        begun = time.perf_counter()
        path = write_report(Findings.read(study, store, "measured"), options.out)
        print(f"{len(study.trials):,} trials of {options.epochs} epochs")
        print(f"to write   {time.perf_counter() - begun:6.2f} s")
        print(f"size       {Path(path).stat().st_size / 1e6:6.2f} MB   target: at most 5 MB")
        drawn, loaded = [], []
        with chromium(folder / "chromium") as browser:
            browser.resize(1280)
            for _ in range(5):
                browser.open(Path(path).as_uri())
                browser.wait("document.documentElement.dataset.drawn")
                drawn.append(browser.evaluate("performance.getEntriesByName('drawn')[0].startTime") / 1000)
                loaded.append(browser.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000)
        for name, seconds in {"loaded": loaded, "drawn": drawn}.items():
            target = "   target: at most 2 s" if name == "drawn" else ""
            print(f"{name:<10} {statistics.median(seconds):6.2f} s    {min(seconds):.2f} to {max(seconds):.2f}{target}")


if __name__ == "__main__":
    main()
