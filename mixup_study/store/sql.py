"""SQL over the results."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from mixup_study.errors import InputError
from mixup_study.store.store import ResultStore

_READING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}


def query(store: ResultStore, sql: str) -> pa.Table:
    """Return the rows of one SELECT over the views ``trials``, ``epochs`` and ``points``.

    The database lives in memory and can reach no file. Raises InputError for anything but one statement that
    reads, and for one that DuckDB refuses.
    """
    if not sql.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in sql):
        raise InputError(f"{sql[:60]!r}: expected SQL as UTF-8 text")
    with duckdb.connect(":memory:", config={"enable_external_access": False, "threads": 2}) as connection:
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type not in _READING:
                raise InputError(f"{sql.strip()[:60]!r}: expected one SELECT over trials, epochs and points")
            connection.register("trials", store.trials())
            connection.register("epochs", store.epochs())
            connection.register("points", store.points())
            connection.execute("SET lock_configuration = true")
            return connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise InputError(f"SQL: {' '.join(str(error).split())}") from None
