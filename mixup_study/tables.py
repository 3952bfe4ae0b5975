"""Print a study's table from its results, measured beside published."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mixup_study import cli
from mixup_study.views.methods import render_methods
from mixup_study.views.render import FORMATS, render
from mixup_study.views.study_table import study_sheet
from mixup_study.views.verdicts import verdict_lines


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    findings = cli.read_findings(options)
    sheet = study_sheet(findings, spread=options.format == "csv")
    print(render(sheet, options.format), end="")
    if findings.study.claims and (options.format == "text" or options.format == "markdown"):
        print(f"\n{verdict_lines(findings, options.format)}", end="")
    if options.methods:
        print(f"\n{render_methods(findings, options.format)}", end="")
    return cli.DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "tables",
        "Print a study's table from its results: the paper's layout, measured beside published.",
        "tables studies/corrupt_labels.yaml",
        "tables studies/corrupt_labels.yaml --profile quick --format latex --methods",
    )
    cli.add_study(parser)
    cli.add_results(parser)
    cli.add_data(parser)
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: %(default)s")
    parser.add_argument(
        "--methods",
        action="store_true",
        help="add the paragraphs that a paper has under Methods, and the BibTeX entries that they cite",
    )
    options = parser.parse_args(arguments)
    if options.methods and options.format == "csv":
        parser.error("--methods: CSV holds numbers alone; expected another --format beside it")
    return cli.resolve_data(options)


if __name__ == "__main__":
    cli.command(main)
