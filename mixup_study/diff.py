"""Compare two trials: the fields that differ, what each measured, and where their curves end."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from mixup_study import cli
from mixup_study.errors import InputError
from mixup_study.store.store import ResultStore
from mixup_study.views.render import FORMATS, render
from mixup_study.views.sheet import Sheet
from mixup_study.views.trial_texts import list_fields, list_last_values, list_numbers, list_origins

ABSENT = "–"
"""What stands for what a trial does not take, or did not measure."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    store = ResultStore(options.results)
    records = [store.find_record(text) for text in (options.trial, options.other)]
    trial_ids = [record["trial_id"] for record in records]
    if trial_ids[0] == trial_ids[1]:
        raise InputError(f"{options.trial} and {options.other} are both trial {trial_ids[0]}; expected two trials")
    epochs = [store.read_epochs(trial_id) for trial_id in trial_ids]
    parts = [
        _pair(*map(list_fields, records), differing=True),
        [["status", *(record["status"] for record in records)], *_pair(*map(list_numbers, records))],
        _pair(*map(list_last_values, epochs)),
        _pair(*map(list_origins, records), differing=True),
    ]
    print(render(_stack(parts, ["", *trial_ids]), options.format), end="")
    return cli.DONE


def _pair(first: Mapping[str, str], second: Mapping[str, str], *, differing: bool = False) -> list[list[str]]:
    """Return a row of name and both texts for each name; only of those that differ, where ``differing``."""
    names = list(dict.fromkeys([*first, *second]))
    rows = [[name, first.get(name, ABSENT), second.get(name, ABSENT)] for name in names]
    return [row for row in rows if not differing or row[1] != row[2]]


def _stack(parts: Sequence[list[list[str]]], headings: Sequence[str]) -> Sheet:
    """Return a sheet of parts one below the other, with a line between them."""
    rows: list[list[str]] = []
    breaks = set()
    for part in parts:
        if rows and part:
            breaks.add(len(rows))
        rows += part
    return Sheet(headings, rows, breaks=frozenset(breaks))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "diff",
        "Compare two trials: the fields that differ, what each measured, and where their curves end.",
        "diff 3f2a 91c0",
        "diff 3f2a 91c0 --format markdown",
    )
    cli.add_trial(parser, "trial")
    cli.add_trial(parser, "other")
    cli.add_results(parser)
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.command(main)
