from __future__ import annotations

from pathlib import Path

import pytest

from mixup_study.errors import InputError
from mixup_study.store.checkpoints import CheckpointFile
from mixup_study.store.store import ResultStore
from tests.store.conftest import Location


def test_the_last_checkpoint_is_read_until_it_is_removed(location: Location) -> None:
    file = CheckpointFile(location.url, "0123456789abcdef")
    assert file.read() is None
    for content in (b"first", b"second"):
        file.write(content)
        assert CheckpointFile(location.url, "0123456789abcdef").read() == content
    assert location.names() == ["checkpoints/0123456789abcdef.checkpoint"]
    file.remove()
    file.remove()
    assert file.read() is None


def test_each_trial_has_its_own_and_records_are_left_alone(location: Location) -> None:
    one, other = (CheckpointFile(location.url, name) for name in ("a" * 16, "b" * 16))
    one.write(b"one")
    assert other.read() is None
    assert len(ResultStore(location.url).trials()) == 0


def test_a_checkpoint_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"^--results .*/file: cannot be written to: ") as raised:
        CheckpointFile(str(tmp_path / "file"), "a" * 16).write(b"content")
    assert isinstance(raised.value, InputError)
    assert (tmp_path / "file").read_text() == "not a folder"


def test_what_a_killed_writer_left_goes_with_the_checkpoint(tmp_path: Path) -> None:
    own, other = (CheckpointFile(str(tmp_path), trial_id) for trial_id in ("0" * 16, "1" * 16))
    for file in (own, other):
        file.write(b"state")
    folder = tmp_path / "checkpoints"
    for name in [file.name for file in folder.iterdir()]:
        (folder / f".{name}.0123456789abcdef").write_bytes(b"st")
    own.remove()
    assert sorted("0" * 16 in file.name for file in folder.iterdir()) == [False, False]
    assert other.read() == b"state"
