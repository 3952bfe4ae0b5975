"""Watch a study while it is trained, from another terminal or machine: by its results alone."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from mixup_study import cli
from mixup_study.analysis.estimate import list_columns, seconds_per_epoch
from mixup_study.analysis.remaining import RemainingTime
from mixup_study.errors import InputError
from mixup_study.progress import RunProgress, counts_text
from mixup_study.store.checkpoints import read_entries
from mixup_study.store.ledger import ResultLedger
from mixup_study.store.place import Place
from mixup_study.store.runs import BUCKET_POLL_SECONDS, POLL_SECONDS, RunEntry, list_runs
from mixup_study.store.store import ResultStore
from mixup_study.study.plan import Job, Plan
from mixup_study.study.search_plan import build_plan
from mixup_study.study.study import Study, StudyFile
from mixup_study.views.growing_table import GrowingTable

SHARE = 0.1
"""Of the time, what reading the results may take."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status: that of some failed where a run ended before the study was done."""
    options = _options(arguments)
    store = ResultStore(options.results)
    file, profile = _choose_study(options, store)
    study, reason = cli.load_study(file, profile, store)
    reason = reason if options.study else "that of the run under way"
    watched = WatchedStudy(study, store)
    print(f"{study.name}, profile {study.profile}: {reason}\n{counts_text(watched.plan, watched.done, ())}", flush=True)
    if not watched.is_done:
        _follow(watched, POLL_SECONDS if Place.of(store.location).local else BUCKET_POLL_SECONDS)
    left = len(watched.plan.list_left(watched.done))
    print("done" if watched.is_done else f"the run has ended; {left} of {watched.plan.expected} trials are left")
    return cli.DONE if watched.is_done else cli.SOME_FAILED


def _follow(watched: WatchedStudy, interval: float) -> None:
    """Show a study until it is done, or the runs of it that were seen have ended."""
    store, study = watched.store, watched.study
    saved = {trial_id: entry.epochs for trial_id, entry in watched.read_checkpoints().items()}
    per_epoch = seconds_per_epoch(store.trials().select(list_columns()).to_pylist())
    runs = watched.list_runs()
    slots = sum(run.slots for run in runs)
    remaining_time = RemainingTime(slots, per_epoch, saved)
    console = Console(file=sys.stdout, markup=False, emoji=False)
    table = GrowingTable(study, ResultStore(store.location))
    progress = RunProgress(
        console, cast("Plan", watched.latest_plan), watched.done, remaining_time, table=table, slots=slots
    )
    was_running = bool(runs)
    with progress:
        if not runs:
            progress.waited(f"no run of it is under way on {store.shown}; waiting for one")
        while True:
            begun = time.monotonic()
            runs = watched.list_runs()  # before the records, which a run writes before it ends
            watched.update(progress)
            if watched.is_done or (was_running and not runs):
                return
            was_running = was_running or bool(runs)
            time.sleep(max(interval, (time.monotonic() - begun) / SHARE))


class _LatestPlan:
    """The plan as it was built last: a search has trials that were not known before."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plan, name)


class WatchedStudy:
    """A study as its results show it by now."""

    def __init__(self, study: Study, store: ResultStore) -> None:
        """Begin with what ``store`` holds."""
        self.study = study
        self.store = store
        self.latest_plan = _LatestPlan(self._build_plan())
        self._states = self._read_states()
        self._epochs: dict[str, int] = {}
        """By trial_id, of the trials that are under way: those that their checkpoints hold."""

    @property
    def plan(self) -> Plan:
        """Return the plan as it was built last."""
        return self.latest_plan.plan

    @property
    def done(self) -> set[str]:
        """Return the trial_ids of the trials that are done."""
        return {trial_id for trial_id, (status, _) in self._states.items() if status == "done"}

    @property
    def is_done(self) -> bool:
        """Return whether nothing is left to train."""
        return self.plan.is_done(self.done)

    def list_runs(self) -> list[RunEntry]:
        """Return the runs of the study that are under way. Raises StorageError."""
        runs = list_runs(self.store.location)
        return [run for run in runs if (run.study, run.profile) == (self.study.name, self.study.profile)]

    def read_checkpoints(self) -> Mapping[str, Any]:
        """Return the checkpoints of the trials that are left, by trial_id. Raises StorageError."""
        return read_entries(self.store.location, {trial.trial_id for trial in self.plan.list_left(self.done)})

    def update(self, progress: RunProgress) -> None:
        """Read the results again, and tell ``progress`` what has changed. Raises StorageError."""
        self.store.refresh()
        if self.study.searches:
            self.latest_plan.plan = self._build_plan()
        before, self._states = self._states, self._read_states()
        for trial_id, entry in self.read_checkpoints().items():
            if self._epochs.get(trial_id) != entry.epoch:
                self._start(trial_id, progress)
                self._epochs[trial_id] = entry.epoch
                progress.progressed(trial_id, entry.epoch, None)
        for trial_id, state in self._states.items():
            if before.get(trial_id) != state and trial_id in self.plan.trials:
                self._end(trial_id, progress)

    def _start(self, trial_id: str, progress: RunProgress) -> None:
        if trial_id not in self._epochs:
            self._epochs[trial_id] = 0
            progress.started(Job((self.plan.trials[trial_id],)), (trial_id,))

    def _end(self, trial_id: str, progress: RunProgress) -> None:
        trial, record = self.plan.trials[trial_id], self.store.find_record(trial_id)
        self._start(trial_id, progress)
        headline = record[trial.components.task.headline_metric.name]
        seconds = (record["train_seconds"] or 0.0) - (record["resumed_seconds"] or 0.0)
        if record["status"] == "stopped":
            progress.stopped(trial_id, seconds, headline)
        else:
            progress.finished(trial_id, seconds, headline, record["error"])
        del self._epochs[trial_id]

    def _read_states(self) -> dict[str, tuple[str, object]]:
        """Return the status and the start of each record, by trial_id: a trial that fails again has another start."""
        columns = self.store.trials().select(["trial_id", "status", "started_at"]).to_pydict()
        return {trial_id: (status, started_at) for trial_id, status, started_at in zip(*columns.values(), strict=True)}

    def _build_plan(self) -> Plan:
        return build_plan(self.study, 1, ResultLedger(self.store))


def _choose_study(options: argparse.Namespace, store: ResultStore) -> tuple[StudyFile, str | None]:
    """Return the study file and the profile that the options name, or else those of the one run under way."""
    if options.study is not None:
        return cli.study_file(options), options.profile
    runs = list_runs(store.location)
    studies = {(run.file, run.profile, tuple(run.overrides)) for run in runs}
    if len(studies) != 1:
        runs_text = f"runs of {len(studies)} studies are" if studies else "no run is"
        raise InputError(f"{runs_text} under way on {store.shown}; expected STUDY, the file of the one to watch")
    ((path, profile, overrides),) = studies
    files = cli.data_files(None, options.results)
    return StudyFile(Path(path), (*overrides, *options.overrides), files=files), options.profile or profile


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "watch",
        "Show how a study is trained, as its run does, from another terminal or machine: by the results alone, so the"
        " epochs of trials are those of their checkpoints. Ends when the study is done, or its run has ended.",
        "watch",
        "watch studies/corrupt_labels.yaml --results s3://bucket/folder",
    )
    cli.add_study(parser, optional="that of the run under way")
    cli.add_results(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.command(main)
