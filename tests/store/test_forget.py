"""Records that are removed, in a folder and in a bucket alike: they alone, whatever files they stand in."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mixup_study.store import folder as folders
from mixup_study.store.store import ResultStore
from tests.fixtures import RecordMaker
from tests.store.conftest import Location


@pytest.fixture(autouse=True)
def _few_files_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SMALL_FILES", 3)


def test_what_is_forgotten_is_gone_and_nothing_else(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    merged = [record(seed=seed) for seed in range(5)]
    for written in merged:
        store.write(written)
    store.write(record(seed=5, status="failed"))
    store.compact()
    assert len(location.names("trials/merged")) == 1
    small = [record(seed=6), record(seed=7), record(seed=8, status="failed")]
    for written in small:
        store.write(written)
    store.refresh()
    before = {row["trial_id"]: row for row in store.trials().to_pylist()}
    epochs = {(row["trial_id"], row["epoch"]): row for row in store.epochs().to_pylist()}
    gone = {merged[0].trial.trial_id, merged[3].trial.trial_id, small[1].trial.trial_id, small[2].trial.trial_id}

    store.forget(gone)

    again = ResultStore(location.url)
    assert {row["trial_id"]: row for row in again.trials().to_pylist()} == {
        trial_id: row for trial_id, row in before.items() if trial_id not in gone
    }
    left = {(row["trial_id"], row["epoch"]): row for row in again.epochs().to_pylist()}
    assert left == {key: row for key, row in epochs.items() if key[0] not in gone}
    assert not gone & set(location.pandas("epochs")["trial_id"])
    again.forget(before)
    assert location.names("trials") == location.names("epochs") == []


def test_other_rows_keep_columns_of_a_later_version_and_files_that_are_no_records_stay(
    location: Location, store: ResultStore, record: RecordMaker
) -> None:
    first, second = record(seed=0), record(seed=1)
    both = pa.concat_tables([first.trials_table(), second.trials_table()])
    location.write_table("trials/merged/2-abc.parquet", both.append_column("later", pa.array(["a", "b"])))
    location.write_table("trials/by_hand.parquet", record(seed=2).trials_table())
    location.write("trials/merged/broken.parquet", b"no record")
    warnings: list[str] = []
    ResultStore(location.url, warnings.append).forget([first.trial.trial_id, record(seed=2).trial.trial_id])
    assert [warning.partition(": ")[2].partition(",")[0] for warning in warnings] == ["not a record"]
    broken, rest = sorted(location.names("trials"), reverse=True)[:2]
    assert broken == "trials/merged/broken.parquet"
    assert location.read_table(rest).select(["trial_id", "later"]).to_pylist() == [
        {"trial_id": second.trial.trial_id, "later": "b"}
    ]
    assert len(location.names("trials")) == 2
