"""Many small files become few: in a folder, and in a bucket alike."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixup_study.store import folder as folders
from mixup_study.store.folder import RecordFolder
from mixup_study.store.record import TrialRecord, trials_schema
from mixup_study.store.store import ResultStore
from tests.store.conftest import Location, only_in_a_folder

RecordMaker = Callable[..., TrialRecord]

FEW = 3


@pytest.fixture(autouse=True)
def _few_files_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SMALL_FILES", FEW)


def seen(location: str) -> dict[str, str]:
    table = ResultStore(location).trials()
    assert table["trial_id"].to_pylist() == sorted(set(table["trial_id"].to_pylist()))
    return dict(zip(table["trial_id"].to_pylist(), table["status"].to_pylist(), strict=True))


def later(record: TrialRecord, minutes: int) -> TrialRecord:
    started_at = record.provenance.started_at + timedelta(minutes=minutes)
    return dataclasses.replace(record, provenance=dataclasses.replace(record.provenance, started_at=started_at))


def written(store: ResultStore, record: RecordMaker, seeds: Iterable[int], **fields: Any) -> dict[str, str]:
    records = [record(seed=seed, **fields) for seed in seeds]
    for one in records:
        store.write(one)
    return {one.trial.trial_id: one.status for one in records}


# What it does.


def test_few_files_are_left_alone(location: Location, store: ResultStore, record: RecordMaker) -> None:
    written(store, record, range(FEW))
    before = location.names("trials")
    store.compact()
    assert location.names("trials") == before
    assert len(before) == FEW


def test_nothing_is_created_where_there_is_nothing(location: Location, store: ResultStore) -> None:
    store.compact()
    assert not location.exists()


def test_many_files_become_one_that_holds_the_same(location: Location, store: ResultStore, record: RecordMaker) -> None:
    written(store, record, range(10))
    written(store, record, range(10, 12), status="failed")
    trials, epochs = store.trials(), store.epochs().sort_by([("trial_id", "ascending"), ("epoch", "ascending")])
    store.compact()
    assert [len(location.names(folder)) for folder in ("trials", "epochs")] == [1, 1]
    assert store.trials().equals(trials)
    assert store.epochs().sort_by([("trial_id", "ascending"), ("epoch", "ascending")]).equals(epochs)


def test_plain_pandas_reads_one_row_per_trial_afterwards(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    written(store, record, range(10))
    store.compact()
    written(store, record, range(8, 12))
    written(store, record, range(20, 25), status="failed")
    store.compact()
    trials, epochs = (location.pandas(folder) for folder in ("trials", "epochs"))
    assert list(trials.columns) == trials_schema().names
    assert trials["trial_id"].is_unique
    assert len(trials) == 12 + 5
    assert not epochs.duplicated(["trial_id", "epoch"]).any()
    assert len(epochs) == 12 * 2


@pytest.mark.slow
@only_in_a_folder
def test_the_number_of_files_stays_small(location: Location, store: ResultStore, record: RecordMaker) -> None:
    expected: dict[str, str] = {}
    most = 0
    for start in range(0, 200, FEW + 1):
        expected |= written(store, record, range(start, start + FEW + 1))
        store.compact()
        most = max(most, len(location.names("trials")), len(location.names("epochs")))
    assert most <= 6
    assert seen(store.location) == expected
    assert len(store.epochs()) == 2 * len(expected)


def test_a_trial_that_stands_in_two_files_is_merged_even_where_they_are_few(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    written(store, record, range(5), status="failed")
    store.compact()
    expected = {**written(store, record, range(5), status="failed"), **written(store, record, [3])}
    store.compact()
    assert seen(store.location) == expected
    assert location.pandas("trials")["trial_id"].is_unique


def test_other_folders_are_left_alone(location: Location, store: ResultStore, record: RecordMaker) -> None:
    location.write("checkpoints/0123456789abcdef.checkpoint", b"weights")
    expected = written(store, record, range(5))
    store.compact()
    assert location.read("checkpoints/0123456789abcdef.checkpoint") == b"weights"
    assert seen(store.location) == expected


# Failures and successes.


def test_a_failure_never_replaces_a_finished_trial_in_a_merged_file(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    expected = written(store, record, range(5))
    store.compact()
    before = location.names("trials")
    written(store, record, range(5), status="failed")
    assert location.names("trials") == before
    assert seen(store.location) == expected


def test_a_merged_file_says_which_trials_are_done(store: ResultStore, record: RecordMaker) -> None:
    done, failed = written(store, record, range(5)), written(store, record, range(5, 10), status="failed")
    store.compact()
    assert store.done_among([*done, *failed, "0" * 16]) == set(done)


def test_the_newest_of_two_failures_is_kept(location: Location, store: ResultStore, record: RecordMaker) -> None:
    first = record(status="failed")
    second = dataclasses.replace(later(first, 5), error="RuntimeError: again")
    store.write(second)
    written(store, record, range(1, 5), status="failed")
    store.compact()
    store.write(first)
    store.compact()
    (row,) = (row for row in store.trials().to_pylist() if row["trial_id"] == first.trial.trial_id)
    assert row["error"] == "RuntimeError: again"
    assert len(location.names("trials")) == 1


def test_a_trial_that_fails_succeeds_and_fails_is_one_done_record(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    for status in ("failed", "done", "failed"):
        store.write(record(status=status))
    assert location.names("trials") == [f"trials/{record().trial.trial_id}.parquet"]
    assert seen(store.location) == {record().trial.trial_id: "done"}


def test_a_failed_trial_that_succeeds_after_a_compaction_is_merged_once(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    for seed in range(6):
        store.write(record(seed=seed, status="failed" if seed == 0 else "done"))
    store.compact()
    store.write(record(seed=0))
    store.write(record(seed=1, status="failed"))
    store.compact()
    assert list(seen(store.location).values()) == ["done"] * 6
    assert len(location.names("trials")) == 1
    assert len(location.names("epochs")) == 2  # those of a single trial stay where they are


def test_a_failure_written_beside_a_success_does_not_hide_it(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    """As when two processes train one trial and only one of them succeeds."""
    store.write(record(status="failed"))
    (failure,) = location.names("trials")
    content = location.read(failure)
    store.write(record())
    location.write(failure, content)
    assert seen(store.location) == {record().trial.trial_id: "done"}
    store.compact()
    assert seen(store.location) == {record().trial.trial_id: "done"}
    assert location.pandas("trials")["status"].tolist() == ["done"]


# Files that are not to be merged.


def test_the_name_of_a_damaged_file_does_nothing_to_a_terminal(tmp_path: Path) -> None:
    lines: list[str] = []
    folder = tmp_path / "trials"
    folder.mkdir()
    (folder / "\x1b[2Ja\nb.parquet").write_bytes(b"x")
    ResultStore(str(tmp_path), lines.append).trials()
    (line,) = lines
    assert line.startswith(f"{folder}/\\x1b[2Ja\\nb.parquet: not a record, skipped: ")
    assert line.isprintable()


def test_a_damaged_file_is_named_and_kept(location: Location, record: RecordMaker) -> None:
    lines: list[str] = []
    store = ResultStore(location.url, lines.append)
    expected = written(store, record, range(5))
    whole = f"trials/{record(seed=3).trial.trial_id}.parquet"
    location.write(whole, location.read(whole)[:-100])
    location.write_table("trials/merged/5-foreign.parquet", pa.table({"name": ["someone"]}))
    repeated = pa.table({"trial_id": ["0123456789abcdef"] * 100_000, "status": ["done"] * 100_000})
    for name in ("trials/repeated.parquet", "trials/merged/5-repeated.parquet"):
        location.write_table(name, repeated)
    damaged = [whole, "trials/merged/5-foreign.parquet", "trials/merged/5-repeated.parquet", "trials/repeated.parquet"]
    contents = [location.read(name) for name in damaged]
    store.compact()
    assert {line.split(": ")[0] for line in lines} == {location.path(name) for name in damaged}
    assert [location.read(name) for name in damaged] == contents
    del expected[record(seed=3).trial.trial_id]
    assert seen(store.location) == expected


def test_columns_of_a_later_version_are_kept(location: Location, store: ResultStore, record: RecordMaker) -> None:
    expected = written(store, record, range(5))
    name = f"trials/{record(seed=3).trial.trial_id}.parquet"
    location.write_table(name, location.read_table(name).append_column("colour", pa.array(["red"])))
    store.compact()
    assert location.read_table(name)["colour"].to_pylist() == ["red"]
    assert len(location.names("trials")) == 2
    assert seen(store.location) == expected


def test_a_failure_under_the_name_of_a_finished_trial_is_left(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    """As versions before compaction wrote it: a success may replace it at any moment."""
    expected = written(store, record, range(5)) | written(store, record, [10], status="failed")
    (failure,) = location.names("trials", ".failed.parquet")
    earlier = f"trials/{record(seed=10).trial.trial_id}.parquet"
    location.write(earlier, location.read(failure))
    location.remove(failure)
    store.compact()
    assert earlier in location.names("trials")
    assert seen(store.location) == expected
    store.write(record(seed=10))
    assert seen(store.location) == {**expected, record(seed=10).trial.trial_id: "done"}


def test_where_it_is_not_possible_a_warning_says_why(tmp_path: Path, record: RecordMaker) -> None:
    lines: list[str] = []
    store = ResultStore(str(tmp_path / "results"), lines.append)
    expected = written(store, record, range(10))
    in_the_way = [Path(store.location, folder, "merged") for folder in ("trials", "epochs")]
    for path in in_the_way:
        path.write_text("here first")
    store.compact()
    (line,) = lines
    assert line.startswith(f"not compacted: --results {store.location}: cannot be written to: ")
    for path in in_the_way:
        path.unlink()
    assert seen(store.location) == expected


# Interrupted.


class Interrupted(BaseException):
    pass


def interrupt(folder: RecordFolder, after: int, stop: Callable[[], None]) -> None:
    """Have ``stop`` called before the operation on files that follows ``after`` others, and before all later ones."""
    count = 0

    def counted(operation: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*arguments: Any) -> None:
            nonlocal count
            count += 1
            if count > after:
                stop()
            operation(*arguments)

        return wrapped

    for name in ("_write", "_move", "_delete"):
        setattr(folder, name, counted(getattr(folder, name)))


def raise_interrupted() -> None:
    raise Interrupted


@pytest.mark.slow
@settings(max_examples=25)
@given(
    histories=st.lists(st.lists(st.sampled_from(["done", "failed"]), max_size=3), min_size=1, max_size=9),
    after=st.integers(0, 25),
    whole_rounds=st.integers(0, 2),
)
def test_an_interruption_loses_and_doubles_nothing(
    record: RecordMaker, histories: list[list[str]], after: int, whole_rounds: int
) -> None:
    with tempfile.TemporaryDirectory() as root:
        store = ResultStore(root)
        expected: dict[str, str] = {}
        for turn in range(3):
            for seed, history in enumerate(histories):
                if turn < len(history):
                    one = later(record(seed=seed, status=history[turn]), turn)
                    store.write(one)
                    expected[one.trial.trial_id] = min(history[: turn + 1])
            if turn < whole_rounds:
                store.compact()
        expected |= written(store, record, range(100, 100 + FEW + 1))
        epochs = 2 * list(expected.values()).count("done")

        interrupted = ResultStore(root)
        for folder in (interrupted._trials_folder, interrupted._epochs_folder):
            interrupt(folder, after, raise_interrupted)
        with contextlib.suppress(Interrupted):
            interrupted.compact()
        assert seen(root) == expected
        assert len(ResultStore(root).epochs()) == epochs

        ResultStore(root).compact()
        assert seen(root) == expected
        assert len(ResultStore(root).epochs()) == epochs
        plain = pd.read_parquet(Path(root, "trials"))
        assert dict(zip(plain["trial_id"], plain["status"], strict=True)) == expected
        assert len(plain) == len(expected)


KILLED = """\
import os, signal, sys
from mixup_study.store import folder
from mixup_study.store.store import ResultStore
from tests.store.test_compaction import interrupt

folder.SMALL_FILES = 3
store = ResultStore(sys.argv[1])
kill = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "half-written":
    folder.os.fsync = kill
else:
    interrupt(store._trials_folder, int(sys.argv[2]), kill)
store.compact()
"""


@pytest.mark.slow
@only_in_a_folder
@pytest.mark.parametrize("when", ["half-written", "0", "2", "3", "8"])
def test_a_kill_loses_and_doubles_nothing(
    when: str, location: Location, store: ResultStore, record: RecordMaker
) -> None:
    expected = written(store, record, range(8)) | written(store, record, range(8, 10), status="failed")
    killed = subprocess.run([sys.executable, "-c", KILLED, store.location, when], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert seen(store.location) == expected
    assert len(ResultStore(store.location).epochs()) == 16
    store.compact()
    assert seen(store.location) == expected
    assert location.pandas("trials")["trial_id"].is_unique


# Beside others.


@pytest.mark.slow
@pytest.mark.parametrize("newer", ["done", "failed"])
@pytest.mark.parametrize("moment", ["_move", "_write", "_delete"])
def test_a_record_written_meanwhile_is_not_lost(
    newer: str, moment: str, location: Location, store: ResultStore, record: RecordMaker
) -> None:
    """A failed trial is run again and recorded just before the compaction moves, merges or deletes."""
    expected = written(store, record, range(5), status="failed") | written(store, record, range(5, 8))
    again = dataclasses.replace(later(record(status=newer), 5), error="RuntimeError: again")
    compacting = ResultStore(store.location)
    operation = getattr(compacting._trials_folder, moment)

    def preceded(*arguments: Any) -> None:
        if len(arguments) == 1 or again.trial.trial_id in str(arguments[0]) or moment == "_write":
            store.write(again)
        operation(*arguments)

    setattr(compacting._trials_folder, moment, preceded)
    compacting.compact()
    for _ in range(2):
        store.refresh()
        assert seen(store.location) == {**expected, again.trial.trial_id: newer}
        (row,) = (row for row in store.trials().to_pylist() if row["trial_id"] == again.trial.trial_id)
        assert row["error"] == "RuntimeError: again"
        store.compact()
    assert location.pandas("trials")["trial_id"].is_unique


def test_two_compactions_of_the_same_files_double_nothing(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    """The second reads, merges and finishes while the first is about to delete."""
    expected = written(store, record, range(5)) | written(store, record, range(10, 13), status="failed")
    first = ResultStore(store.location)
    for folder in (first._trials_folder, first._epochs_folder):
        operation = folder._write

        def followed(*arguments: Any, operation: Callable[..., None] = operation) -> None:
            operation(*arguments)
            ResultStore(store.location).compact()

        folder._write = followed
    first.compact()
    assert seen(store.location) == expected
    for name, keys in (("trials", ["trial_id"]), ("epochs", ["trial_id", "epoch"])):
        assert not location.pandas(name).duplicated(keys).any()
    assert len(store.epochs()) == 10


COMPACTING = """\
import sys
from mixup_study.store import folder
from mixup_study.store.store import ResultStore

folder.SMALL_FILES = 3
store = ResultStore(sys.argv[1])
print("ready", flush=True)
while store.compact() or not (store._place.fs.get_file_info(sys.argv[2]).size):
    pass
"""


@pytest.mark.slow
@only_in_a_folder
def test_readers_and_writers_beside_compactions_lose_nothing(
    tmp_path: Path, location: Location, store: ResultStore, record: RecordMaker
) -> None:
    finished = tmp_path / "finished"
    command = [sys.executable, "-c", COMPACTING, store.location, str(finished)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    others = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    expected: dict[str, str] = {}
    try:
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
        for seed in range(60):
            expected |= written(store, record, [seed], status="failed" if seed % 3 == 0 else "done")
            if seed % 5 == 0:
                expected |= written(store, record, [seed])
            assert seen(store.location) == expected
            assert len(ResultStore(store.location).epochs()) == 2 * list(expected.values()).count("done")
    finally:
        finished.write_text("so")
        said = [other.communicate(timeout=60)[1] for other in others]
    assert said == ["", ""]
    assert [other.returncode for other in others] == [0, 0]
    store.compact()
    assert seen(store.location) == expected
    assert location.pandas("trials")["trial_id"].is_unique
