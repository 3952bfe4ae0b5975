from __future__ import annotations

from pathlib import Path

import pytest

from mixup_study.errors import InputError
from mixup_study.store.checkpoints import (
    CheckpointEntry,
    CheckpointFile,
    open_checkpoint,
    read_entries,
    seal_checkpoint,
)
from mixup_study.store.envelope import Envelope
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


BETWEEN = CheckpointEntry("a" * 16, 15, False)
WITHIN = CheckpointEntry("b" * 16, 2, True)


def test_how_far_trials_are_is_read_without_their_state(location: Location) -> None:
    for name, entry in (("a" * 16, BETWEEN), ("b" * 16, WITHIN), ("c" * 16, WITHIN)):
        CheckpointFile(location.url, name).write(seal_checkpoint(entry, b"state"))
    unfinished = ["a" * 16, "b" * 16, "c" * 16, "d" * 16]
    assert read_entries(location.url, unfinished) == {"a" * 16: BETWEEN, "b" * 16: WITHIN}  # that of c is another's
    assert read_entries(location.url, unfinished[:1]) == {"a" * 16: BETWEEN}
    assert read_entries(location.url, []) == {}
    assert bytes(open_checkpoint(CheckpointFile(location.url, "a" * 16).read() or b"")) == b"state"


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"something else",
        Envelope("checkpoint", 2).seal(b"state"),
        *(Envelope("checkpoint", 3).seal(content) for content in (b"", b"PK", b"\xff\n", b"[15, false]\n", b"{}\n")),
        Envelope("checkpoint", 3).seal(b'[2, false, "b", "c"]\n'),
        *(Envelope("checkpoint", 3).seal(content) for content in (b'["a", true, "b"]\n', b'[15, false, "a"]', b"7\n")),
    ],
)
def test_a_file_that_does_not_say_how_far_it_is_is_passed_over(file: bytes, tmp_path: Path) -> None:
    CheckpointFile(str(tmp_path), "0" * 16).write(file)
    CheckpointFile(str(tmp_path), "a" * 16).write(seal_checkpoint(BETWEEN, b"state"))
    assert read_entries(str(tmp_path), ["a" * 16, "0" * 16]) == {"a" * 16: BETWEEN}


def test_a_checkpoint_is_described_by_the_epoch_that_it_holds() -> None:
    assert BETWEEN.describe(20) == "epoch 15 of 20 saved"
    assert WITHIN.describe(20) == "part of epoch 3 of 20 saved"
    assert CheckpointEntry("a", 0, True).describe(90) == "part of epoch 1 of 90 saved"
