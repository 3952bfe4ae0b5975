"""Run a study: train the trials that its results do not hold yet, then print its table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mixup_study import cli
from mixup_study.progress import RunProgress
from mixup_study.results.claims import judge
from mixup_study.results.labels import cell_labels
from mixup_study.results.layout import study_sheet
from mixup_study.results.logs import LogFile
from mixup_study.results.render import render
from mixup_study.results.store import ResultStore
from mixup_study.results.table import records_by_id
from mixup_study.results.verdicts import verdict_lines
from mixup_study.spec.errors import InputError
from mixup_study.spec.profile import choose_profile


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    file = cli.study_file(options)
    for profile in [options.profile] if options.profile else file.profiles:
        name = file.load(profile).name  # bad input ends here, before Ray takes its seconds to start
    if options.open:
        cli.check_opens(options.results)
    store = ResultStore(options.results)
    if not options.dry_run:
        store.check_writable()
        store.compact()

    from mixup_study.cluster.session import connect

    with connect(options.address, options.cpus, options.gpus, name) as cluster:
        profile, reason = choose_profile(file, options.profile, cluster.gpus, "the Ray cluster")
        study = file.load(profile)
        print(f"{study.name}, profile {profile}: {reason}", flush=True)
        done = store.done()
        left = {trial_id: trial for trial_id, trial in study.trials.items() if trial_id not in done}
        slots = cluster.slots(study.resources)
        print(
            f"{len(study.trials)} trials: {len(study.trials) - len(left)} done already, {len(left)} to run, on {slots}"
            f" slot{'' if slots == 1 else 's'} of {study.resources.cpus:g} CPU and {study.resources.gpus:g} GPU",
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

        labels = cell_labels(study)
        jobs = jobs_of(study, left, slots, store.location, options.data, code_version())
        logs = {trial.trial_id: LogFile(store.location, job.name) for job in jobs for trial in job.trials}
        with RunProgress(Console(), labels, left) as progress, StudyMetrics(study, left, jobs) as metrics:
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
            seconds = progress.seconds

    store.compact()
    store.refresh()
    records = records_by_id(store.trials())
    print(f"\n{render(study_sheet(study, records, reason), 'text')}")
    if study.claims:
        print(verdict_lines(study, judge(study, records), "text"))
    print(f"results: {store.shown}")
    if left:
        print(
            f"efficiency: {progress.train_seconds:.1f} s of training in {slots} slots x {seconds:.1f} s ="
            f" {progress.train_seconds / (slots * seconds):.0%}"
        )
    done = store.done()
    unfinished = [trial_id for trial_id in study.trials if trial_id not in done]
    for trial_id in unfinished:
        log = f" (log: {logs[trial_id].shown})" if logs[trial_id].exists() else ""
        error = progress.failures.get(trial_id, "ended without a record")
        print(f"failed: {trial_id} {labels[trial_id]}: {error}{log}")
    if study.figures:
        from mixup_study.results.figures import write

        for path in write(study, records, store, reason):
            print(f"figure: {path}")
    if options.open:
        from mixup_study.results.report import write as write_report

        path = write_report(study, records, store, reason)
        print(f"report: {path}")
        cli.open_file(path)
    return cli.SOME_FAILED if unfinished else cli.DONE


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
    options.data = options.data.expanduser().absolute()
    return options


if __name__ == "__main__":
    cli.command(main)
