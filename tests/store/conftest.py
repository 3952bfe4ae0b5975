"""Results in a folder and in a bucket: the tests of the storage are written once and run on both."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from mixup_study.store.store import ResultStore


class Location:
    """A place for results, and the files in it as another program sees them, named from its root."""

    def __init__(self, url: str) -> None:
        """Name the place: a folder's path, or a URL. Nothing is created."""
        self.url = url
        self.system, self.root = fs.FileSystem.from_uri(url)

    def path(self, name: str) -> str:
        """Return a file's path as warnings name it."""
        return f"{self.root}/{name}"

    def exists(self) -> bool:
        return bool(self.system.get_file_info(self.root).type != fs.FileType.NotFound)

    def names(self, folder: str = "", suffix: str = "") -> list[str]:
        """Return the sorted names of the files in a folder and the folders in it."""
        selector = fs.FileSelector(self.path(folder).rstrip("/"), recursive=True, allow_not_found=True)
        files = [info.path for info in self.system.get_file_info(selector) if info.type == fs.FileType.File]
        return sorted(path.removeprefix(f"{self.root}/") for path in files if path.endswith(suffix))

    def read(self, name: str) -> bytes:
        with self.system.open_input_stream(self.path(name)) as stream:
            content: bytes = stream.read()
        return content

    def write(self, name: str, content: bytes) -> None:
        self.system.create_dir(self.path(name).rpartition("/")[0], recursive=True)
        with self.system.open_output_stream(self.path(name)) as stream:
            stream.write(content)

    def remove(self, name: str) -> None:
        self.system.delete_file(self.path(name))

    def read_table(self, name: str) -> pa.Table:
        return pq.read_table(self.path(name), filesystem=self.system, partitioning=None)

    def write_table(self, name: str, table: pa.Table) -> None:
        self.system.create_dir(self.path(name).rpartition("/")[0], recursive=True)
        pq.write_table(table, self.path(name), filesystem=self.system)

    def pandas(self, folder: str) -> pd.DataFrame:
        """Return all rows of a folder, as someone who knows nothing of mixup_study reads them."""
        return pd.read_parquet(self.path(folder), filesystem=self.system)


@pytest.fixture(params=["folder", "bucket"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """A place for results that nothing is at yet: once in a folder, once in a bucket."""
    if request.param == "folder":
        return Location(str(tmp_path / "results"))
    return Location(f"s3://bucket/{tmp_path.name}/results?{request.getfixturevalue('endpoint')}")


only_in_a_folder = pytest.mark.parametrize("location", ["folder"], indirect=True)
"""Marks a test of what a bucket does not have, or does no differently."""


@pytest.fixture
def store(location: Location) -> ResultStore:
    return ResultStore(location.url)
