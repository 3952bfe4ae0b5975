"""SQL over the results."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from mixup_study.errors import InputError
from mixup_study.store.store import ResultStore

_READING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "threads": 2,
    "memory_limit": "50%",
}
ARMS = pa.schema([("study", pa.string()), ("profile", pa.string()), ("arm", pa.string()), ("trial_id", pa.string())])
"""Which trials a study has under a profile, recorded or not; null is the arm of models that its trials need."""
_BETWEEN_ARMS = "; "
"""Stands between the arms that share a trial."""
_ARM_UNKNOWN = re.compile(r'column (named )?"?(study|profile|arm)\b|Table with name arms does not exist', re.IGNORECASE)
"""What DuckDB says where a column or the view of ARMS is not there."""


@dataclass(frozen=True)
class StudyTrials:
    """The trials of a study under a profile, as its file has them: records do not say whose they are."""

    study: str
    profile: str
    arms: Sequence[tuple[str | None, str]]
    """Arm and trial_id, in the order of the file; a trial of several arms stands here with each."""
    search_ids: Collection[str] = ()


def query(store: ResultStore, sql: str, timeout: float | None = None, studies: Sequence[StudyTrials] = ()) -> pa.Table:
    """Return the rows of one SELECT over the views ``trials``, ``epochs``, ``points`` and ``proposals``.

    With ``studies`` the views hold what is recorded of these alone, and ``arms`` has the rows of ARMS. Of one study
    under one profile, ``trials`` has the columns study, profile and arm too; it has one row for each trial all the
    same, with the names of all of its arms.

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
            for name, view in _views(store, studies).items():
                connection.register(name, view)
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
            reason = " ".join(str(error).split())
            raise InputError(f"SQL: {reason}{_arm_hint(reason, studies)}") from None


def _views(store: ResultStore, studies: Sequence[StudyTrials]) -> dict[str, pa.Table]:
    """Return the tables that can be asked, by name."""
    views = {
        "trials": store.trials(),
        "epochs": store.epochs(),
        "points": store.points(),
        "proposals": store.proposals(),
    }
    if not studies:
        return views
    rows = [(part.study, part.profile, arm, trial_id) for part in studies for arm, trial_id in part.arms]
    distinct = dict.fromkeys(rows)  # the same file may be named twice
    columns = zip(*distinct, strict=True) if distinct else [[]] * len(ARMS)
    arms = pa.table([pa.array(column, pa.string()) for column in columns], schema=ARMS)
    for name in ("trials", "epochs", "points"):
        views[name] = _filter(views[name], "trial_id", set(arms["trial_id"].to_pylist()))
    search_ids = {search_id for part in studies for search_id in part.search_ids}
    views["proposals"] = _filter(views["proposals"], "search_id", search_ids)
    if _is_one(studies):
        views["trials"] = _add_arms(views["trials"], studies)
    return {**views, "arms": arms}


def _filter(table: pa.Table, key: str, values: Collection[str]) -> pa.Table:
    return table.filter(pc.is_in(table[key], value_set=pa.array(list(values), pa.string())))


def _is_one(studies: Sequence[StudyTrials]) -> bool:
    """Return whether all are of one study under one profile."""
    return len({(part.study, part.profile) for part in studies}) == 1


def _add_arms(trials: pa.Table, studies: Sequence[StudyTrials]) -> pa.Table:
    """Return the trials of one study with its name, its profile and their arms behind the trial_id."""
    arms: dict[str, dict[str, None]] = {}
    for part in studies:
        for arm, trial_id in part.arms:
            arms.setdefault(trial_id, {}).update({} if arm is None else {arm: None})
    names = [_BETWEEN_ARMS.join(arms[trial_id]) or None for trial_id in trials["trial_id"].to_pylist()]
    columns = {"study": [studies[0].study] * len(names), "profile": [studies[0].profile] * len(names), "arm": names}
    for place, (name, values) in enumerate(columns.items(), start=1):
        trials = trials.add_column(place, name, pa.array(values, pa.string()))
    return trials


def _arm_hint(reason: str, studies: Sequence[StudyTrials]) -> str:
    """Return how to have study, profile and arm, where DuckDB gives their absence as the reason; else nothing."""
    if not _ARM_UNKNOWN.search(reason) or (studies and _is_one(studies)):
        return ""
    if studies:
        return "; of several studies or profiles they stand in arms: from trials join arms using (trial_id)"
    return "; expected --study FILE, which adds study, profile and arm"


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
