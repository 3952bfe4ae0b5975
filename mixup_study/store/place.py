"""Where results are kept: a folder or a bucket, and how it is named without its secrets."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote

import pyarrow as pa
from pyarrow import fs

from mixup_study.errors import InputError
from mixup_study.files import is_disk_full

HIDDEN = "…"
RETRY_SECONDS = 20
"""For which a request to Google's storage is tried again."""
S3_ATTEMPTS = 10
"""Of a request to S3, with pauses of 25 s in all; those that the network swallows take 3 s each as well."""
_S3_OPTIONS = frozenset(
    {"region", "scheme", "endpoint_override", "allow_bucket_creation", "allow_bucket_deletion", "allow_delayed_open"}
)
"""Options of a URL that S3FileSystem keeps in pickle too; ``tls_verify_certificates``, for one, would be lost."""
_USER = re.compile(r"(?<=://)[^@]*:.*(?=@)", re.DOTALL)
_OPTION = re.compile(r"(?i)(?<=[?&])([^=&]*(?:secret|password|token|key|sig)[^=&]*=)([^&]+)")


class StorageError(InputError, OSError):
    """A file of the results could not be written or listed; one line that names the place and the reason."""


def absolute_folder(path: str | Path) -> Path:
    """Return the absolute path of a folder, without ``..``: what is above a link is above what that leads to.

    Raises RuntimeError for ~someone whom nobody knows.
    """
    folder = Path(path).expanduser().absolute()
    return folder.resolve() if ".." in folder.parts else folder


def without_secrets(location: str) -> str:
    """Return ``location`` as it may be shown: of a URL, without password and secret options."""
    if "://" not in location:
        return location
    return _OPTION.sub(rf"\1{HIDDEN}", _USER.sub(HIDDEN, location))


@dataclass(frozen=True)
class Place:
    """A folder of a file system, local or not."""

    location: str = field(repr=False)
    """The absolute path or the URL, secrets included: what opens it again."""
    fs: fs.FileSystem
    root: str
    """Its path within ``fs``, which those of its files begin with."""
    option: str
    """The option of the command line that named it."""

    @classmethod
    def of(cls, location: str, option: str = "--results") -> Place:
        """Open a path, or a URL that pyarrow.fs knows. Raises InputError for what names no file system."""
        if not location:
            raise InputError(f"{option}: expected a folder or URL")
        shown = without_secrets(location)
        try:
            if "://" in location:
                system, root = fs.FileSystem.from_uri(_limit_retries(location))
                system = _lengthen_retries(system, location)
            else:
                system, root = fs.LocalFileSystem(), str(absolute_folder(location))
        except (pa.ArrowException, OSError, RuntimeError) as error:  # the last for ~someone whom nobody knows
            reason = _reason(error, location)
            raise InputError(f"{option} {shown}: {reason}; expected a folder or URL") from None
        if not root.strip("/"):
            raise InputError(f"{option} {shown}: expected a folder or bucket in the URL")
        return cls(location if "://" in location else root, system, root, option)

    @property
    def shown(self) -> str:
        """Return the location as messages name it, without secrets."""
        return without_secrets(self.location)

    def shown_path(self, path: str) -> str:
        """Return a file's path as messages name it: within a bucket, its URL without secrets and options."""
        if self.local:
            return path
        return f"{self.shown.partition('?')[0].rstrip('/')}{path.removeprefix(self.root)}"

    @property
    def local(self) -> bool:
        """Return whether it is a folder of this machine's own file system."""
        return isinstance(self.fs, fs.LocalFileSystem)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Raise StorageError for an OSError from within: files cannot be listed or read."""
        try:
            yield
        except StorageError:
            raise
        except (OSError, pa.ArrowException) as error:
            _raise_unless_storage(error)
            reason = _reason(error, self.location)
            message = f"{self.option} {self.shown}: cannot be read: {reason}; expected a folder or URL"
            raise StorageError(message) from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Raise StorageError for an OSError from within: a file cannot be written or deleted."""
        try:
            yield
        except StorageError:
            raise
        except (OSError, pa.ArrowException) as error:
            _raise_unless_storage(error)
            reason = f"cannot be written to: {_reason(error, self.location)}"
            if is_disk_full(error):
                reason += "; the disk is full: free space, then run the same command again, which goes on from here"
            raise StorageError(f"{self.option} {self.shown}: {reason}") from None

    def check_inside(self, path: str) -> None:
        """Raise StorageError for a file that a symbolic link leads to out of the results, another's perhaps."""
        if self.local and not Path(path).resolve().is_relative_to(Path(self.root).resolve()):
            raise StorageError(
                f"{path}: a symbolic link leads out of the results, to {Path(path).resolve()}; expected a file in"
                f" {self.root}"
            )

    def list_files(self, folder: str) -> list[fs.FileInfo]:
        """Return the files that stand in a folder of its file system, none where there is no such folder.

        Raises OSError; see ``reading`` and ``writing``.
        """
        selector = fs.FileSelector(folder, allow_not_found=True)
        try:
            entries = self.fs.get_file_info(selector)
        except FileNotFoundError:  # Arrow tripped over a folder that was created while it looked
            entries = self.fs.get_file_info(selector)
        return [entry for entry in entries if entry.type == fs.FileType.File]

    def exists(self, path: str) -> bool:
        """Return whether there is such a file. Raises StorageError."""
        with self.reading():
            return bool(self.fs.get_file_info(path).type == fs.FileType.File)

    def read(self, path: str) -> bytes | None:
        """Return what a file holds, None where there is none. Raises StorageError."""
        if not self.exists(path):
            return None
        with self.reading(), self.fs.open_input_file(path) as file:  # a stream would ask a bucket for parts of 256 KiB
            content: bytes = file.read()
        return content

    def read_start(self, path: str, size: int) -> bytes | None:
        """Return the first ``size`` bytes of a file, or all; None where there is none. Raises StorageError."""
        if not self.exists(path):
            return None
        with self.reading():
            try:
                with self.fs.open_input_file(path) as file:
                    content: bytes = file.read(size)
            except FileNotFoundError:  # removed since
                return None
        return content

    def write(self, path: str, content: bytes | pa.Buffer) -> None:
        """Write a file, whole or not at all. Raises StorageError."""
        with self.writing():
            self._write(path, content)

    def _write(self, path: str, content: bytes | pa.Buffer) -> None:
        folder, _, name = path.rpartition("/")
        self.fs.create_dir(folder, recursive=True)
        if not self.local:
            with self.fs.open_output_stream(path) as stream:  # appears when it is closed
                stream.write(content)
            return
        part = Path(folder, f".{name}.{uuid.uuid4().hex}")
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def remove(self, path: str) -> None:
        """Remove a file, and the parts of it that writers left who were killed, as far as that is possible."""
        with contextlib.suppress(OSError):
            self.fs.delete_file(path)
        if self.local:
            folder, _, name = path.rpartition("/")
            for part in Path(folder).glob(f".{glob.escape(name)}.*"):
                with contextlib.suppress(OSError):
                    part.unlink()

    def check_readable(self) -> None:
        """Raise StorageError for a file where a folder belongs, and for a bucket that does not exist."""
        with self.reading():
            if self.fs.get_file_info(self.root).type == fs.FileType.File:
                raise NotADirectoryError("it is a file")
            bucket = self.root.split("/")[0]
            if self.fs.type_name == "s3" and self.fs.get_file_info(bucket).type == fs.FileType.NotFound:
                raise FileNotFoundError(f"there is no bucket {bucket}")


def _limit_retries(location: str) -> str:
    """Return a URL with a limit of the time for which pyarrow tries Google's storage again: 15 minutes by default."""
    if not location.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in location:
        return location
    return f"{location}{'&' if '?' in location else '?'}retry_limit_seconds={RETRY_SECONDS}"


def _lengthen_retries(system: fs.FileSystem, location: str) -> fs.FileSystem:
    """Return S3's file system as one that outlasts a server that is started again: a URL's gives up after 6 s."""
    options = parse_qs(location.partition("?")[2], keep_blank_values=True)
    if not isinstance(system, fs.S3FileSystem) or not options.keys() <= _S3_OPTIONS:
        return system
    _, (settings,) = system.__reduce__()  # what pickle takes: nothing else says what pyarrow read in the URL
    return fs.S3FileSystem(**settings, retry_strategy=fs.AwsDefaultS3RetryStrategy(max_attempts=S3_ATTEMPTS))


def _raise_unless_storage(error: Exception) -> None:
    """Raise an exception again that tells of what a file holds, not of its file system.

    What pyarrow has no kind for, a login that fails at Azure for one, is of its general kind and no OSError.
    """
    if not isinstance(error, OSError) and type(error) is not pa.ArrowException:
        raise error


def _reason(error: Exception, location: str) -> str:
    """Return what an error says on one line, without the secrets of ``location``."""
    text = str(error).replace(location, without_secrets(location))
    for found in (*_USER.findall(location), *(secret for _, secret in _OPTION.findall(location))):
        password = found.partition(":")[2] or found
        for secret in (found, password, unquote(password)):
            text = text.replace(secret, HIDDEN)
    return " ".join(text.split())
