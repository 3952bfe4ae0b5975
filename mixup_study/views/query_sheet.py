"""Rows of the results, or what a query answers, as a sheet."""

from __future__ import annotations

import pyarrow as pa

from mixup_study.errors import InputError
from mixup_study.views.sheet import Sheet


def query_sheet(table: pa.Table, *, rounded: bool) -> Sheet:
    """Return rows as a sheet, with their numbers ``rounded`` for people, or exact.

    Raises InputError for a date that Python cannot hold within a list.
    """
    columns = [[_text(_round(value) if rounded else value) for value in _values(column)] for column in table.columns]
    rows = [[column[index] for column in columns] for index in range(len(table))]
    numeric = [index for index, column in enumerate(table.schema) if _is_number(column.type)]
    return Sheet(table.column_names, rows, numeric=frozenset(numeric))


def _round(value: object) -> object:
    """Return a number with four significant digits, or all before the point; of a list or a struct, all in it."""
    if isinstance(value, float):
        return round(value) if 1000 <= abs(value) < 1e16 else float(f"{value:.4g}")
    if isinstance(value, list):
        return [_round(item) for item in value]
    if isinstance(value, dict):
        return {key: _round(item) for key, item in value.items()}
    return value


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
