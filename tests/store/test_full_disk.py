"""A disk that is full at any one write: one line, nothing lost, nothing half-written, and then all goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mixup_study.store import folder
from mixup_study.store.checkpoints import CheckpointFile
from mixup_study.store.models import ModelFile
from mixup_study.store.place import StorageError
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from tests.store.full_disk import FullDisk

RecordMaker = Callable[..., TrialRecord]


def work(location: str, record: RecordMaker) -> list[str]:
    """Do all that a run writes, each again where the disk was full; return what was said."""
    said: list[str] = []
    store = ResultStore(location, said.append)
    steps: list[Callable[[], object]] = [
        store.check_writable,
        lambda: CheckpointFile(location, "trial").write(b"half of it"),
        lambda: store.write(record(seed=0, status="failed")),
        lambda: store.write(record(seed=0)),
        lambda: store.write(record(seed=1)),
        lambda: ModelFile(location, "trial").write(b"model"),
        lambda: CheckpointFile(location, "trial").write(b"all of it"),
        store.compact,
    ]
    for step in steps:
        try:
            step()
        except StorageError as error:
            said.append(str(error))
            step()
    return said


def test_a_disk_that_is_full_at_any_one_write_costs_one_line(
    tmp_path: Path, record: RecordMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "SMALL_FILES", 1)
    disk = FullDisk(monkeypatch)
    assert work(str(tmp_path / "undisturbed"), record) == []
    expected = ResultStore(str(tmp_path / "undisturbed"))
    writes = len(disk.calls)
    assert writes > 20
    for number in range(writes):
        location = str(tmp_path / str(number))
        disk.fill_at(number)
        (line,) = work(location, record)
        assert "the disk is full: free space, then run the same command again" in line
        store = ResultStore(location)
        assert store.trials().drop(["started_at"]).equals(expected.trials().drop(["started_at"]))
        assert store.epochs().equals(expected.epochs())
        assert CheckpointFile(location, "trial").read() == b"all of it"
        assert not [path for path in Path(location).rglob(".*") if path.is_file()]
