"""Ask the results in SQL."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pyarrow as pa

from mixup_study import cli
from mixup_study.errors import InputError
from mixup_study.store.sql import query
from mixup_study.store.store import ResultStore
from mixup_study.views.render import FORMATS, render
from mixup_study.views.sheet import Sheet


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    table = query(ResultStore(options.results), options.sql, options.timeout)
    print(render(_sheet(table), options.format), end="")
    return cli.DONE


def _sheet(table: pa.Table) -> Sheet:
    columns = [[_text(value) for value in _values(column)] for column in table.columns]
    rows = [[column[index] for column in columns] for index in range(len(table))]
    numeric = [index for index, column in enumerate(table.schema) if _is_number(column.type)]
    return Sheet(table.column_names, rows, numeric=frozenset(numeric))


def _values(column: pa.ChunkedArray) -> list[object]:
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):  # a date beyond Python's
        pass
    try:
        return list(column.cast(pa.string()).to_pylist())
    except pa.ArrowNotImplementedError:
        raise InputError(
            "a date within a list or a struct lies beyond the years 1 to 9999; expected cast(… as varchar)"
        ) from None


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "query", "Ask the results in SQL, read-only, over the views trials, epochs, points and proposals."
    )
    parser.add_argument(
        "sql", metavar="SQL", help="one SELECT, as in 'select method, alpha, test_error_last from trials'"
    )
    cli.add_results(parser)
    parser.add_argument(
        "--timeout", type=cli.at_least(1), metavar="SECONDS", help="give up after so long (default: never)"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.command(main)
