"""The studies that are disturbed, what they measure undisturbed, and what is wrong with results that differ."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from mixup_study.catalogue import CATALOGUE
from mixup_study.store.store import ResultStore
from mixup_study.study.study import StudyFile
from mixup_study.training.task import TrialResult
from tests.training.alone import train_alone
from tests.training.pair import running_pair

MIXED = """\
name: chaos
checkpoint_seconds: 0.2
trial:
  {dataset: digits, train_size: 200, augment: false, model: preact_resnet18, width: 4, epochs: 10, batch_size: 50,
   lr: 0.1}
grid: {label_noise: [0.5], seed: [0]}
models:
  ERM: {}
  mixup: {method: mixup, alpha: 1}
arms:
  ERM: {}
  mixup: {method: mixup, alpha: 1}
  neighbours: {method: mixup, alpha: 1, neighbours: 5}
  packed:
    {dataset: iris, train_size: null, augment: true, model: mlp, width: 8, epochs: 100, batch_size: 16, lr: 0.01,
     method: mixup, alpha: [0.2, 1]}
  attacked: {task: attack, source: mixup, attacker: ERM, epsilon: 16, steps: 10}
  in between: {task: between, source: mixup, pairs: 200, lambdas: 11}
  searched: {method: mixup, validation: 0.2, epochs: 6}
search:
  proposals: 6
  window: 3
  space: {searched: {alpha: {log: [0.1, 10]}, weight_decay: {log: [1e-5, 1e-2]}}}
  minimise: validation_error_last
  confirm: {seed: [7]}
table:
  {title: Chaos, rows: [arm], columns: [{title: last, metric: test_error_last}], pick: {lowest: test_error_last}}
"""
"""Trials that train alone, a pack, evaluations of trained models, and a search."""
GROUPS = """\
name: chaos_of_groups
checkpoint_seconds: 0.2
trial:
  {dataset: digits, train_size: 300, augment: false, model: preact_resnet18, width: 4, epochs: 60, batch_size: 50,
   lr: 0.1, workers: 2}
arms:
  mixup: {method: mixup, alpha: 1}
table: {title: Chaos, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""
"""One trial, of two data-parallel workers."""
EPOCH_COLUMNS = ["epoch", "lr", "train_loss", "test_error"]
Numbers: TypeAlias = dict[str, tuple[dict[str, float | None], list[tuple[Any, ...]]]]
"""By trial_id, what a trial measured, and its epochs without their seconds."""
Proposals: TypeAlias = set[tuple[str, int, str]]
"""Search, number and values of each proposal."""


@dataclass(frozen=True)
class Expected:
    """What an undisturbed study leaves."""

    numbers: Numbers
    proposals: Proposals


@dataclass(frozen=True)
class ChaosStudy:
    """A study to disturb."""

    name: str
    text: str
    workers: int
    """Of each trial."""
    train_undisturbed: Callable[[Path, Path], Expected]
    """Given the study's file and a folder: trains it without Ray, where nothing disturbs it."""

    def write(self, folder: Path) -> Path:
        """Write the study's file into a folder and return its path."""
        file = folder / f"{self.name}.yaml"
        file.write_text(self.text)
        return file


def train_in_one_process(file: Path, folder: Path) -> Expected:
    """Return what ``run --local`` records."""
    reference = folder / "reference"
    command = [sys.executable, "-m", "mixup_study.run", str(file), "--results", str(reference), "--local"]
    subprocess.run([*command, "--data", str(folder / "data")], check=True, stdout=subprocess.DEVNULL)
    return Expected(read_numbers(reference), read_proposals(reference))


def train_in_pairs(file: Path, folder: Path) -> Expected:
    """Return what two workers measure that are connected without Ray."""
    with running_pair() as pair:
        trials = StudyFile(file).load("full").trials
        results = {trial_id: pair.call(train_alone, trial)[0] for trial_id, trial in trials.items()}
    return Expected({trial_id: _list_numbers(result) for trial_id, result in results.items()}, set())


def _list_numbers(result: TrialResult) -> tuple[dict[str, float | None], list[tuple[Any, ...]]]:
    return dict(result.measurements), [tuple(row[name] for name in EPOCH_COLUMNS) for row in result.epochs]


MIXED_STUDY = ChaosStudy("chaos", MIXED, 1, train_in_one_process)
GROUP_STUDY = ChaosStudy("chaos_of_groups", GROUPS, 2, train_in_pairs)


def read_numbers(results: Path) -> Numbers:
    """Return what the results hold of finished trials."""
    store = ResultStore(str(results))
    epochs = store.epochs().to_pandas()
    numbers: Numbers = {}
    for row in store.trials().to_pylist():
        own = epochs[epochs["trial_id"] == row["trial_id"]].sort_values("epoch")
        if row["status"] == "done":
            numbers[row["trial_id"]] = (
                {metric: row[metric] for metric in CATALOGUE.tasks[row["task"]].metric_names},
                list(own[EPOCH_COLUMNS].itertuples(index=False, name=None)),
            )
    return numbers


def read_proposals(results: Path) -> Proposals:
    """Return the proposals that the results hold."""
    rows = ResultStore(str(results)).proposals().to_pylist()
    return {(row["search_id"], row["number"], row["values"]) for row in rows}


@dataclass
class Faults:
    """What is wrong with the results of a disturbed study, in lines."""

    lost: list[str] = field(default_factory=list)
    """Trials that were recorded and are no more, or that the finished study lacks."""
    doubled: list[str] = field(default_factory=list)
    """Rows that stand twice in the files."""
    mismatches: list[str] = field(default_factory=list)
    """Numbers and proposals that differ from the undisturbed, and commands that did not end."""
    retrained: list[str] = field(default_factory=list)
    """Trials trained again that were recorded."""
    left_behind: list[str] = field(default_factory=list)
    """Processes, checkpoints, folders and half-written files."""

    def lines(self) -> list[str]:
        """Return all of them, each with what it is."""
        return [f"{name.replace('_', ' ')}: {line}" for name, lines in vars(self).items() for line in lines]


class ResultChecker:
    """Looks at the results of one study after each of its commands."""

    def __init__(self, results: Path, expected: Expected) -> None:
        """Begin before the first command."""
        self._results = results
        self._expected = expected
        self._recorded: set[str] = set()
        self._written: dict[Path, int] = {}
        self._doubled: set[str] = set()
        self._wrong: set[str] = set()

    def check(self, is_done: bool) -> Faults:
        """Return what is wrong that was not yet; more is expected once the study ``is_done``."""
        faults = Faults()
        if not (self._results / "trials").exists():
            return faults
        numbers, proposals = read_numbers(self._results), read_proposals(self._results)
        faults.lost += sorted(self._recorded - numbers.keys())
        if is_done:
            faults.lost += sorted(self._expected.numbers.keys() - numbers.keys() - self._recorded)
        self._recorded = set(numbers)
        trials = _list_doubled(self._results / "trials", ["trial_id"] if is_done else ["trial_id", "status"])
        doubled = {*trials, *_list_doubled(self._results / "epochs", ["trial_id", "epoch"])}
        faults.doubled += sorted(doubled - self._doubled)
        self._doubled |= doubled
        for trial_id in numbers.keys() - self._wrong:
            if numbers[trial_id] != self._expected.numbers.get(trial_id):
                self._wrong.add(trial_id)
                instead = self._expected.numbers.get(trial_id)
                faults.mismatches.append(f"{trial_id}: {numbers[trial_id]} instead of {instead}")
        if not proposals <= self._expected.proposals or (is_done and proposals != self._expected.proposals):
            faults.mismatches.append(f"proposals: {proposals} instead of {self._expected.proposals}")
        faults.retrained += self._list_retrained(numbers)
        if is_done:
            faults.left_behind += self._list_leftovers()
        return faults

    def _list_retrained(self, done: Iterable[str]) -> list[str]:
        """Return the records and models of recorded trials that were written again since they were first seen."""
        done = set(done)
        lines = []
        files = [file for file in (self._results / "trials").glob("*.parquet") if file.stem in done]
        files += [file for file in (self._results / "models").glob("*") if file.name in done]
        for file in files:
            written = file.stat().st_mtime_ns
            if self._written.setdefault(file, written) != written:
                self._written[file] = written
                lines.append(str(file.relative_to(self._results)))
        return lines

    def _list_leftovers(self) -> list[str]:
        """Return what a finished study has no use for."""
        unneeded = [*(self._results / "checkpoints").glob("*"), *(self._results / "runs").glob("*")]
        half_written = [path for path in self._results.rglob(".*") if path.is_file()]
        return sorted({str(path.relative_to(self._results)) for path in (*unneeded, *half_written)})


def _list_doubled(folder: Path, key: list[str]) -> list[str]:
    """Return the trials of which plain Parquet has two rows of the same ``key``, in whatever files."""
    if not list(folder.rglob("*.parquet")):
        return []
    rows = pd.read_parquet(folder, columns=key)
    return [f"{folder.name} {trial_id}" for trial_id in rows[rows.duplicated()]["trial_id"].unique()]
