"""Show a study's trials, which of them are left, and how long those may take."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence

from mixup_study import cli
from mixup_study.analysis.estimate import estimate, estimate_gpu_hours
from mixup_study.progress import counts_text
from mixup_study.store.checkpoints import read_entries
from mixup_study.store.ledger import ResultLedger
from mixup_study.store.models import list_models
from mixup_study.study.data_files import list_missing_files
from mixup_study.study.labels import describe_search, name_search
from mixup_study.study.search_plan import build_plan
from mixup_study.study.warnings import list_warnings
from mixup_study.views.render import FORMATS, render
from mixup_study.views.trials_table import trials_sheet


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    findings = cli.read_findings(options)
    study, records = findings.study, findings.records
    plan = build_plan(findings.study, 1, ResultLedger(findings.store))
    recorded = {trial_id for trial_id in plan.trials if records.get(trial_id, {}).get("status") == "done"}
    models = {model.trial_id for model in list_models(findings.store.location)} if plan.needed else set()
    retrained = plan.list_retrained(recorded, models)
    done = recorded - retrained
    left = plan.list_left(done)
    checkpoints = read_entries(findings.store.location, {trial.trial_id for trial in left})
    print(render(trials_sheet(findings, checkpoints), options.format), end="")
    if options.format != "csv":
        slots = options.slots or study.resources.fitting(os.cpu_count() or 1, cli.local_gpus())
        print(f"\n{study.name}, profile {study.profile}: {findings.reason}")
        print(counts_text(plan, done, retrained))
        if missing := cli.list_missing(left, study.data):
            print(f"not in {study.data} yet: {', '.join(missing)}; run brings them there, and so does fetch")
        if missing := list_missing_files(left, study.data):
            print(f"not in {study.data}: {', '.join(missing)}; expected there before the trials left can be trained")
        for warning in list_warnings(study) if left else ():
            print(warning)
        for progress in findings.searches:
            print(f"search: {name_search(study, progress.search)}: {describe_search(progress)}")
        saved = {trial_id: entry.epochs for trial_id, entry in checkpoints.items()}
        print(estimate(left, records.values(), slots, saved))
        by_arithmetic = estimate_gpu_hours(
            left,
            records.values(),
            options.tflops,
            options.gpu_hour_price,
            math.ceil((options.slots or 0) * study.resources.gpus),
        )
        if by_arithmetic:
            print(by_arithmetic)
    return cli.DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "plan",
        "Show a study's trials, which of them are left, and how long those may take.",
        "plan studies/ablation.yaml --profile quick",
        "plan studies/imagenet.yaml --profile paper --slots 8 --gpu-hour-price 2",
    )
    cli.add_study(parser)
    cli.add_results(parser)
    cli.add_data(parser)
    parser.add_argument(
        "--slots",
        type=cli.at_least(1),
        metavar="N",
        help="slots to estimate for (default: what this machine holds)",
    )
    parser.add_argument(
        "--tflops",
        type=cli.positive,
        metavar="N",
        help="10^12 operations that a GPU does in a second, to estimate by where nothing was measured (default: 75 in"
        " bfloat16, 25 in float32)",
    )
    parser.add_argument("--gpu-hour-price", type=cli.positive, metavar="PRICE", help="tell what that estimate costs")
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: %(default)s")
    return cli.resolve_data(parser.parse_args(arguments))


if __name__ == "__main__":
    cli.command(main)
