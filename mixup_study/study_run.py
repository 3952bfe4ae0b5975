"""A run of a study: train the trials that its results do not hold yet, and say how that goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TextIO

from rich.console import Console

from mixup_study import cli
from mixup_study.analysis.efficiency import SlotTime, efficiency_text
from mixup_study.analysis.estimate import list_columns, seconds_per_epoch
from mixup_study.analysis.remaining import RemainingTime
from mixup_study.catalogue import CATALOGUE
from mixup_study.cluster.assignment import RunSettings
from mixup_study.cluster.executor import Executor
from mixup_study.cluster.scratch import remove_abandoned
from mixup_study.cluster.version import code_version
from mixup_study.errors import InputError, Interrupted
from mixup_study.progress import RunProgress, counts_text
from mixup_study.store.checkpoints import CheckpointEntry, read_entries, remove_checkpoints
from mixup_study.store.envelope import FileUnusable
from mixup_study.store.ledger import ResultLedger
from mixup_study.store.logs import LogFile
from mixup_study.store.models import ModelFile, list_models
from mixup_study.store.place import StorageError
from mixup_study.store.runs import announced
from mixup_study.store.store import ResultStore
from mixup_study.study.data_files import list_missing_files
from mixup_study.study.labels import count_text
from mixup_study.study.plan import Ending, Plan
from mixup_study.study.profile import choose_profile
from mixup_study.study.search_plan import build_plan
from mixup_study.study.study import Study, StudyFile
from mixup_study.study.warnings import list_warnings
from mixup_study.time_limit import end_as_by_signal, ending_after
from mixup_study.views.growing_table import GrowingTable

GRACE = 8
"""Seconds that the trials under way have to save after a signal, by default."""


@dataclass(frozen=True)
class Outcome:
    """How the trials went that were left."""

    progress: RunProgress
    plan: Plan
    logs: Mapping[str, LogFile]
    """By trial_id, of the trials that started."""
    slot_time: SlotTime

    @property
    def efficiency(self) -> str:
        """Return which part of the time the slots trained."""
        return f"efficiency: {efficiency_text(self.progress.train_seconds, self.slot_time)}"

    def failure_lines(self, done: Collection[str]) -> list[str]:
        """Return a line for each trial that is missing: what ended it and where its log is, or what it waits for.

        The lines are in the order of the study.
        """
        endings: dict[str, Ending] = dict.fromkeys((*self.logs, *self.progress.failures), "failed")
        blocked = self.plan.blocked(endings | dict.fromkeys(done, "done"))
        lines = []
        for trial_id in self.plan.trials:
            if trial_id in done or self.plan.is_settled(trial_id):
                continue
            name = f"{trial_id} {self.plan.labels[trial_id]}"
            if trial_id in blocked:
                lines.append(f"not run: {name}: waiting for {blocked[trial_id]}: failed")
                continue
            error = self.progress.failures.get(trial_id, "ended without a record")
            log = self.logs.get(trial_id)
            where = f" (log: {log.shown})" if log is not None and log.exists() else ""
            lines.append(f"failed: {name}: {error}{where}")
        return lines


@dataclass(frozen=True)
class RunOptions:
    """Where a study is trained, and where its results are."""

    results: str
    local: bool = False
    address: str | None = None
    cpus: int | None = None
    gpus: int | None = None
    grace: float = GRACE
    """Seconds that the trials under way have to save after a signal."""
    time_limit: float | None = None
    """Seconds after which training ends as after SIGTERM."""
    trial_time_limit: float | None = None
    """Seconds that a trial trains before it makes room for the next."""
    dry_run: bool = False

    def check(self) -> None:
        """Raise InputError for options that exclude each other."""
        starts_cluster = self.cpus is not None or self.gpus is not None
        if self.address and starts_cluster:
            raise InputError("--address joins a cluster as it is; expected it without --cpus and --gpus")
        if self.local and (self.address or starts_cluster):
            raise InputError(
                "--local starts no Ray cluster and joins none; expected it without --address, --cpus and --gpus"
            )


@dataclass(frozen=True)
class StudyRun:
    """What a run has come to."""

    study: Study
    reason: str
    """Why this profile of the study was taken."""
    plan: Plan
    done: Collection[str]
    """trial_ids of the trials that were recorded before."""
    outcome: Outcome | Interrupted | None = None
    """How the trials went that were left, or what interrupted them; None where nothing was trained."""


class DataNotFetched(InputError):
    """The data sets of a study are not there, and could not be brought."""

    def __init__(self, missing: Sequence[str], status: int) -> None:
        """Name the data sets, and the exit status of ``fetch``, which has told why."""
        super().__init__(f"not fetched: {', '.join(missing)}; python -m mixup_study.fetch says why")
        self.status = status


def train_study(file: StudyFile, named: str | None, options: RunOptions, store: ResultStore, out: TextIO) -> StudyRun:
    """Train what the results do not hold yet, and say on ``out`` how that goes.

    ``named`` is the profile, None for the one that suits the hardware. Raises InputError, and DataNotFetched.
    """
    name = _check_study(file, named)
    if not options.dry_run:
        remove_abandoned()  # also where this run opens none of its own
        store.check_writable()
        store.compact()
        if (finished := _load_finished(options, file, named, store)) is not None:
            study, reason, plan = finished
            print(_describe_study(study, reason, counts_text(plan, plan.trials, ())), file=out)
            return StudyRun(study, reason, plan, plan.trials)
        _fetch_missing(options, file, named, store, out)
    with _open_executor(options, name, out) as executor:
        profile, reason = choose_profile(file, named, executor.gpus, executor.place)
        study = file.load(profile)
        if study.searches and options.trial_time_limit is not None:
            raise InputError(
                f"--trial-time-limit: {study.name} searches, and what it proposes may depend on no clock; expected"
                " search.stop, which ends trials after epochs"
            )
        plan = build_plan(study, executor.slots(study.resources), ResultLedger(store))
        recorded = store.done().intersection(plan.trials)
        retrained = plan.list_retrained(recorded, _find_models(store, plan, recorded, remove=not options.dry_run))
        done = recorded - retrained
        _show_plan(plan, study, reason, executor, done, retrained, out)
        if options.dry_run:
            for trial in plan.list_left(done):
                print(f"{trial.trial_id}  {plan.labels[trial.trial_id]}", file=out)
            return StudyRun(study, reason, plan, done)
        slots = executor.slots(study.resources)
        with (
            ending_after(options.time_limit),
            announced(store.location, study, file.path, slots, partial(_stop, executor)),
        ):
            outcome = None
            if not plan.is_done(done):
                outcome = _train(plan, study, executor, store, options, done, out)
    if not isinstance(outcome, Interrupted):
        store.compact()
    store.refresh()
    return StudyRun(study, reason, plan, done, outcome)


def _stop(executor: Executor, trial_id: str | None) -> bool:
    """Stop a trial, or, without one, the run as after SIGTERM; return whether this process does that by now.

    It does not while SIGTERM would end it without saving: before it trains, and where it trains in a thread.
    """
    if trial_id is not None:
        executor.stops.request(trial_id)
    elif signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        return False
    else:
        end_as_by_signal()
    return True


def _check_study(file: StudyFile, profile: str | None) -> str:
    """Return the study's name; raise InputError for what no profile it may run in can be, before Ray starts."""
    names = [file.load(name).name for name in ([profile] if profile else file.profiles)]
    return names[0]


def _find_models(store: ResultStore, plan: Plan, done: Collection[str], *, remove: bool) -> set[str]:
    """Return the trial_ids of the models in the results, without those wanted that cannot be used.

    Each of those is told of in one line, and removed where ``remove``.
    """
    if not plan.needed:
        return set()
    models = {model.trial_id for model in list_models(store.location)}
    for trial_id in sorted(models & plan.list_wanted(done)):
        from mixup_study.training.model_file import unpack_model  # brings in torch

        file = ModelFile(store.location, trial_id)
        try:
            unpack_model(trial_id, file.read() or b"")
        except FileUnusable as error:
            print(f"{file.shown}: the model cannot be used: {error}; its trial is trained again", file=sys.stderr)
            models.remove(trial_id)
            if remove:
                file.remove()
    return models


def _load_finished(
    options: RunOptions, file: StudyFile, named: str | None, store: ResultStore
) -> tuple[Study, str, Plan] | None:
    """Return the study, why its profile was taken, and its plan, where no cluster is needed to see that it is done."""
    profile, reason = choose_profile(file, named, 0, "this machine")
    with_gpus, _ = choose_profile(file, named, 1, "this machine")
    if profile != with_gpus and (options.address or "RAY_ADDRESS" in os.environ or options.gpus or cli.local_gpus()):
        return None  # whoever trains counts the GPUs
    study = file.load(profile)
    plan = build_plan(study, 1, ResultLedger(store))
    return (study, reason, plan) if plan.is_done(store.done()) else None


def _fetch_missing(options: RunOptions, file: StudyFile, named: str | None, store: ResultStore, out: TextIO) -> None:
    """Have the data sets fetched that are not there. Raises DataNotFetched.

    In a process of its own, for it takes PyTorch, and before Ray starts, for it may not succeed. Only where trials
    train on this machine: another's data folder is out of sight, and one process finds out by itself.
    """
    if options.local or options.address or "RAY_ADDRESS" in os.environ:
        return
    gpus = cli.local_gpus() if options.gpus is None else options.gpus
    profile, _ = choose_profile(file, named, gpus, "this machine")
    study = file.load(profile)
    left = build_plan(study, 1, ResultLedger(store)).list_left(store.done())
    if files := list_missing_files(left, study.data):
        raise InputError(f"not in {study.data}: {', '.join(files)}; put it there, or name another folder with --data")
    missing = cli.list_missing(left, study.data)
    if not missing:
        return
    print(f"not in {study.data} yet: {', '.join(missing)}", file=out, flush=True)
    command = [sys.executable, "-m", "mixup_study.fetch", str(file.path), f"--profile={profile}"]
    command += [f"--data={study.data}", *(f"--set={override}" for override in file.overrides)]
    command += [f"--plugin={plugin}" for plugin in CATALOGUE.plugins]
    if status := subprocess.run(command, check=False).returncode:
        raise DataNotFetched(missing, status)


@contextmanager
def _open_executor(options: RunOptions, name: str, out: TextIO) -> Iterator[Executor]:
    """Yield what trains: this process, or a Ray cluster whose dashboard shows the run by ``name``.

    A dry run starts no cluster; it yields the one that would be started.
    """
    if options.local:
        from mixup_study.cluster.local import LocalExecutor

        yield LocalExecutor(cli.local_gpus(), options.grace)
        return
    from mixup_study.cluster.session import Cluster, connect

    address = options.address or os.environ.get("RAY_ADDRESS")
    if options.dry_run and not address:
        from mixup_study.cluster.scheduler import RayExecutor

        cpus = (os.cpu_count() or 1) if options.cpus is None else options.cpus
        gpus = cli.local_gpus() if options.gpus is None else options.gpus
        yield RayExecutor(Cluster(((float(cpus), float(gpus)),), None), options.grace)
        return
    begins = f"joining the Ray cluster at {address}" if address else "starting Ray"
    print(f"{name}: {begins} …", file=out, flush=True)
    with connect(options.address, options.cpus, options.gpus, name) as cluster:
        from mixup_study.cluster.scheduler import RayExecutor  # imports what connect has settings for

        yield RayExecutor(cluster, options.grace)


def _describe_study(study: Study, reason: str, counts: str) -> str:
    """Return the first two lines of a run."""
    return f"{study.name}, profile {study.profile}: {reason}\n{counts}"


def _show_plan(
    plan: Plan,
    study: Study,
    reason: str,
    executor: Executor,
    done: Collection[str],
    retrained: Collection[str],
    out: TextIO,
) -> None:
    """Print what is left and where it trains; raise InputError for a trial that fits nowhere there."""
    left = plan.list_left(done)
    slots = executor.slots(study.resources)
    print(
        f"{_describe_study(study, reason, counts_text(plan, done, retrained))}, on {count_text(slots, 'slot')} of"
        f" {study.resources.cpus:g} CPU and {study.resources.gpus:g} GPU",
        file=out,
        flush=True,
    )
    for warning in list_warnings(study) if left else ():
        print(warning, file=out, flush=True)
    if left and executor.dashboard is not None:
        print(f"Ray dashboard: {executor.dashboard}", file=out, flush=True)
    for trial in left:
        executor.check(study.resources, trial.processes)


def _train(
    plan: Plan,
    study: Study,
    executor: Executor,
    store: ResultStore,
    options: RunOptions,
    done: Collection[str],
    out: TextIO,
) -> Outcome | Interrupted:
    """Train what is left of a plan and return how that went, or what interrupted it, which is told."""
    settings = RunSettings.from_study(study, store.location, study.data, code_version(), options.trial_time_limit)
    slots = executor.slots(study.resources)
    with suppress(StorageError):  # training goes on without checkpoints as well
        remove_checkpoints(store.location, done)  # of trials whose process died between their record and this
    saved = {trial_id: entry.epochs for trial_id, entry in _find_checkpoints(plan, done, store).items()}
    per_epoch = seconds_per_epoch(store.trials().select(list_columns()).to_pylist())
    console = Console(file=out, markup=False, emoji=False)
    remaining_time = RemainingTime(slots, per_epoch, saved)
    progress = RunProgress(console, plan, done, remaining_time, table=GrowingTable(study, store), slots=slots)
    try:
        with progress:
            executor.run(plan, settings, done, [progress])
    except Interrupted as interrupted:
        finished = progress.completed - len(progress.failures)
        print(
            f"interrupted: {finished} of {progress.total} trials finished and recorded in {store.shown};"
            f" {_describe_saved(plan, progress.done, store)}the same command runs the rest",
            file=out,
            flush=True,
        )
        return interrupted
    logs = {trial_id: LogFile(store.location, name) for trial_id, name in progress.log_names.items()}
    return Outcome(progress, plan, logs, progress.slot_time)


def _find_checkpoints(plan: Plan, done: Collection[str], store: ResultStore) -> Mapping[str, CheckpointEntry]:
    """Return by trial_id the checkpoints that the trials left go on from; none where that cannot be seen."""
    try:
        return read_entries(store.location, {trial.trial_id for trial in plan.list_left(done)})
    except StorageError:  # training goes on without checkpoints as well
        return {}


def _describe_saved(plan: Plan, done: Collection[str], store: ResultStore) -> str:
    """Return which of the trials left go on from a checkpoint; empty where none does."""
    entries = _find_checkpoints(plan, done, store)
    if not entries:
        return ""
    *others, last = sorted({entry.epoch for entry in entries.values()})
    where = f"epoch {last}"
    if others:
        where = (
            f"epochs {', '.join(map(str, others))} and {last}" if len(others) < 3 else f"epochs {others[0]} to {last}"
        )
    return f"{count_text(len(entries), 'trial')} saved at {where}; "
