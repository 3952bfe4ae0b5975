"""Draw a study's figures from its results, as PNG and SVG."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mixup_study import cli
from mixup_study.errors import InputError


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    findings = cli.read_findings(options)
    from mixup_study.views.figures import list_figures, write_figures  # imports matplotlib, which --help does without

    if not list_figures(findings):
        raise InputError(
            f"{options.study}: lists no figures, and no trial has curves yet; expected a key figures, as in"
            " studies/toy.yaml"
        )
    for path in write_figures(findings, options.out):
        print(path)
    return cli.DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "figures",
        "Draw a study's figures from its results, each as PNG and as SVG.",
        "figures studies/corrupt_labels.yaml",
    )
    cli.add_study(parser)
    cli.add_results(parser)
    cli.add_data(parser)
    parser.add_argument(
        "--out", metavar="DIR", help="folder or URL of the figures (default: the folder figures in the results)"
    )
    return cli.resolve_data(parser.parse_args(arguments))


if __name__ == "__main__":
    cli.command(main)
