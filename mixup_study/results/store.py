"""Records in a folder or a bucket: written whole, read as tables."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from mixup_study.results.record import DEFAULTS, EPOCHS, TRIALS, TrialRecord
from mixup_study.spec.errors import InputError


def _warn(line: str) -> None:
    print(line, file=sys.stderr)


class ResultStore:
    """The results at a path, or at a URL that pyarrow.fs knows (``s3://…``, ``gs://…``).

    ``trials/`` and ``epochs/`` hold one Parquet file per trial, named by its trial_id. The file in
    ``trials/`` is written last, so where it stands the trial is recorded whole.
    """

    def __init__(self, location: str, warn: Callable[[str], None] = _warn) -> None:
        """Open ``location``; nothing is created before the first record is written.

        ``warn`` is given one line for each file that cannot be read. Raises InputError for a location that
        names no file system.
        """
        if not location:
            raise InputError("--results: expected a folder or URL")
        try:
            if "://" in location:
                self._fs, self._root = fs.FileSystem.from_uri(location)
            else:
                self._fs, self._root = fs.LocalFileSystem(), str(Path(location).expanduser().absolute())
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"--results {location}: {' '.join(str(error).split())}; expected a folder or URL"
            ) from None
        if not self._root.strip("/"):
            raise InputError(f"--results {location}: expected a folder or bucket in the URL")
        self.location = location if "://" in location else self._root
        self._warn = warn

    def check_writable(self) -> None:
        """Raise InputError where a record could not be written."""
        probe = f"{self._root}/trials/.writable-{uuid.uuid4().hex}"
        try:
            self._fs.create_dir(f"{self._root}/trials", recursive=True)
            self._fs.create_dir(f"{self._root}/epochs", recursive=True)
            with self._fs.open_output_stream(probe) as stream:
                stream.write(b"")
            self._fs.delete_file(probe)
        except OSError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"--results {self.location}: cannot be written to: {reason}") from None

    def write(self, record: TrialRecord) -> None:
        """Record a trial, replacing an earlier record of it; a reader sees all of it or nothing.

        A failure never replaces what a finished trial measured.
        """
        if record.status == "failed" and self._is_done(record.trial.trial_id):
            return
        name = f"{record.trial.trial_id}.parquet"
        self._write(record.epochs_table(), f"{self._root}/epochs", name)
        self._write(record.trials_table(), f"{self._root}/trials", name)

    def done(self) -> set[str]:
        """Return the trial_ids of the finished trials."""
        table = self.trials()
        finished = pc.equal(table["status"], "done")
        return set(table.filter(finished)["trial_id"].to_pylist())

    def trials(self) -> pa.Table:
        """Return one row per recorded trial, with the columns of TRIALS."""
        return self._trials

    @cached_property
    def _trials(self) -> pa.Table:
        finished_first = self._read("trials", TRIALS).sort_by([("status", "ascending")])
        return self._once(finished_first, ["trial_id"]).sort_by([("trial_id", "ascending")])

    def epochs(self) -> pa.Table:
        """Return one row per epoch of each recorded trial, with the columns of EPOCHS."""
        table = self._once(self._read("epochs", EPOCHS), ["trial_id", "epoch"])
        return table.filter(pc.is_in(table["trial_id"], value_set=self.trials()["trial_id"].combine_chunks()))

    def refresh(self) -> None:
        """Forget what was read, so that the next question sees what has been written since."""
        self.__dict__.pop("_trials", None)

    def _is_done(self, trial_id: str) -> bool:
        path = f"{self._root}/trials/{trial_id}.parquet"
        if self._fs.get_file_info(path).type != fs.FileType.File:
            return False
        table = self._told(self._read_file(path, TRIALS))
        return table is not None and "done" in table["status"].to_pylist()

    def _write(self, table: pa.Table, folder: str, name: str) -> None:
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer)
        content = buffer.getvalue()
        self._fs.create_dir(folder, recursive=True)
        if not isinstance(self._fs, fs.LocalFileSystem):
            with self._fs.open_output_stream(f"{folder}/{name}") as stream:  # appears when it is closed
                stream.write(content)
            return
        part = Path(folder, f".{name}.{uuid.uuid4().hex}")
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(Path(folder, name))
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _read(self, folder: str, schema: pa.Schema) -> pa.Table:
        try:
            if self._fs.get_file_info(self._root).type == fs.FileType.File:
                raise NotADirectoryError("it is a file")
            selector = fs.FileSelector(f"{self._root}/{folder}", allow_not_found=True)
            names = sorted(info.path for info in self._fs.get_file_info(selector) if self._is_record(info))
        except OSError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"--results {self.location}: cannot be read: {reason}; expected a folder or URL") from None
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda path: self._read_file(path, schema), names))
        tables = [table for table in map(self._told, found) if table]
        return pa.concat_tables(tables) if tables else schema.empty_table()

    @staticmethod
    def _once(table: pa.Table, keys: list[str]) -> pa.Table:
        """Return the first row of each combination of ``keys``: a file copied by hand shows nothing twice."""
        numbered = table.append_column("row", pa.array(range(len(table)), pa.int64()))
        first = numbered.group_by(keys).aggregate([("row", "min")])["row_min"]
        return table.take(first.combine_chunks().sort())

    @staticmethod
    def _is_record(info: fs.FileInfo) -> bool:
        return info.type == fs.FileType.File and info.extension == "parquet" and not info.base_name.startswith(".")

    def _told(self, found: pa.Table | str) -> pa.Table | None:
        """Return a file's rows; pass on the warning of one that has none."""
        if isinstance(found, str):
            self._warn(found)
            return None
        return found

    def _read_file(self, path: str, schema: pa.Schema) -> pa.Table | str:
        """Return a file's rows under ``schema``, or a warning. A column it lacks gets the field's default, or nulls."""
        try:
            table = pq.read_table(path, filesystem=self._fs)
            for needed in {"trial_id", "status"} & set(schema.names):
                if needed not in table.column_names or table[needed].null_count:
                    raise pa.ArrowInvalid(f"its column {needed} is missing or incomplete")
            columns = [
                table[column.name].cast(column.type)
                if column.name in table.column_names
                else pa.array([DEFAULTS.get(column.name)] * len(table), column.type)
                for column in schema
            ]
            return pa.table(columns, schema=schema)
        except (pa.ArrowException, OSError) as error:
            return f"{path}: not a record, skipped: {' '.join(str(error).split())[:200]}"
