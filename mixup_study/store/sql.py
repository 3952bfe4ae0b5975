"""SQL over the results."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

import duckdb
import pyarrow as pa

from mixup_study.errors import InputError
from mixup_study.store.store import ResultStore

_READING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "threads": 2,
    "memory_limit": "50%",
}


def query(store: ResultStore, sql: str, timeout: float | None = None) -> pa.Table:
    """Return the rows of one SELECT over the views ``trials``, ``epochs``, ``points`` and ``proposals``.

    The database lives in memory, in half of the machine's at most, and can reach no file. Raises InputError for
    anything but one statement that reads, for one that DuckDB refuses, and for one that takes longer than ``timeout``
    seconds. Ctrl-C interrupts it.
    """
    if not sql.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in sql):
        raise InputError(f"{sql[:60]!r}: expected SQL as UTF-8 text")
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type not in _READING:
                raise InputError(f"{sql.strip()[:60]!r}: expected one SELECT over trials, epochs, points and proposals")
            connection.register("trials", store.trials())
            connection.register("epochs", store.epochs())
            connection.register("points", store.points())
            connection.register("proposals", store.proposals())
            connection.execute("SET lock_configuration = true")
            return _run(connection, sql, timeout)
        except TimeoutError:
            raise InputError(
                f"SQL: no answer within {timeout:g} s; expected a shorter query, or a longer --timeout"
            ) from None
        except duckdb.OutOfMemoryException as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"SQL: {reason}; expected a query that takes less than half of this machine's memory"
            ) from None
        except duckdb.Error as error:
            raise InputError(f"SQL: {' '.join(str(error).split())}") from None


def _run(connection: duckdb.DuckDBPyConnection, sql: str, timeout: float | None) -> pa.Table:
    """Return the rows of a statement; whatever ends the wait for them, Ctrl-C too, interrupts it.

    It runs in a thread, since DuckDB hears of no signal while it works.
    """
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(lambda: connection.sql(sql).to_arrow_table())
        try:
            return answer.result(timeout)
        except BaseException:
            while wait([answer], timeout=0.05).not_done:  # DuckDB forgets an interrupt that comes before the query
                connection.interrupt()
            raise
