from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from mixup_study.errors import InputError
from mixup_study.store import place
from mixup_study.store.place import StorageError
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from tests.store.conftest import Location, only_in_a_folder

RecordMaker = Callable[..., TrialRecord]

FULL = "; the disk is full: free space, then run the same command again, which goes on from here"
FULL_DISK = """\
import pickle, resource, sys
from mixup_study.store import folder
from mixup_study.store.store import ResultStore

folder.SMALL_FILES = 3
store = ResultStore(sys.argv[1])
work, limit = pickle.loads(bytes.fromhex(sys.argv[2])), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    store.compact() if work is None else store.write(work)
except OSError as error:
    print(type(error).__name__, error)
"""


def with_little_room(store: ResultStore, record: TrialRecord | None, limit: int) -> subprocess.CompletedProcess[str]:
    """Write a record, or compact, in a process whose files may have ``limit`` bytes."""
    import pickle

    work = pickle.dumps(record).hex()
    command = [sys.executable, "-c", FULL_DISK, store.location, work, str(limit)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@only_in_a_folder
@pytest.mark.parametrize("limit", [0, 4000])
def test_a_record_that_does_not_fit_is_one_line_and_leaves_nothing(
    limit: int, location: Location, store: ResultStore, record: RecordMaker
) -> None:
    """The epochs fit into 4000 bytes, the trial does not."""
    ran = with_little_room(store, record(), limit)
    (line,) = ran.stdout.splitlines()
    assert line == f"StorageError --results {store.location}: cannot be written to: [Errno 27] File too large{FULL}"
    assert ran.stderr == ""
    assert not {name for name in location.names() if name.startswith("trials") or limit == 0}
    assert len(store.trials()) == len(store.epochs()) == 0


@only_in_a_folder
def test_a_record_that_does_not_fit_leaves_the_failure_before_it(store: ResultStore, record: RecordMaker) -> None:
    store.write(record(status="failed"))
    with_little_room(store, record(), 4000)
    assert store.trials()["status"].to_pylist() == ["failed"]


@only_in_a_folder
def test_a_compaction_that_does_not_fit_is_one_warning_and_changes_nothing(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    for seed in range(10):
        store.write(record(seed=seed))
    before = location.names()
    ran = with_little_room(store, None, 1000)
    (line,) = ran.stderr.splitlines()
    assert line == (f"not compacted: --results {store.location}: cannot be written to: [Errno 27] File too large{FULL}")
    assert location.names() == before
    assert len(store.done()) == 10


def test_a_folder_below_a_file_cannot_hold_a_record(tmp_path: Path, record: RecordMaker) -> None:
    (tmp_path / "file").write_text("here first")
    with pytest.raises(InputError) as caught:
        ResultStore(str(tmp_path / "file" / "results")).write(record())
    assert str(caught.value).startswith(f"--results {tmp_path}/file/results: cannot be written to: ")
    assert len(str(caught.value).splitlines()) == 1
    assert (tmp_path / "file").read_text() == "here first"


def test_the_error_is_an_oserror_too(tmp_path: Path, record: RecordMaker) -> None:
    (tmp_path / "file").write_text("here first")
    with pytest.raises(OSError, match="cannot be written to"):
        ResultStore(str(tmp_path / "file")).write(record())


def test_googles_storage_that_does_not_answer_is_one_line_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "RETRY_SECONDS", 1)
    store = ResultStore("gs://anonymous@bucket/results?scheme=http&endpoint_override=127.0.0.1:9")
    with pytest.raises(StorageError) as caught:
        store.done()
    assert str(caught.value).startswith("--results gs://anonymous@bucket/results?scheme=http&endpoint_override=")
    assert "cannot be read: " in str(caught.value)


def test_an_error_that_pyarrow_has_no_kind_for_is_one_of_the_storage(tmp_path: Path) -> None:
    folder = place.Place.of(str(tmp_path))
    for context in (folder.reading, folder.writing):
        with pytest.raises(StorageError, match="Unknown error: no token"), context():
            raise pa.ArrowException("Unknown error: no token")
        with pytest.raises(pa.ArrowInvalid, match="not Parquet"), context():
            raise pa.ArrowInvalid("not Parquet")
