"""Print a study's table from its results, measured beside published."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mixup_study import cli
from mixup_study.analysis.claims import judge
from mixup_study.analysis.table import records_by_id
from mixup_study.store.store import ResultStore
from mixup_study.views.layout import study_sheet
from mixup_study.views.render import FORMATS, render
from mixup_study.views.verdicts import verdict_lines


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    store = ResultStore(options.results)
    records = records_by_id(store.trials())
    study, reason = cli.load_study(cli.study_file(options), options.profile, records)
    sheet = study_sheet(study, records, reason, spread=options.format == "csv")
    print(render(sheet, options.format), end="")
    if study.claims and (options.format == "text" or options.format == "markdown"):
        print(f"\n{verdict_lines(study, judge(study, records), options.format)}", end="")
    return cli.DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "tables", "Print a study's table from its results: the paper's layout, measured beside published."
    )
    cli.add_study(parser)
    cli.add_results(parser)
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.command(main)
