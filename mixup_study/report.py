"""Write a study's report from its results: one HTML file that needs no network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mixup_study import cli


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    if options.open:
        cli.check_opens(options.out or options.results)
    findings = cli.read_findings(options)

    from mixup_study.views.report import write_report  # imports Vega-Lite, which --help does without

    path = write_report(findings, options.out)
    print(path)
    if options.open:
        cli.open_file(path)
    return cli.DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "report",
        "Write a study's report from its results, as one HTML file that needs no network.",
        "report studies/corrupt_labels.yaml --open",
    )
    cli.add_study(parser)
    cli.add_results(parser)
    cli.add_data(parser)
    parser.add_argument(
        "--out", metavar="FILE", help="file or URL of the report (default: reports/<study>.html in the results)"
    )
    cli.add_open(parser)
    return cli.resolve_data(parser.parse_args(arguments))


if __name__ == "__main__":
    cli.command(main)
