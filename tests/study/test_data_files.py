"""What the user's own data files hold enters the ids of the trials that read them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mixup_study.errors import InputError
from mixup_study.study import data_files
from mixup_study.study.data_files import DataFiles, check_files, digest_files
from mixup_study.study.study import Study, StudyFile
from mixup_study.study.trial import Trial

TEXT = """\
name: own
data: files
trial: {dataset: npz, file: a.npz, model: preact_resnet18, epochs: 1, batch_size: 5, lr: 0.1}
arms:
  ERM: {}
  mixup: {method: mixup, alpha: 1}
table: {title: Own, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A study of a file in the folder beside it."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.npz").write_bytes(b"first")
    (tmp_path / "own.yaml").write_text(TEXT)
    return tmp_path / "own.yaml"


def load(file: Path, *overrides: str, recorded: Sequence[dict[str, Any]] = (), lines: list[str] | None = None) -> Study:
    warn = [].append if lines is None else lines.append
    return StudyFile(file, overrides, files=DataFiles(None, lambda columns: recorded, warn)).load("full")


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def test_a_trial_names_what_its_file_holds(own: Path) -> None:
    study = load(own)
    assert {trial.file_digest for trial in study.trials.values()} == {digest_of(b"first")}
    assert study.data == own.parent / "files"
    unnamed = {
        name: value for name, value in next(iter(study.trials.values())).to_dict().items() if "digest" not in name
    }
    assert Trial(**unnamed).trial_id not in study.trials
    (own.parent / "files" / "a.npz").write_bytes(b"other")
    assert not load(own).trials.keys() & study.trials.keys()
    (own.parent / "files" / "a.npz").write_bytes(b"first")
    assert load(own).trials.keys() == study.trials.keys()


def test_the_folder_of_the_command_wins(own: Path) -> None:
    (elsewhere := own.parent / "elsewhere").mkdir()
    (elsewhere / "a.npz").write_bytes(b"other")
    study = StudyFile(own, files=DataFiles(elsewhere)).load("full")
    assert (study.data, next(iter(study.trials.values())).file_digest) == (elsewhere, digest_of(b"other"))


def test_models_that_evaluations_need_name_it_too(own: Path) -> None:
    training = "{dataset: npz, file: a.npz, model: preact_resnet18, epochs: 1, batch_size: 5, lr: 0.1}"
    own.write_text(
        f"name: attacking\ndata: files\ntrial: {{task: attack, epsilon: 8}}\narms:\n  ERM: {{source: {training}}}\n"
        "table: {title: Own, rows: [arm], columns: [{title: e, metric: adversarial_error}]}\n"
    )
    (trial,) = load(own).trials.values()
    assert trial.source.file_digest == trial.file_digest == digest_of(b"first")


def test_searches_try_trials_that_name_it(own: Path) -> None:
    search = "search: {proposals: 2, space: {mixup: {alpha: {log: [0.1, 8]}}}, minimise: validation_error_last}\n"
    own.write_text(TEXT.replace("{method: mixup, alpha: 1}", "{method: mixup}") + search)
    (search_of,) = load(own, "trial.validation=0.2").searches
    assert search_of.example.trial.file_digest == digest_of(b"first")
    (own.parent / "files" / "a.npz").write_bytes(b"other")
    assert load(own, "trial.validation=0.2").searches[0].search_id != search_of.search_id
    with pytest.raises(InputError, match=r"search.space.mixup.file: 'file': expected a hyper-parameter"):
        load(own, "trial.validation=0.2", "search.space.mixup.file={choice: [a.npz, b.npz]}")


def test_a_file_that_is_not_there_is_one_line(own: Path) -> None:
    (own.parent / "files" / "a.npz").unlink()
    with pytest.raises(InputError) as caught:
        load(own)
    assert str(caught.value).startswith(f"{own}:3: trial.file: not in {own.parent / 'files'}: a.npz; put it there")
    stated = load(own, "trial.file_digest=0123456789abcdef")  # on a machine without the data
    assert {trial.file_digest for trial in stated.trials.values()} == {"0123456789abcdef"}
    with pytest.raises(InputError, match="'abc': expected 16 hexadecimal digits"):
        load(own, "trial.file_digest=abc")


def record(digest: str, **fields: str) -> dict[str, Any]:
    return {"dataset": "npz", "file": "a.npz", "file_digest": digest, **fields}


def test_without_the_file_recorded_trials_say_what_it_held(own: Path) -> None:
    there = load(own)
    (own.parent / "files" / "a.npz").unlink()
    first, other = digest_of(b"first"), digest_of(b"other")
    others = [record(other, file="b.npz"), record(other, dataset="npz_table")]
    lines: list[str] = []
    assert load(own, recorded=[record(first), *others], lines=lines).trials.keys() == there.trials.keys()
    assert lines == [
        f"not in {own.parent / 'files'}: a.npz; read as the one of the recorded trials, file_digest {first}"
    ]
    with pytest.raises(InputError, match=f"trials of several files of that name; .*: {first}, {other}$"):
        load(own, recorded=[record(first), record(other)])


def test_a_file_that_has_changed_since_is_told(own: Path) -> None:
    first, other = digest_of(b"first"), digest_of(b"other")
    lines: list[str] = []
    study = load(own, recorded=[record(other), record(other)], lines=lines)
    assert study.trials.keys() == load(own).trials.keys()
    assert lines == [
        f"a.npz has changed: 2 recorded trials are of {other}, it is {first} now; --set trial.file_digest={other} shows"
        " the recorded ones"
    ]
    lines.clear()
    load(own, recorded=[record(other), record(first)], lines=lines)
    assert lines == []


def test_a_process_that_trains_refuses_another_file(own: Path) -> None:
    trial = next(iter(load(own).trials.values()))
    folder = own.parent / "files"
    check_files(trial, folder)
    (folder / "a.npz").write_bytes(b"other")
    with pytest.raises(InputError) as caught:
        check_files(trial, folder)
    assert str(caught.value).startswith(f"{folder}: a.npz: its file_digest is {digest_of(b'other')}; expected ")
    (folder / "a.npz").unlink()
    with pytest.raises(InputError, match=f"not in {folder}: a.npz; expected it on every node"):
        check_files(trial, folder)


@pytest.mark.parametrize("name", ["/etc/passwd", "../own.yaml", "a/../../own.yaml", "", ".", "a\\0b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str, own: Path) -> None:
    with pytest.raises(InputError, match=r"expected (a path within the data folder|text)"):
        load(own, f'trial.file="{name}"')


def test_a_folder_is_named_by_its_files_and_their_sizes(tmp_path: Path) -> None:
    def write(name: str, content: bytes = b"1") -> str:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
        return digest_files(tmp_path, ("set",))

    first = write("train/cat/1.png")
    assert first == write("train/cat/1.png") == write("index.npz") == write(".hidden") == write("train/.thumbs/1")
    digests = [first, write("train/cat/1.png", b"22"), write("train/cat/2.png"), write("test/cat/2.png")]
    (tmp_path / "set" / "test" / "cat").rename(tmp_path / "set" / "test" / "dog")
    digests.append(digest_files(tmp_path, ("set",)))
    assert len(set(digests)) == len(digests)


def test_the_digest_of_a_large_file_is_kept_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_files, "REMEMBERED", 4)
    file, remembered = tmp_path / "a.npz", tmp_path / ".a.npz.digest"
    file.write_bytes(b"first")
    assert digest_files(tmp_path, ("a.npz",)) == digest_of(b"first")
    remembered.write_text(remembered.read_text().replace(digest_of(b"first"), "0" * 16))
    data_files._read_digest.cache_clear()
    assert digest_files(tmp_path, ("a.npz",)) == "0" * 16  # it is not read again
    file.write_bytes(b"other")
    assert digest_files(tmp_path, ("a.npz",)) == digest_of(b"other")
    for damaged in ("", "{}", "[]", '{"state": 3}'):
        remembered.write_text(damaged)
        data_files._read_digest.cache_clear()
        assert digest_files(tmp_path, ("a.npz",)) == digest_of(b"other")
