"""What the user's own data files hold, named by a digest that enters the ids of the trials that read them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mixup_study.catalogue import Dataset
from mixup_study.catalogue.fields import is_within
from mixup_study.errors import InputError
from mixup_study.files import load_or_compute
from mixup_study.study.trial import Trial

FILE_DIGEST = "file_digest"
"""The field of a trial that names what the files of its data set hold."""
DEFAULT_FOLDER = Path("~/.cache/mixup_study")
"""Folder of the data sets where neither the study nor the command names one."""
INDEX = "index.npz"
"""File that is written into a folder of images to list them, and that is none of them."""
DIGITS = 16
REMEMBERED = 2**26
"""Bytes of a file from which on its digest is kept in a hidden file beside it: to read so many takes a tenth second."""

ReadRecorded = Callable[[Sequence[str]], Iterable[Mapping[str, Any]]]
"""Returns the columns asked for of all recorded trials that have a digest of their files."""


class DataMissing(Exception):
    """The files of a data set are not there, and no record says what they hold."""


@dataclass(frozen=True, eq=False)
class DataFiles:
    """The data folder, as those see it who read a study; without a folder, the study names it."""

    folder: Path | None = None
    read_recorded: ReadRecorded = lambda columns: ()
    warn: Callable[[str], None] = lambda line: None
    """Told once of each data set that is not what recorded trials read, or that is known by them alone."""
    _digests: dict[tuple[Path, str, tuple[str, ...]], str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Return the absolute path of the folder."""
        folder = (self.folder or DEFAULT_FOLDER).expanduser().absolute()
        return folder.resolve() if ".." in folder.parts else folder

    def within(self, named: Path | None) -> DataFiles:
        """Return the same for a study that names the folder ``named``; None for one that names none."""
        return replace(self, folder=self.folder or named)

    def find_digest(self, dataset: Dataset, values: Mapping[str, Any]) -> str | None:
        """Return the digest of what a data set with ``content`` reads, given the fields of a trial.

        None where those name no files. Where the files are not in the data folder, it is that of the recorded trials of
        the same files. Raises DataMissing where there are none either, or several digests.
        """
        names = list_names(dataset, values)
        if names is None:
            return None
        key = (self.path, dataset.name, names)
        if key not in self._digests:
            self._digests[key] = self._find_digest(self.path, dataset, values, names)
        return self._digests[key]

    def _find_digest(self, folder: Path, dataset: Dataset, values: Mapping[str, Any], names: tuple[str, ...]) -> str:
        fields = {"dataset": dataset.name, **{name: values[name] for name in dataset.naming_fields}}
        rows = self.read_recorded([*fields, FILE_DIGEST])
        recorded = [str(row[FILE_DIGEST]) for row in rows if all(row[name] == fields[name] for name in fields)]
        files = ", ".join(names)
        try:
            digest = digest_files(folder, names)
        except FileNotFoundError as error:
            missing = f"not in {folder}: {name_missing(error, folder)}"
            if not recorded:
                raise DataMissing(
                    f"{missing}; put it there, name another folder with --data or the study's key data, or state its"
                    f" digest as trial.{FILE_DIGEST}: mixup-study fetch shows it where the file is"
                ) from None
            if len(set(recorded)) > 1:
                digests = ", ".join(dict.fromkeys(recorded))
                raise DataMissing(
                    f"{missing}, and the results hold trials of several files of that name; expected one of their"
                    f" digests, as in --set trial.{FILE_DIGEST}={recorded[-1]}: {digests}"
                ) from None
            self.warn(f"{missing}; read as the one of the recorded trials, {FILE_DIGEST} {recorded[0]}")
            return recorded[0]
        except OSError as error:
            raise DataMissing(f"{folder}: {error.filename}: cannot be read: {error.strerror}") from None
        if recorded and digest not in recorded:
            trials = "1 recorded trial is" if len(recorded) == 1 else f"{len(recorded)} recorded trials are"
            self.warn(
                f"{files} has changed: {trials} of {' or '.join(dict.fromkeys(recorded))}, it is {digest} now;"
                f" --set trial.{FILE_DIGEST}={recorded[0]} shows the recorded ones"
            )
        return digest


def list_names(dataset: Dataset, values: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of the files and folders that a data set reads; None where ``values`` do not say them."""
    if not all(is_within(values.get(name)) for name in dataset.naming_fields):
        return None
    return tuple(name.format_map(values) for name in dataset.content)


def name_missing(error: FileNotFoundError, folder: Path) -> str:
    """Return the name in the data folder of what is not there."""
    return os.path.relpath(error.filename, folder)


def list_missing_files(trials: Iterable[Trial], folder: Path) -> list[str]:
    """Return the names of the user's own files and folders that ``trials`` read and ``folder`` does not hold."""
    names = dict.fromkeys(name for trial in trials for own, files in _list_reading(trial) for name in files)
    return [name for name in names if not (folder / name).exists()]


def check_files(trial: Trial, folder: Path) -> None:
    """Raise InputError unless the files of a trial's data set, and of the models it needs, hold what its id says."""
    for own, names in _list_reading(trial):
        files = ", ".join(names)
        try:
            digest = digest_files(folder, names)
        except FileNotFoundError as error:
            raise InputError(f"not in {folder}: {name_missing(error, folder)}; expected it on every node") from None
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None
        if own.file_digest not in (None, digest):
            raise InputError(
                f"{folder}: {files}: its {FILE_DIGEST} is {digest}; expected {own.file_digest}, that of the trial: the"
                " same files on every node, unchanged while a study runs"
            )


def _list_reading(trial: Trial) -> Iterator[tuple[Trial, tuple[str, ...]]]:
    """Yield a trial, and those whose models it needs, as far as they read files of the user's, with their names."""
    for own in (trial, *trial.needs):
        dataset = own.components.dataset
        if dataset is not None and dataset.content:
            names = list_names(dataset, {name: getattr(own, name) for name in dataset.naming_fields})
            assert names is not None
            yield own, names


def digest_files(folder: Path, names: Sequence[str]) -> str:
    """Return 16 hexadecimal digits that name what files and folders hold.

    Of a file, they are the first of its SHA-256. Of a folder, those of the paths and sizes of all files below it, but
    for hidden ones and INDEX: a file that is replaced by another of the same name and the same number of bytes goes
    unnoticed there. Of several, those of their digests. Raises OSError.
    """
    digests = []
    for name in names:
        path = folder / name
        digests.append(_digest_folder(path) if path.is_dir() else _digest_file(path))
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:DIGITS]


def _digest_file(path: Path) -> str:
    status = path.stat()
    return _read_digest(path, (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))


@lru_cache(maxsize=256)
def _read_digest(path: Path, state: tuple[int, ...]) -> str:
    """Return the digest of a file in this state: its size, when it and its entry last changed, and its number.

    That of a large one is computed once for every process of a machine.
    """

    def compute() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]

    if state[0] < REMEMBERED:
        return compute()
    remembered = path.with_name(f".{path.name}.digest")

    def load() -> str | None:
        with suppress(OSError, ValueError, KeyError, TypeError):  # none, one that is damaged, one of an earlier state
            saved = json.loads(remembered.read_bytes())
            return str(saved["digest"]) if saved["state"] == list(state) else None
        return None

    return load_or_compute(
        remembered,
        load,
        compute,
        lambda file, digest: file.write(json.dumps({"state": state, "digest": digest}).encode()),
    )


def _digest_folder(path: Path) -> str:
    digest = hashlib.sha256()
    for name, size in sorted(_list_files(path, "")):
        digest.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:DIGITS]


def _list_files(folder: Path | os.DirEntry[str], above: str) -> Iterator[tuple[str, int]]:
    """Yield the path and the size in bytes of every file below a folder, but for hidden ones and INDEX."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == INDEX:
                continue
            if entry.is_dir():
                yield from _list_files(entry, f"{above}{entry.name}/")
            else:
                yield f"{above}{entry.name}", entry.stat().st_size
