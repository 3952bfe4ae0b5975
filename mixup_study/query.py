"""Ask the results in SQL."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from mixup_study import cli
from mixup_study.errors import InputError
from mixup_study.store.sql import StudyTrials, query
from mixup_study.store.store import ResultStore
from mixup_study.views.query_sheet import query_sheet
from mixup_study.views.render import FORMATS, render, render_vertical


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    store = ResultStore(options.results)
    table = query(store, options.sql, options.timeout, list(_read_studies(options, store)))
    sheet = query_sheet(table, rounded=options.format == "text")
    print(render_vertical(sheet) if options.vertical else render(sheet, options.format), end="")
    return cli.DONE


def _read_studies(options: argparse.Namespace, store: ResultStore) -> Iterator[StudyTrials]:
    """Yield the trials of each study that the options name, under each profile."""
    from mixup_study.analysis.findings import Findings  # imports what a query without a study does without
    from mixup_study.analysis.study_trials import list_study_trials

    for path in options.studies:
        file = cli.study_file(options, path)
        for profile in options.profiles or [None]:
            study, reason = cli.load_study(file, profile, store)
            yield list_study_trials(Findings.read(study, store, reason).study)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "query",
        "Ask the results in SQL, read-only, over the views trials, epochs, points and proposals; with --study of these"
        " studies alone, with arms beside them.",
        'query "select method, alpha, test_error_last from trials order by test_error_last"',
        'query --study studies/corrupt_labels.yaml "select arm, count(*) from trials group by arm"',
    )
    parser.add_argument(
        "sql", metavar="SQL", help="one SELECT, as in 'select method, alpha, test_error_last from trials'"
    )
    cli.add_studies(parser)
    cli.add_results(parser)
    cli.add_data(parser)
    parser.add_argument(
        "--timeout", type=cli.at_least(1), metavar="SECONDS", help="give up after so long (default: never)"
    )
    layout = parser.add_mutually_exclusive_group()
    layout.add_argument(
        "--format", choices=FORMATS, default="text", help="default: %(default)s, which rounds numbers; others do not"
    )
    layout.add_argument("--vertical", action="store_true", help="print text with a line for each column of each row")
    options = cli.resolve_data(parser.parse_args(arguments))
    if (options.profiles or options.overrides) and not options.studies:
        raise InputError(f"--{'profile' if options.profiles else 'set'}: expected --study FILE beside it")
    return options


if __name__ == "__main__":
    cli.command(main)
