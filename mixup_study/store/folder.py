"""A folder of record files: one per trial, and larger ones that many of those were merged into."""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import escape_controls
from mixup_study.store.place import Place

MERGED = "merged"
FAILED = ".failed.parquet"
STOPPED = ".stopped.parquet"
SMALL_FILES = 100
"""Compaction leaves so many files of one trial each alone."""
BATCH_FILES = 2000
"""Files held in memory at a time as tables of their own."""
MERGED_ROWS = 5_000_000
"""Compaction makes no file of more rows out of merged ones: what it holds in memory."""
ROW_GROUP = 10_000
_OWN_FILE = re.compile(r"[0-9a-f]{16}(\.failed|\.stopped)?\.parquet")
"""Name of a file of one trial."""


class FileContent(NamedTuple):
    """What a file held; a file that was gone when it was opened has neither rows nor a warning."""

    path: str
    table: pa.Table | None = None
    warning: str | None = None
    foreign_columns: bool = False
    """Whether it has columns that ``table`` leaves out."""


class RecordFolder:
    """The Parquet files of one kind of record.

    ``<trial_id>.parquet`` holds a finished trial, ``<trial_id>.failed.parquet`` a failed one, so that a failure
    never takes the place of what a finished trial measured, and ``<trial_id>.stopped.parquet`` one that was stopped
    after some of its epochs. ``merged/<rows>-<unique>.parquet`` holds what
    compaction gathered; such a file is never changed, only deleted.
    """

    def __init__(
        self,
        place: Place,
        name: str,
        schema: pa.Schema,
        deduplicate: Callable[[pa.Table], pa.Table],
        warn: Callable[[str], None],
        key: str = "trial_id",
    ) -> None:
        """Name the folder; nothing is created before the first write.

        ``deduplicate`` returns of several rows of the same the one that counts; ``warn`` is given a line for each file
        that cannot be read. ``key`` is the column that names a record, and its file.
        """
        self._place = place
        self._fs = place.fs
        self._path = f"{place.root}/{name}"
        self._schema = schema
        self._deduplicate = deduplicate
        self._warn = warn
        self._key = key
        self._warned: set[str] = set()
        self._threads = min(4, os.cpu_count() or 1) if place.local else 32  # a request to a bucket mostly waits

    def write(self, table: pa.Table, trial_id: str, suffix: str = ".parquet") -> None:
        """Write a trial's rows, whole or not at all. Raises StorageError."""
        self._write(table, f"{self._path}/{trial_id}{suffix}")

    def remove(self, trial_id: str, suffix: str) -> None:
        """Remove what was written of a trial with FAILED or STOPPED, where there is any. Raises StorageError."""
        path = f"{self._path}/{trial_id}{suffix}"
        with self._place.writing():
            if self._place.exists(path):
                self._delete(path)

    def forget(self, keys: Collection[str]) -> None:
        """Remove all rows of some records, whatever files they stand in, and no other row. Raises StorageError.

        A file that holds others as well is first written without them, columns of a later version included. A
        compaction beside it, or a writer, may bring rows back.
        """
        names = {f"{key}{suffix}" for key in keys for suffix in (".parquet", FAILED, STOPPED)}
        with self._place.writing():
            own = [path for path in self._small() if path.rpartition("/")[2] in names]
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(self._delete, own))
                list(pool.map(lambda path: self._leave_out(path, keys), [*self._foreign(), *self._merged()]))

    def _foreign(self) -> list[str]:
        """Return the files of several records that were put there by hand."""
        return [path for path in self._small() if not _OWN_FILE.fullmatch(path.rpartition("/")[2])]

    def _leave_out(self, path: str, keys: Collection[str]) -> None:
        """Write a file again without the rows of some records, or delete it where nothing else is in it."""
        try:
            with self._fs.open_input_file(path) as file:
                table = pq.ParquetFile(file).read()
            stays = pc.invert(pc.is_in(table[self._key], value_set=pa.array(list(keys), table[self._key].type)))
        except FileNotFoundError:
            return
        except (pa.ArrowException, OSError, KeyError) as error:
            self._warn_once([FileContent(path, warning=_damage(path, error))])
            return
        rest = table.filter(stays)
        if len(rest) == len(table):
            return
        if len(rest):
            self._write(rest, self._merged_path(len(rest)) if self._is_merged(path) else path)
        if self._is_merged(path) or not len(rest):
            self._delete(path)

    def read(self) -> pa.Table:
        """Return the rows that count of all files, under the schema. Raises StorageError.

        Rows only ever move from the trials' own files to merged ones, and from those to others that stand
        before the first are deleted. So the trials' own files are read first, the merged ones after them, and
        each kind again as long as one was gone when it was opened or a new merged one has appeared.
        """
        tables: list[pa.Table] = []
        read: set[str] = set()

        def read_paths(paths: Sequence[str]) -> bool:
            """Read files; return whether one of them was gone."""
            gone = False
            for start in range(0, len(paths), BATCH_FILES):
                contents = self._warn_once(self._read_files(paths[start : start + BATCH_FILES]))
                gone = gone or any(content.table is None and content.warning is None for content in contents)
                rows = [content.table for content in contents if content.table is not None]
                if rows:
                    tables.append(pa.concat_tables(rows).combine_chunks())
            read.update(paths)
            return gone

        with self._place.reading():
            while read_paths([path for path in self._small() if path not in read]):
                pass
            while unread := [path for path in self._merged() if path not in read]:
                read_paths(unread)
        if not tables:
            self._place.check_readable()
            return self._schema.empty_table()
        return self._deduplicate(pa.concat_tables(tables))

    def done_among(self, trial_ids: Collection[str]) -> set[str]:
        """Return which trials are recorded as finished; little else is read. Raises StorageError."""
        return set(_list_done(self.find(trial_ids, ["trial_id"])))

    def find(self, trial_ids: Collection[str], columns: Sequence[str]) -> pa.Table:
        """Return columns of the rows of some trials, of a status that too; little else is read. Raises StorageError.

        A row may be there twice, and a trial may have one for each status.
        """
        own = [name for name in (*columns, "trial_id", "status") if name in self._schema.names]
        with self._place.reading():
            return self._find(trial_ids, list(dict.fromkeys(own)))

    def _find(self, trial_ids: Collection[str], columns: list[str]) -> pa.Table:
        names = [f"{trial_id}{suffix}" for trial_id in trial_ids for suffix in (".parquet", FAILED, STOPPED)]
        infos = self._fs.get_file_info([f"{self._path}/{name}" for name in names])
        own = [info.path for info in infos if info.type == fs.FileType.File]
        contents = self._warn_once(self._read_files(own))
        tables = [content.table.select(columns) for content in contents if content.table is not None]
        done = {trial_id for table in tables for trial_id in _list_done(table)}
        for path in self._merged():
            rest = [trial_id for trial_id in trial_ids if trial_id not in done]
            if not rest:
                break
            try:
                names = pq.read_schema(path, filesystem=self._fs).names
                present = [name for name in columns if name in names]
                wanted = pc.field("trial_id").isin(rest)
                rows = pq.read_table(path, columns=present, filesystem=self._fs, partitioning=None, filters=wanted)
            except FileNotFoundError:
                return self._find(trial_ids, columns)  # merged into another meanwhile
            except (pa.ArrowException, OSError) as error:
                self._warn_once([FileContent(path, warning=_damage(path, error))])
                continue
            tables.append(rows.select(present))
            done.update(_list_done(rows))
        empty = pa.schema([self._schema.field(name) for name in columns]).empty_table()
        return pa.concat_tables([empty, *tables], promote_options="default")

    def compact(self) -> None:
        """Merge the trials' own files where there are more than SMALL_FILES, or where a trial stands in two files.

        It may be killed at any moment, and run beside writers, readers and itself. A merged file is written
        whole, under a name that nobody else uses, before the files that went into it are deleted; so every row
        stands in a whole file at every moment, and all that an interruption leaves is rows that stand in two.

        What is deleted is what was merged. Merged files never change. A finished trial's own file is only ever
        replaced by another record of the same finished trial, which says the same. A failure's file may be
        replaced by a newer failure, so it is first moved to a name of its own among the merged files, and read
        there. Finished trials have other names than failures, so a trial that succeeds meanwhile is in nobody's
        way. (A bucket knows no move: there, a second failure that arrives while the first is copied may go
        unrecorded. The trial stays failed.)

        Left as they are: files that cannot be read, with a warning; files with columns of a later version; and
        failures under the name of a finished trial, as an earlier version wrote them.

        Merged files are merged in turn while one has at most twice the rows gathered so far. So each that stays
        has more than twice as many as the next smaller one, and there are few of them. Raises StorageError.
        """
        with self._place.writing():
            due = self._due()
            for start in range(0, len(due), BATCH_FILES):
                self._merge_small(due[start : start + BATCH_FILES])
            while (double := self._doubled()) and self._merge(self._read_files(double)):
                pass

    def _due(self) -> list[str]:
        """Return which of the trials' own files are to be merged."""
        small = self._small()
        if len(small) > SMALL_FILES:
            return small
        standing = Counter(_trial_id(path) for path in small)
        if small:
            standing.update(trial_id for ids in self._merged_ids().values() for trial_id in ids)
        return [path for path in small if standing[_trial_id(path)] > 1]

    def _merge_small(self, paths: Sequence[str]) -> None:
        self._fs.create_dir(f"{self._path}/{MERGED}", recursive=True)
        sources = self._read_files([path for path in paths if not path.endswith(FAILED)])
        gathered = sum(len(content.table) for content in sources if content.table is not None)
        for content in self._warn_once(self._read_files([path for path in paths if path.endswith(FAILED)])):
            if content.table is not None:
                self._move(content.path, self._merged_path(len(content.table)))
                gathered += len(content.table)
        chosen = []
        for path in sorted(self._merged(), key=_rows):
            if _rows(path) > min(2 * gathered, MERGED_ROWS - gathered):
                break
            gathered += _rows(path)
            chosen.append(path)
        self._merge([*sources, *self._read_files(chosen)])

    def _doubled(self) -> list[str]:
        """Return the merged files that have a trial in common with another."""
        ids = self._merged_ids()
        standing = Counter(trial_id for trial_ids in ids.values() for trial_id in trial_ids)
        return [path for path, trial_ids in ids.items() if any(standing[trial_id] > 1 for trial_id in trial_ids)]

    def _merge(self, contents: Iterable[FileContent]) -> bool:
        """Write the rows of files into one and delete them; return whether there was anything to merge."""
        sources = [content for content in self._warn_once(contents) if self._may_merge(content)]
        if not sources or (len(sources) == 1 and self._is_merged(sources[0].path)):
            return False
        table = self._deduplicate(pa.concat_tables([source.table for source in sources]).combine_chunks())
        self._write(table, self._merged_path(len(table)))
        with ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(self._delete, [source.path for source in sources]))
        return True

    def _may_merge(self, content: FileContent) -> bool:
        if content.table is None or not len(content.table) or content.foreign_columns:
            return False
        if self._is_merged(content.path) or "status" not in self._schema.names:
            return True
        return bool(pc.all(pc.equal(content.table["status"], "done")).as_py())

    def _is_merged(self, path: str) -> bool:
        return path.startswith(f"{self._path}/{MERGED}/")

    def _merged_path(self, rows: int) -> str:
        return f"{self._path}/{MERGED}/{rows}-{uuid.uuid4().hex}.parquet"

    def _merged_ids(self) -> dict[str, set[str]]:
        """Return the trial_ids in each merged file that can be read."""
        ids = {}
        for path in self._merged():
            try:
                with self._fs.open_input_file(path) as file:
                    parquet = pq.ParquetFile(file, read_dictionary=[self._key])
                    _check_rows(parquet, file.size())
                    column = parquet.read([self._key])[self._key]
            except FileNotFoundError:
                continue
            except (pa.ArrowException, OSError, KeyError) as error:
                self._warn_once([FileContent(path, warning=_damage(path, error))])
            else:
                ids[path] = {trial_id for chunk in column.chunks for trial_id in chunk.dictionary.to_pylist()}
        return ids

    def _small(self) -> list[str]:
        """Return the files that are not merged ones: those of one trial each, and what was put there by hand."""
        return self._list(self._path)

    def _merged(self) -> list[str]:
        return self._list(f"{self._path}/{MERGED}")

    def _list(self, folder: str) -> list[str]:
        return sorted(
            info.path
            for info in self._place.list_files(folder)
            if info.extension == "parquet" and not info.base_name.startswith(".")
        )

    def _read_files(self, paths: Sequence[str]) -> list[FileContent]:
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(self._read_file, paths))

    def _read_file(self, path: str) -> FileContent:
        """Return a file's rows under the schema. A column that it lacks gets the field's default, or nulls."""
        try:
            with self._fs.open_input_file(path) as file:
                content = file.read_buffer()
            parquet = pq.ParquetFile(pa.BufferReader(content))
            _check_rows(parquet, len(content))
            table = parquet.read(use_threads=len(content) > 2**20)
            names = set(table.column_names)
            for needed in {self._key, "status"} & set(self._schema.names):
                if needed not in names or table[needed].null_count:
                    raise pa.ArrowInvalid(f"its column {needed} is missing or incomplete")
            if table.schema.equals(self._schema):
                return FileContent(path, table)
            columns = [
                table[column.name].cast(column.type)
                if column.name in names
                else pa.array([_default(column.name)] * len(table), column.type)
                for column in self._schema
            ]
            return FileContent(
                path, pa.table(columns, schema=self._schema), foreign_columns=not names <= {*self._schema.names}
            )
        except FileNotFoundError:
            return FileContent(path)
        except (pa.ArrowException, OSError) as error:
            return FileContent(path, warning=_damage(path, error))

    def _warn_once(self, contents: Iterable[FileContent]) -> list[FileContent]:
        """Return what was found; pass on each warning once."""
        contents = list(contents)
        for content in contents:
            if content.warning is not None and content.warning not in self._warned:
                self._warned.add(content.warning)
                self._warn(content.warning)
        return contents

    def _write(self, table: pa.Table, path: str) -> None:
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, row_group_size=ROW_GROUP if len(table) < 2**20 else 2**18)
        self._place.write(path, buffer.getvalue())

    def _move(self, source: str, target: str) -> None:
        try:
            self._fs.move(source, target)
        except OSError:
            if self._fs.get_file_info(source).type == fs.FileType.File:
                raise

    def _delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # another compaction was first
            self._fs.delete_file(path)


def _check_rows(file: pq.ParquetFile, size: int) -> None:
    """Raise ArrowInvalid for a file of more rows than bytes: they repeat one another, as no records do.

    Such a file of 400 kB may take tens of gigabytes of memory.
    """
    rows = file.metadata.num_rows
    if rows > size:
        raise pa.ArrowInvalid(f"{rows:,} rows in {size:,} bytes; expected rows that differ")


def _default(name: str) -> Any:
    """Return what a trial recorded before a field was added had for it; None of a column that is no field."""
    return CATALOGUE.defaults.get(name)


def _trial_id(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(FAILED).removesuffix(STOPPED).removesuffix(".parquet")


def _list_done(rows: pa.Table) -> list[str]:
    """Return the trials of rows that are finished; none of rows without a status."""
    if "status" not in rows.column_names:
        return []
    done: list[str] = rows["trial_id"].filter(pc.equal(rows["status"], "done")).to_pylist()
    return done


def _rows(path: str) -> int:
    """Return the rows that a merged file's name says it has; of a foreign one, none."""
    rows = path.rpartition("/")[2].partition("-")[0]
    return int(rows) if rows.isdecimal() else 0


def _damage(path: str, error: Exception) -> str:
    return escape_controls(f"{path}: not a record, skipped: {' '.join(str(error).split())[:200]}")
