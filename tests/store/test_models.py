"""The file of a trial's model, in a folder and in a bucket; its envelope."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixup_study.errors import InputError
from mixup_study.store import folder as folders
from mixup_study.store.checkpoints import CheckpointFile
from mixup_study.store.envelope import DIGEST_SIZE, Envelope, FileUnusable
from mixup_study.store.models import ENVELOPE, ModelEntry, ModelFile, list_models, open_model, seal_model
from mixup_study.store.sql import query
from mixup_study.store.store import ResultStore
from tests.fixtures import RecordMaker
from tests.store.conftest import Location

TRIAL, OTHER = "0123456789abcdef", "fedcba9876543210"


def test_the_last_model_is_read_until_it_is_removed(location: Location) -> None:
    file = ModelFile(location.url, TRIAL)
    assert (file.exists(), file.read(), list_models(location.url)) == (False, None, [])
    for content in (b"first", b"second"):
        file.write(content)
        assert ModelFile(location.url, TRIAL).exists()
        assert ModelFile(location.url, TRIAL).read() == content
    assert ModelFile(location.url, OTHER).read() is None
    file.remove()
    file.remove()
    assert (file.exists(), list_models(location.url)) == (False, [])


def test_models_are_listed_by_trial_id_with_their_sizes(location: Location) -> None:
    ModelFile(location.url, OTHER).write(b"12345")
    ModelFile(location.url, TRIAL).write(b"")
    ModelFile(location.url, "notes.txt").write(b"somebody's own")
    ModelFile(location.url, f"{'b' * 16}/within").write(b"somebody's own")
    CheckpointFile(location.url, "a" * 16).write(b"unfinished")
    assert list_models(location.url) == [ModelEntry(TRIAL, 0), ModelEntry(OTHER, 5)]


def test_of_two_that_write_at_once_one_model_stands_whole(location: Location) -> None:
    contents = [bytes([number]) * 300_000 for number in range(4)]
    with ThreadPoolExecutor(len(contents) + 1) as pool:
        writes = [pool.submit(ModelFile(location.url, TRIAL).write, content) for content in contents]
        reads = [ModelFile(location.url, TRIAL).read() for _ in range(20)]
        for write in writes:
            write.result()
    assert ModelFile(location.url, TRIAL).read() in contents
    assert all(content is None or content in contents for content in reads)
    assert [model.trial_id for model in list_models(location.url)] == [TRIAL]


def test_models_and_records_leave_each_other_alone(
    location: Location, record: RecordMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "SMALL_FILES", 3)
    warnings: list[str] = []
    store = ResultStore(location.url, warnings.append)
    trial_ids = sorted(record(seed=seed).trial.trial_id for seed in range(6))
    for seed in range(6):
        ModelFile(location.url, record(seed=seed).trial.trial_id).write(b"a model")
        store.write(record(seed=seed))
    trials, epochs = store.trials(), store.epochs()
    store.compact()
    store.refresh()
    assert store.trials().equals(trials)
    assert len(store.epochs()) == len(epochs)
    assert store.done_among(trial_ids) == set(trial_ids)
    assert query(store, "select count(*) as trials from trials").to_pylist() == [{"trials": 6}]
    assert [model.trial_id for model in list_models(location.url)] == trial_ids
    assert ModelFile(location.url, trial_ids[0]).read() == b"a model"
    assert warnings == []


def test_a_model_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"^--results .*/file: cannot be written to: ") as raised:
        ModelFile(str(tmp_path / "file"), TRIAL).write(b"content")
    assert isinstance(raised.value, InputError)
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_place_without_results_is_named(tmp_path: Path, endpoint: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    for location, reason in [
        (str(tmp_path / "file"), "it is a file"),
        (f"s3://nowhere/results?{endpoint}", "there is no bucket nowhere"),
    ]:
        with pytest.raises(InputError, match=f"cannot be read: {reason}; expected a folder or URL$"):
            list_models(location)


@given(st.binary(max_size=300))
def test_a_sealed_content_comes_back(content: bytes) -> None:
    assert open_model(TRIAL, seal_model(TRIAL, content)) == content


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda file: b"", "it is not a model of mixup_study"),
        (lambda file: b"PK\x03\x04 something else", "it is not a model of mixup_study"),
        (lambda file: Envelope("checkpoint", 2).seal(b"state"), "it is not a model of mixup_study"),
        (lambda file: file.replace(b"model 1\n", b"model 2\n", 1), "it has another format"),
        (lambda file: file[:-1], "it is damaged"),
        (lambda file: file[: len(ENVELOPE.first_line) + 3], "it is damaged"),
        (lambda file: ENVELOPE.first_line, "it is damaged"),
        (lambda file: file + b"\0", "it is damaged"),
        (lambda file: file[:-1] + bytes([file[-1] ^ 1]), "it is damaged"),
        (lambda file: file.replace(TRIAL.encode(), OTHER.encode()), "it is damaged"),
        (lambda file: seal_model(OTHER, b"content"), f"it is of trial_id {OTHER}, not {TRIAL}"),
        (lambda file: ENVELOPE.seal(b"\x1b[2J\xff\ncontent"), f"it is of trial_id \\x1b[2J\ufffd, not {TRIAL}"),
        (lambda file: ENVELOPE.seal(b""), f"it is of trial_id , not {TRIAL}"),
    ],
    ids=[
        "empty", "zip", "checkpoint", "version", "truncated", "half a digest", "first line", "longer", "one bit",
        "renamed", "another trial's", "nobody's", "nothing",
    ],
)  # fmt: skip
def test_what_is_no_model_of_the_trial_is_refused(spoil: Callable[[bytes], bytes], reason: str) -> None:
    with pytest.raises(FileUnusable) as caught:
        open_model(TRIAL, spoil(seal_model(TRIAL, b"content")))
    assert str(caught.value) == reason


@given(st.binary(max_size=2 * DIGEST_SIZE))
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    for file in (content, ENVELOPE.first_line + content, ENVELOPE.seal(content)):
        with pytest.raises(FileUnusable):
            open_model(TRIAL, file)
