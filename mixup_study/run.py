"""Run a study: train the trials that its results do not hold yet, then print its table."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mixup_study import cli
from mixup_study.analysis.efficiency import efficiency_text
from mixup_study.analysis.findings import Findings
from mixup_study.errors import InputError
from mixup_study.progress import RunProgress
from mixup_study.store.logs import LogFile
from mixup_study.store.store import ResultStore
from mixup_study.study.labels import cell_labels
from mixup_study.study.profile import choose_profile
from mixup_study.study.study import Study, StudyFile
from mixup_study.views.render import render
from mixup_study.views.study_table import study_sheet
from mixup_study.views.verdicts import verdict_lines


@dataclass(frozen=True)
class Trained:
    """How the trials went that were left."""

    progress: RunProgress
    logs: Mapping[str, LogFile]
    """By trial_id, in the order of the study."""
    slots: int
    seconds: float

    def failures(self, done: Collection[str]) -> dict[str, str]:
        """Return by trial_id what ended those that are not ``done``, and where their logs are."""
        found = {}
        for trial_id, log in self.logs.items():
            if trial_id not in done:
                error = self.progress.failures.get(trial_id, "ended without a record")
                found[trial_id] = f"{error} (log: {log.shown})" if log.exists() else error
        return found


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    file = cli.study_file(options)
    for profile in [options.profile] if options.profile else file.profiles:
        name = file.load(profile).name  # bad input ends here, before Ray takes its seconds to start
    if options.open:
        cli.check_opens(options.results)
    store = ResultStore(options.results)
    if options.dry_run:
        return _on_ray(options, file, store, name)
    store.check_writable()
    store.compact()
    finished = _finished(options, file, store.done())
    if finished is None:
        return _on_ray(options, file, store, name)
    study, reason = finished
    print(_counts(study, reason, left=0))
    return _show(options, study, reason, store, None)


def _finished(options: argparse.Namespace, file: StudyFile, done: Collection[str]) -> tuple[Study, str] | None:
    """Return the study and why its profile was taken, where no cluster is needed to see that all of it is done."""
    profile, reason = choose_profile(file, options.profile, 0, "this machine")
    with_gpus, _ = choose_profile(file, options.profile, 1, "this machine")
    if profile != with_gpus and (options.address or "RAY_ADDRESS" in os.environ or options.gpus or cli.local_gpus()):
        return None  # Ray counts the GPUs
    study = file.load(profile)
    return (study, reason) if all(trial_id in done for trial_id in study.trials) else None


def _counts(study: Study, reason: str, left: int) -> str:
    """Return the first two lines of a run."""
    done = len(study.trials) - left
    return (
        f"{study.name}, profile {study.profile}: {reason}\n"
        f"{len(study.trials)} trials: {done} done already, {left} to run"
    )


def _on_ray(options: argparse.Namespace, file: StudyFile, store: ResultStore, name: str) -> int:
    """Train what is left of the study on a Ray cluster that knows it by ``name``, and show its results."""
    from mixup_study.cluster.session import connect

    with connect(options.address, options.cpus, options.gpus, name) as cluster:
        profile, reason = choose_profile(file, options.profile, cluster.gpus, "the Ray cluster")
        study = file.load(profile)
        done = store.done()
        left = {trial_id: trial for trial_id, trial in study.trials.items() if trial_id not in done}
        slots = cluster.slots(study.resources)
        print(
            f"{_counts(study, reason, len(left))}, on {slots} slot{'' if slots == 1 else 's'} of"
            f" {study.resources.cpus:g} CPU and {study.resources.gpus:g} GPU",
            flush=True,
        )
        if left and cluster.dashboard is not None:
            print(f"Ray dashboard: {cluster.dashboard}", flush=True)
        for trial in left.values():
            cluster.check(study.resources, trial.workers)
        if options.dry_run:
            return cli.DONE

        from mixup_study.cluster.job import jobs_of
        from mixup_study.cluster.metrics import StudyMetrics
        from mixup_study.cluster.scheduler import run_jobs
        from mixup_study.cluster.version import code_version

        jobs = jobs_of(study, left, slots, store.location, options.data, code_version())
        of_job = {trial.trial_id: LogFile(store.location, job.name) for job in jobs for trial in job.trials}
        logs = {trial_id: of_job[trial_id] for trial_id in left}
        progress = RunProgress(Console(markup=False, emoji=False), cell_labels(study), left)
        with progress, StudyMetrics(study, left, jobs) as metrics:
            try:
                run_jobs(jobs, cluster, study.retries, [progress, metrics])
            except KeyboardInterrupt:
                finished = progress.completed - len(progress.failures)
                print(
                    f"interrupted: {finished} of {len(left)} trials finished and recorded in {store.shown};"
                    " the same command runs the rest",
                    flush=True,
                )
                return cli.INTERRUPTED
            trained = Trained(progress, logs, slots, progress.seconds)
    store.compact()
    store.refresh()
    return _show(options, study, reason, store, trained if left else None)


def _show(options: argparse.Namespace, study: Study, reason: str, store: ResultStore, trained: Trained | None) -> int:
    """Print the table and what else the results tell; return the exit status. ``trained`` says what was left."""
    findings = Findings.read(study, store, reason)
    print(f"\n{render(study_sheet(findings), 'text')}")
    if study.claims:
        print(verdict_lines(findings, "text"))
    print(f"results: {store.shown}")
    if trained is not None:
        print(f"efficiency: {efficiency_text(trained.progress.train_seconds, trained.slots, trained.seconds)}")
    failures = trained.failures(store.done()) if trained else {}
    for trial_id, error in failures.items():
        print(f"failed: {trial_id} {findings.labels[trial_id]}: {error}")
    if study.figures:
        from mixup_study.views.figures import write_figures

        for path in write_figures(findings):
            print(f"figure: {path}")
    if options.open:
        from mixup_study.views.report import write_report

        path = write_report(findings)
        print(f"report: {path}")
        cli.open_file(path)
    return cli.SOME_FAILED if failures else cli.DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser("run", "Run a study on Ray: train what its results do not hold yet, then print its table.")
    cli.add_study(parser)
    cli.add_results(parser)
    cli.add_open(parser)
    parser.add_argument(
        "--data",
        type=Path,
        default=cli.DEFAULT_DATA,
        metavar="DIR",
        help="folder of the data sets (default: %(default)s)",
    )
    parser.add_argument(
        "--cpus", type=cli.at_least(1), metavar="N", help="CPUs of the Ray cluster to start (default: all)"
    )
    parser.add_argument(
        "--gpus", type=cli.at_least(0), metavar="N", help="GPUs of the Ray cluster to start (default: all)"
    )
    parser.add_argument("--address", metavar="ADDR", help="join the Ray cluster at this address, or auto, instead")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    options = parser.parse_args(arguments)
    if options.address and (options.cpus is not None or options.gpus is not None):
        raise InputError("--address joins a cluster as it is; expected it without --cpus and --gpus")
    try:
        options.data = options.data.expanduser().absolute()
    except RuntimeError as error:  # of ~someone whom nobody knows
        raise InputError(f"--data {options.data}: {error}; expected a folder") from None
    return options


if __name__ == "__main__":
    cli.command(main)
