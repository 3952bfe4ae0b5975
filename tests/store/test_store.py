"""Records, written and read: in a folder, and in a bucket alike."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError
from mixup_study.store.record import TrialRecord, epochs_schema, trials_schema
from mixup_study.store.sql import query
from mixup_study.store.store import ResultStore
from mixup_study.study.trial import Trial
from tests.store.conftest import Location, only_in_a_folder

RecordMaker = Callable[..., TrialRecord]

FULL: dict[str, Any] = {
    "train_size": 100,
    "label_noise": 0.5,
    "data_seed": 3,
    "augment": False,
    "width": 8,
    "dropout": 0.3,
    "method": "mixup",
    "alpha": 8.0,
    "milestones": [1, 150],
    "seed": 2**63 - 1,
}


def fresh(location: str | Path) -> ResultStore:
    return ResultStore(str(location))


def trials_file(record: TrialRecord) -> str:
    """Return the name of the file that a finished trial is recorded in."""
    return f"trials/{record.trial.trial_id}.parquet"


def rows(store: ResultStore) -> dict[str, dict[str, Any]]:
    return {row["trial_id"]: row for row in store.trials().to_pylist()}


METHODS: dict[str, dict[str, Any]] = {
    "averaging": {"method": "mixup", "alpha": math.inf},
    "of a class and its neighbours": {"method": "mix_inputs", "alpha": 1.0, "same_class": True, "neighbours": 6},
    "smoothed": {"method": "mix_inputs", "alpha": 1.0, "label_smoothing": 0.1},
    "latent": {"method": "latent_mixup", "alpha": 1.0, "layer": 5},
    "of three": {"method": "dirichlet_mixup", "alpha": 0.5, "ways": 3},
    "noise": {"method": "gaussian_noise", "sigma": 0.05},
}


# Writing and reading.


def test_a_record_comes_back_as_it_was_written(store: ResultStore, record: RecordMaker) -> None:
    measurements = {metric: index / 7 for index, metric in enumerate(CATALOGUE.metrics)}
    written = record(**FULL, measurements=measurements)
    store.write(written)
    (row,) = store.trials().to_pylist()
    assert row == {
        "trial_id": written.trial.trial_id,
        **written.trial.flat(),
        "status": "done",
        "error": None,
        "traceback": None,
        **measurements,
        "train_seconds": 12.5,
        "resumed_seconds": 0.0,
        "data_digest": None,
        "model_digests": None,
        **vars(written.provenance),
    }


@pytest.mark.parametrize("fields", METHODS.values(), ids=METHODS)
def test_the_trial_of_every_method_comes_back(fields: dict[str, Any], store: ResultStore, record: RecordMaker) -> None:
    written = record(**fields)
    store.write(written)
    (row,) = store.trials().to_pylist()
    read = Trial(**{name: row[name] for name in CATALOGUE.fields})
    assert (read, read.trial_id) == (written.trial, row["trial_id"])
    assert {name: row[name] for name in fields} == fields


def test_a_failed_record_keeps_its_error(store: ResultStore, record: RecordMaker) -> None:
    store.write(record(status="failed"))
    (row,) = store.trials().to_pylist()
    assert (row["status"], row["error"], row["traceback"]) == ("failed", "RuntimeError: diverged", "Traceback …")
    assert all(row[metric] is None for metric in CATALOGUE.metrics)
    assert len(store.epochs()) == 0


def test_epochs_come_back_as_they_were_written(store: ResultStore, record: RecordMaker) -> None:
    written = record()
    store.write(written)
    not_of_its_task = dict.fromkeys(
        ("test_top5_error", "validation_error", "discriminator_loss", "generator_loss", "modes_covered", "near_modes")
    )
    assert store.epochs().to_pylist() == [
        {"trial_id": written.trial.trial_id, **epoch, **not_of_its_task} for epoch in written.epochs
    ]


def test_points_come_back_as_they_were_written_and_those_of_unrecorded_trials_do_not(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    points = {
        "kind": np.array(["data", "sample"]),
        "iteration": np.array([None, 10], dtype=object),
        "x": np.array([0.5, -1.0], np.float32),
        "y": np.array([0.25, 2.0], np.float32),
    }
    written = dataclasses.replace(record(), points=points)
    store.write(record(seed=1))
    store.write(written)
    own = {"trial_id": written.trial.trial_id, "value": None}
    assert store.points().to_pylist() == [
        {**own, "point": 0, "kind": "data", "iteration": None, "x": 0.5, "y": 0.25},
        {**own, "point": 1, "kind": "sample", "iteration": 10, "x": -1.0, "y": 2.0},
    ]
    location.remove(trials_file(written))
    assert len(ResultStore(store.location).points()) == 0


@pytest.mark.parametrize("scheme", ["file://", "mock://"])
def test_another_url_works_as_a_folder_does(scheme: str, tmp_path: Path, record: RecordMaker) -> None:
    store = fresh(f"{scheme}{tmp_path}/results")
    assert len(store.trials()) == len(store.epochs()) == 0
    store.check_writable()
    store.write(record(status="failed"))
    store.write(record())
    store.write(record(seed=1))
    store.refresh()
    assert len(store.trials()) == 2
    assert len(store.epochs()) == 4
    assert store.done() == {record().trial.trial_id, record(seed=1).trial.trial_id}


def test_a_place_that_nothing_was_at_is_written_read_and_asked(store: ResultStore, record: RecordMaker) -> None:
    assert len(store.trials()) == len(store.epochs()) == 0
    store.check_writable()
    store.write(record())
    store.write(record(seed=1, status="failed"))
    store.refresh()
    first, second = record().trial.trial_id, record(seed=1).trial.trial_id
    assert store.done() == store.done_among([first, second]) == {first}
    assert store.trials().num_rows == 2
    assert store.epochs().num_rows == 2
    assert query(store, "select count(*) as n from trials join epochs using (trial_id)").to_pylist() == [{"n": 2}]


def test_a_folder_and_its_url_hold_the_same_results(tmp_path: Path, record: RecordMaker) -> None:
    fresh(f"file://{tmp_path}/results").write(record())
    assert fresh(tmp_path / "results").done() == {record().trial.trial_id}


def test_a_relative_folder_is_below_the_working_folder(
    tmp_path: Path, record: RecordMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = fresh("some/results")
    assert store.location == str(tmp_path / "some" / "results")
    store.write(record())
    assert fresh(tmp_path / "some" / "results").done() == {record().trial.trial_id}


def test_plain_pandas_reads_one_row_per_trial(location: Location, store: ResultStore, record: RecordMaker) -> None:
    for seed in range(3):
        store.write(record(seed=seed))
    store.write(record(seed=3, status="failed"))
    store.write(record(**FULL))
    trials, epochs = (location.pandas(folder) for folder in ("trials", "epochs"))
    assert list(trials.columns) == trials_schema().names
    assert trials["trial_id"].is_unique
    assert len(trials) == 5
    assert list(epochs.columns) == epochs_schema().names
    assert len(epochs) == 4 * 2


def test_nothing_is_written_by_reading(location: Location, store: ResultStore) -> None:
    assert len(store.trials()) == len(store.epochs()) == len(store.done()) == 0
    assert store.trials().schema == trials_schema()
    assert store.epochs().schema == epochs_schema()
    assert not location.exists()


def test_a_done_record_replaces_a_failed_one(store: ResultStore, record: RecordMaker) -> None:
    store.write(record(status="failed"))
    assert store.done() == set()
    store.write(record())
    store.refresh()
    assert [row["status"] for row in rows(store).values()] == ["done"]
    assert len(store.trials()) == 1
    assert len(store.epochs()) == 2


def test_a_stopped_trial_has_its_epochs_until_it_has_more(store: ResultStore, record: RecordMaker) -> None:
    whole = record()
    stopped = replace(whole, status="stopped", measurements={}, epochs=whole.epochs[:1])
    for earlier in (record(status="failed"), stopped):
        store.write(earlier)
    store.compact()
    store.refresh()
    assert [row["status"] for row in rows(store).values()] == ["stopped"]
    assert store.done() == store.done_among([whole.trial.trial_id]) == set()
    assert len(store.epochs()) == 1
    found = store.find_epochs([whole.trial.trial_id, "0" * 16], ["epoch", "test_error"])
    assert found.select(["epoch", "test_error"]).to_pylist() == [{"epoch": 1, "test_error": 0.5}]
    for later in (whole, stopped):  # what is done stays
        store.write(later)
    store.refresh()
    assert [row["status"] for row in rows(store).values()] == ["done"]
    assert len(store.epochs()) == 2
    assert store.find_trials([whole.trial.trial_id], ["error"])["status"].to_pylist() == ["done"]


def test_only_done_trials_are_done(store: ResultStore, record: RecordMaker) -> None:
    store.write(record(seed=1))
    store.write(record(seed=2, status="failed"))
    assert store.done() == {record(seed=1).trial.trial_id}


def test_what_others_wrote_shows_after_a_refresh(store: ResultStore, record: RecordMaker) -> None:
    assert len(store.trials()) == 0
    fresh(store.location).write(record())
    store.refresh()
    assert len(store.trials()) == 1


def test_results_in_a_folder_named_like_a_column_are_read_as_they_are(tmp_path: Path, record: RecordMaker) -> None:
    store = fresh(tmp_path / "seed=3")
    store.write(record(seed=0))
    assert [row["seed"] for row in rows(store).values()] == [0]


# Whole or not at all.


def test_epochs_without_their_trial_are_not_shown(location: Location, store: ResultStore, record: RecordMaker) -> None:
    store.write(record(seed=1))
    store.write(record(seed=2))
    location.remove(trials_file(record(seed=2)))
    store.refresh()
    assert set(store.epochs()["trial_id"].to_pylist()) == {record(seed=1).trial.trial_id}


@only_in_a_folder
@pytest.mark.parametrize("folder", ["trials", "epochs"])
def test_a_write_that_fails_shows_nothing_and_leaves_nothing_behind(
    folder: str, store: ResultStore, record: RecordMaker
) -> None:
    in_the_way = Path(store.location, folder, f"{record().trial.trial_id}.parquet")
    in_the_way.mkdir(parents=True)
    with pytest.raises(OSError, match=in_the_way.name):
        store.write(record())
    assert len(store.trials()) == len(store.epochs()) == 0
    assert [path.name for path in in_the_way.parent.iterdir()] == [in_the_way.name]


def test_no_other_files_stand_beside_the_records(location: Location, store: ResultStore, record: RecordMaker) -> None:
    store.check_writable()
    store.write(record(status="failed"))
    store.write(record())
    store.write(record())
    trial_id = record().trial.trial_id
    assert location.names() == [f"epochs/{trial_id}.parquet", f"trials/{trial_id}.parquet"]


# Files that are no records.


def as_parquet(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return bytes(out.getvalue())


def truncated(content: bytes) -> bytes:
    return content[:-100]


def emptied(content: bytes) -> bytes:
    return b""


def text(content: bytes) -> bytes:
    return b"trial_id,seed\nabc,0\n"


def foreign(content: bytes) -> bytes:
    return as_parquet(pa.table({"name": ["someone"], "age": [3]}))


def other_types(content: bytes) -> bytes:
    table = pq.read_table(pa.BufferReader(content))
    index = table.schema.get_field_index("epochs")
    return as_parquet(table.set_column(index, "epochs", pa.array(["many"])))


def without_status(content: bytes) -> bytes:
    return as_parquet(pq.read_table(pa.BufferReader(content)).drop_columns(["status"]))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncated, ""),
        (emptied, ""),
        (text, ""),
        (foreign, ""),
        (other_types, ""),
        (without_status, "its column status is missing"),
    ],
)
def test_a_file_that_is_no_record_is_named_once_skipped_and_kept(
    spoil: Callable[[bytes], bytes],
    reason: str,
    location: Location,
    store: ResultStore,
    record: RecordMaker,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store.write(record(seed=1))
    store.write(record(seed=2))
    name = trials_file(record(seed=1))
    spoilt = spoil(location.read(name))
    location.write(name, spoilt)
    assert store.done() == {record(seed=2).trial.trial_id}
    assert len(store.epochs()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{location.path(name)}: not a record, skipped: {reason}")
    assert location.read(name) == spoilt


def test_warnings_go_where_the_caller_wants(location: Location, capsys: pytest.CaptureFixture[str]) -> None:
    location.write("trials/a.parquet", b"nothing")
    location.write("trials/b.parquet", b"nothing")
    lines: list[str] = []
    assert len(ResultStore(location.url, lines.append).trials()) == 0
    assert [Path(line.split(":")[0]).name for line in lines] == ["a.parquet", "b.parquet"]
    assert capsys.readouterr().err == ""


def test_warnings_come_in_the_order_of_the_files(location: Location, store: ResultStore, record: RecordMaker) -> None:
    for seed in range(10):
        store.write(record(seed=seed))
    names = location.names("trials")
    for index, name in enumerate(names):
        spoil = (truncated, emptied, foreign)[index % 3]
        location.write(name, spoil(location.read(name)))
    lines: list[str] = []
    ResultStore(store.location, lines.append).trials()
    assert [line.split(": ")[0] for line in lines] == [location.path(name) for name in names]


def test_a_spoilt_trial_can_be_recorded_again(location: Location, store: ResultStore, record: RecordMaker) -> None:
    store.write(record())
    location.write(trials_file(record()), truncated(location.read(trials_file(record()))))
    store.write(record())
    assert store.done() == {record().trial.trial_id}


def test_hidden_temporary_and_other_files_are_ignored(
    location: Location, store: ResultStore, record: RecordMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write(record())
    whole = location.read(trials_file(record()))
    for name in (".hidden.parquet", f".{record().trial.trial_id}.parquet.0123", "notes.txt", "copy.parquet.part"):
        location.write(f"trials/{name}", whole)
    location.system.create_dir(location.path("trials/folder.parquet"))
    assert len(store.trials()) == 1
    assert capsys.readouterr().err == ""


def test_a_column_the_record_lacks_reads_as_the_fields_default_or_null(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    store.write(record(seed=1))
    store.write(record(seed=2))
    name = trials_file(record(seed=1))
    location.write_table(name, location.read_table(name).drop_columns(["fused", "test_error_median10"]))
    found = rows(store)
    assert store.trials().schema == trials_schema()
    older, newer = found[record(seed=1).trial.trial_id], found[record(seed=2).trial.trial_id]
    assert (older["fused"], older["test_error_median10"]) == (True, None)
    assert (newer["fused"], newer["test_error_median10"]) == (True, 0.25)
    assert older["test_error_last"] == 0.25


NOT_ASKED_FOR = [name for name, field in CATALOGUE.fields.items() if not field.required]


@only_in_a_folder
@pytest.mark.parametrize("field", NOT_ASKED_FOR)
def test_a_record_from_before_a_field_has_its_default(
    field: str, location: Location, store: ResultStore, record: RecordMaker
) -> None:
    store.write(record())
    (name,) = location.names("trials")
    location.write_table(name, location.read_table(name).drop_columns([field]))
    (row,) = store.trials().to_pylist()
    assert Trial(**{name: row[name] for name in CATALOGUE.fields}).trial_id == record().trial.trial_id


def test_a_field_that_every_trial_names_is_null_where_a_record_lacks_it(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    store.write(record())
    (name,) = location.names("trials")
    location.write_table(name, location.read_table(name).drop_columns(["lr"]))
    assert [row["lr"] for row in store.trials().to_pylist()] == [None]


def test_a_column_of_a_later_version_is_left_out(location: Location, store: ResultStore, record: RecordMaker) -> None:
    store.write(record())
    later = location.read_table(trials_file(record())).append_column("colour", pa.array(["red"]))
    location.write_table(trials_file(record()), later.select(["colour", *reversed(trials_schema().names)]))
    assert store.trials().schema == trials_schema()
    assert rows(store)[record().trial.trial_id]["test_error_last"] == 0.25


# Places that cannot hold results.


@pytest.mark.parametrize("url", ["foo://somewhere", "http://host/results", "file://relative", "://"])
def test_a_url_of_no_file_system_is_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        fresh(url)
    assert str(caught.value).startswith(f"--results {url}: ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("prefix", ["", "file://"])
@pytest.mark.parametrize("below", ["", "/results"])
def test_a_place_below_a_file_cannot_be_written_to(prefix: str, below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here first")
    location = f"{prefix}{tmp_path}/file{below}"
    with pytest.raises(InputError) as caught:
        fresh(location).check_writable()
    assert str(caught.value).startswith(f"--results {location}: cannot be written to: ")
    assert len(str(caught.value).splitlines()) == 1
    assert (tmp_path / "file").read_text() == "here first"


@pytest.mark.slow
@pytest.mark.parametrize("url", ["", "s3://", "s3://b/x?endpoint_override=127.0.0.1:9&scheme=http"])
def test_a_location_that_cannot_be_read_is_bad_input(url: str) -> None:
    with pytest.raises(InputError, match="--results"):
        ResultStore(url).trials()


@pytest.mark.parametrize("file", ["results", "results/trials"])
def test_a_file_where_a_folder_belongs_is_bad_input(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("")
    with pytest.raises(InputError, match="cannot be read"):
        ResultStore(str(tmp_path / "results")).trials()


def test_a_record_copied_by_hand_shows_nothing_twice(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    store.write(record())
    for folder in ("trials", "epochs"):
        (name,) = location.names(folder)
        location.write(f"{folder}/copy.parquet", location.read(name))
    assert len(store.trials()) == 1
    assert len(store.epochs()) == 2


def test_a_failure_never_replaces_a_finished_trial(store: ResultStore, record: RecordMaker) -> None:
    finished = record()
    store.write(finished)
    store.write(record(status="failed"))
    assert store.done() == {finished.trial.trial_id}
    assert len(store.epochs()) == 2


def test_a_path_is_shown_without_detours(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "deep")
    assert ResultStore(str(tmp_path / "study" / ".." / "results")).shown == str(tmp_path / "results")
    assert ResultStore(str(tmp_path / "link" / ".." / "results")).shown == str(tmp_path / "elsewhere" / "results")
    assert ResultStore(str(tmp_path / "link")).shown == str(tmp_path / "link")
