"""How long the results of many trials take: to write, to compact, to decide what is left, to make the table.

Usage: python benchmarks/results_scale.py [--trials N ...] [--own-files N]

Writes the records of a study of N trials, of which nine in ten are done, into a temporary folder and measures, in a
process that has loaded the study, what the commands do with them. Targets for 100,000 trials on two cores: at most
5 s to decide what is left, at most 2 s for the table; both read the compacted results anew. Of each N at most
--own-files records are written one at a time and compacted; the rest are put there merged, as compaction leaves them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from mixup_study.analysis.findings import Findings
from mixup_study.store.record import Provenance, TrialRecord, epochs_schema, trials_schema
from mixup_study.store.store import ResultStore
from mixup_study.study.study import Study, StudyFile
from mixup_study.study.trial import Trial
from mixup_study.views.render import render
from mixup_study.views.study_table import study_sheet

Result = TypeVar("Result")

EPOCH_COUNT = 10
SEEDS = 10
PROVENANCE = Provenance(
    pack_size=1,
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
    device="a CPU",
    code_version="benchmark",
    python_version="3.11",
    torch_version="2.7",
    ray_version="2.60",
)
STUDY = """\
name: scale
trial: {{dataset: digits, model: preact_resnet18, width: 8, epochs: {epochs}, batch_size: 50, lr: 0.1}}
grid: {{label_noise: [0.2, 0.8], seed: {seeds}}}
arms:
  mixup: {{method: mixup, alpha: {alphas}}}
table:
  title: Many trials
  rows: [label_noise, arm]
  columns: [{{title: best, metric: test_error_best}}, {{title: last, metric: test_error_last}}]
  pick: {{lowest: test_error_last}}
"""


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def load(folder: Path, trials: int) -> Study:
    alphas = [(index + 1) / 1000 for index in range(trials // (2 * SEEDS))]
    file = folder / "scale.yaml"
    file.write_text(STUDY.format(epochs=EPOCH_COUNT, seeds=list(range(SEEDS)), alphas=alphas))
    study = StudyFile(file).load("full")
    assert len(study.trials) == trials
    return study


def record(trial: Trial) -> TrialRecord:
    epochs = [
        {"epoch": epoch, "lr": trial.lr, "train_loss": 1 / epoch, "test_error": 0.5 / epoch, "seconds": 1.0}
        for epoch in range(1, EPOCH_COUNT + 1)
    ]
    measured = {"test_error_best": 0.1, "test_error_last": 0.1 + trial.seed / 100 + (trial.alpha or 0) / 1e4}
    return TrialRecord(trial, "done", PROVENANCE, 12.5, measured, epochs)


def write_merged(store: ResultStore, records: list[tuple[str, TrialRecord]]) -> None:
    """Put records where compaction would."""
    trials = [
        {
            "trial_id": trial_id,
            **one.trial.flat(),
            "status": one.status,
            **one.measurements,
            "train_seconds": 12.5,
            **vars(PROVENANCE),
        }
        for trial_id, one in records
    ]
    epochs = [{"trial_id": trial_id, **epoch} for trial_id, one in records for epoch in one.epochs]
    for name, rows, schema in (("trials", trials, trials_schema()), ("epochs", epochs, epochs_schema())):
        table = pa.Table.from_pylist(rows, schema=schema).sort_by("trial_id")
        folder = Path(store.location, name, "merged")
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / f"{len(table)}-bulk.parquet", row_group_size=10_000)


def measure(trials: int, own_files: int, folder: Path) -> dict[str, float]:
    """Return seconds by what took them."""
    loading, study = timed(lambda: load(folder, trials))
    records = [(trial_id, record(trial)) for trial_id, trial in study.trials.items()][: trials * 9 // 10]
    own, rest = records[:own_files], records[own_files:]
    store = ResultStore(str(folder / "results"))
    writing, _ = timed(lambda: [store.write(one) for _, one in own])

    def decide() -> int:
        done = ResultStore(store.location).done()
        return sum(trial_id not in done for trial_id in study.trials)

    before, left = timed(decide)
    assert left == trials - len(own)
    compacting, _ = timed(store.compact)
    if rest:
        write_merged(store, rest)
        store.compact()
    deciding, left = timed(decide)
    assert left == trials - len(records)
    asking, done = timed(lambda: ResultStore(store.location).done_among([records[-1][0]]))
    assert done
    table, _ = timed(lambda: render(study_sheet(Findings.read(study, ResultStore(store.location), "measured")), "text"))
    return {
        "writing, ms per trial": 1000 * writing / len(own),
        f"deciding, {len(own):,} own files": before,
        "compacting those": compacting,
        "expanding the study, ids included": loading,
        "deciding what is left": deciding,
        "is one trial done": asking,
        "table": table,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000, 100_000], metavar="N")
    parser.add_argument(
        "--own-files",
        type=int,
        default=10_000,
        metavar="N",
        help="records written one at a time (default: %(default)s)",
    )
    options = parser.parse_args()
    targets = {"deciding what is left": 5.0, "table": 2.0}
    for trials in options.trials:
        with tempfile.TemporaryDirectory() as folder:
            for name, seconds in measure(trials, options.own_files, Path(folder)).items():
                unit = "" if name.endswith("per trial") else " s"
                target = f"   target: at most {targets[name]:g} s" if name in targets and trials <= 100_000 else ""
                print(f"{trials:>9,} trials   {name:<36}{seconds:>9.2f}{unit}{target}", flush=True)


if __name__ == "__main__":
    main()
