"""Run a study: train the trials that its results do not hold yet, then print its table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields

from mixup_study import cli
from mixup_study.analysis.findings import Findings
from mixup_study.errors import Interrupted
from mixup_study.store.store import ResultStore
from mixup_study.study.study import Study
from mixup_study.study_run import GRACE, DataNotFetched, Outcome, RunOptions, train_study
from mixup_study.time_limit import duration, time_of_day
from mixup_study.views.render import render
from mixup_study.views.study_table import study_sheet
from mixup_study.views.verdicts import verdict_lines


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    namespace = _options(arguments)
    options = RunOptions(**{field.name: getattr(namespace, field.name) for field in fields(RunOptions)})
    options.check()
    if namespace.open:
        cli.check_opens(options.results)
    store = ResultStore(options.results)
    try:
        run = train_study(cli.study_file(namespace), namespace.profile, options, store, sys.stdout)
    except DataNotFetched as error:
        return error.status
    if isinstance(run.outcome, Interrupted):
        return run.outcome.status
    if options.dry_run:
        return cli.DONE
    return _show_results(run.study, run.reason, store, run.outcome, open_report=namespace.open)


def _show_results(study: Study, reason: str, store: ResultStore, outcome: Outcome | None, *, open_report: bool) -> int:
    """Print the table and what else the results tell; return the exit status. ``outcome`` is that of what was left."""
    findings = Findings.read(study, store, reason)
    print(f"\n{render(study_sheet(findings), 'text')}")
    if study.claims:
        print(verdict_lines(findings, "text"))
    print(f"results: {store.shown}")
    failures = outcome.failure_lines(store.done()) if outcome else []
    for line in [outcome.efficiency, *failures] if outcome else []:
        print(line)
    if study.figures:
        from mixup_study.views.figures import write_figures

        for path in write_figures(findings):
            print(f"figure: {path}")
    if open_report:
        from mixup_study.views.report import write_report

        path = write_report(findings)
        print(f"report: {path}")
        cli.open_file(path)
    return cli.SOME_FAILED if failures else cli.DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "run",
        "Run a study on Ray: train what its results do not hold yet, then print its table.",
        "run studies/corrupt_labels.yaml",
        "run studies/corrupt_labels.yaml --profile paper --address auto --results s3://bucket/folder",
        "run studies/corrupt_labels.yaml --set trial.epochs=5 --set 'grid.seed=[0, 1, 2]' --for 2h",
    )
    cli.add_study(parser)
    cli.add_results(parser)
    cli.add_open(parser)
    cli.add_data(parser)
    parser.add_argument(
        "--cpus", type=cli.at_least(1), metavar="N", help="CPUs of the Ray cluster to start (default: all)"
    )
    parser.add_argument(
        "--gpus", type=cli.at_least(0), metavar="N", help="GPUs of the Ray cluster to start (default: all)"
    )
    parser.add_argument("--address", metavar="ADDR", help="join the Ray cluster at this address, or auto, instead")
    parser.add_argument(
        "--local",
        action="store_true",
        help="train one trial after the other in this very process, without Ray, as a debugger wants it",
    )
    parser.add_argument(
        "--grace",
        type=cli.at_least(0),
        default=GRACE,
        metavar="SECONDS",
        help="after Ctrl-C, SIGTERM or SIGHUP, let the trials under way save for so long (default: %(default)s)",
    )
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument(
        "--for",
        dest="time_limit",
        type=duration,
        metavar="DURATION",
        help="end so long after training has begun, as after SIGTERM: 90m, 2h, 1h30m",
    )
    limits.add_argument(
        "--until", dest="time_limit", type=time_of_day, metavar="TIME", help="end then: 18:00, or 2026-01-31T18:00"
    )
    parser.add_argument(
        "--trial-time-limit",
        type=duration,
        metavar="DURATION",
        help="let a trial train for so long, then save it and train the next; the same command goes on with it",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be trained and stop")
    return cli.resolve_data(parser.parse_args(arguments))


if __name__ == "__main__":
    cli.command(main)
