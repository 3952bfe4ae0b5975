"""Which runs are under way on the results, and what is asked of them: files that live as long as a run."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mixup_study.store.place import Place, StorageError
from mixup_study.study.study import Study

FOLDER = "runs"
POLL_SECONDS = 1.0
"""A run looks for a request this often in a folder of this machine."""
BUCKET_POLL_SECONDS = 10.0
"""The same elsewhere, where looking costs a request."""
SEEN_SECONDS = 60.0
"""A run writes its file again after so long, to show that it lives."""
STALE_SECONDS = 5 * SEEN_SECONDS
"""A run whose file is older is taken for dead, where its process is out of sight."""
_RUN, _STOP = ".json", ".stop"


@dataclass(frozen=True)
class RunEntry:
    """A run under way."""

    name: str
    """Its host and process, which its files are named by."""
    study: str
    profile: str
    file: str
    """Absolute path of the study file, where the run is."""
    overrides: Sequence[str]
    slots: int
    is_search: bool
    """Whether what it trains depends on what trials measure."""
    host: str
    pid: int
    process: str | None
    """Tells its process from others of that pid, in the sight of those with the same ``_sight``; None where unknown."""
    sight: str | None
    """Names the system, since its start, and the processes that it sees."""
    started_at: str
    """ISO 8601, in UTC; so is the next."""
    seen_at: str

    def is_alive(self) -> bool:
        """Return whether its process lives; of one out of sight, whether it has shown that lately."""
        if self.sight is not None and self.sight == _sight():
            return _process(self.pid) == self.process
        age = datetime.now(UTC) - datetime.fromisoformat(self.seen_at)
        return age.total_seconds() < STALE_SECONDS

    def __str__(self) -> str:
        return f"{self.name}: {self.study}, profile {self.profile}, since {self.started_at}"


@contextmanager
def announced(
    location: str, study: Study, file: Path, slots: int, stop: Callable[[str | None], bool]
) -> Iterator[None]:
    """Have the results show, during the block, that a run of ``study`` is under way; call ``stop`` when that is asked.

    ``stop`` is called in another thread with the trial_id of each trial that is to stop, and with None for the whole
    run, again until it returns True. What killed runs left is removed. Raises StorageError where the results cannot
    be written.
    """
    place = Place.of(location)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    host, pid = socket.gethostname(), os.getpid()
    entry = RunEntry(
        f"{host}-{pid}",
        study.name,
        study.profile,
        str(file.absolute()),
        study.overrides,
        slots,
        bool(study.searches),
        host,
        pid,
        _process(pid),
        _sight(),
        now,
        now,
    )
    for dead in _read_entries(place):
        if not dead.is_alive():
            _remove(place, dead.name)
    _remove(place, entry.name)
    _write(place, entry)
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(place, entry, stop, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        _remove(place, entry.name)


def _watch(place: Place, entry: RunEntry, stop: Callable[[str | None], bool], ended: threading.Event) -> None:
    interval = POLL_SECONDS if place.local else BUCKET_POLL_SECONDS
    answered: set[str] = set()
    waited = 0.0
    while not ended.wait(interval):
        waited += interval
        with suppress(StorageError):  # the next time may do
            for file, trial_id in _list_stops(place, entry.name).items():
                if file not in answered and stop(trial_id):
                    answered.add(file)
            if waited >= SEEN_SECONDS:
                waited = 0.0
                _write(place, replace(entry, seen_at=datetime.now(UTC).isoformat()))


def list_runs(location: str) -> list[RunEntry]:
    """Return the runs that are under way on the results, by name. Raises StorageError."""
    return [entry for entry in _read_entries(Place.of(location)) if entry.is_alive()]


def request_stop(location: str, run: RunEntry, trial_id: str | None = None) -> None:
    """Ask a run to end as after a signal, or to stop one of its trials. Raises StorageError."""
    place = Place.of(location)
    place.write(_path(place, run.name if trial_id is None else f"{run.name}.{trial_id}", _STOP), b"")


def _read_entries(place: Place) -> list[RunEntry]:
    with place.reading():
        files = place.list_files(f"{place.root}/{FOLDER}")
    entries = []
    for file in sorted(files, key=lambda file: file.base_name):
        if not file.base_name.endswith(_RUN) or file.base_name.startswith("."):
            continue
        with suppress(ValueError, TypeError):  # of another version, or no file of a run
            entries.append(RunEntry(**json.loads(place.read(file.path) or b"")))
    return entries


def _write(place: Place, entry: RunEntry) -> None:
    place.write(_path(place, entry.name, _RUN), json.dumps(asdict(entry)).encode())


def _remove(place: Place, name: str) -> None:
    place.remove(_path(place, name, _RUN))
    with suppress(StorageError):
        for file in _list_stops(place, name):
            place.remove(f"{place.root}/{FOLDER}/{file}")


def _list_stops(place: Place, name: str) -> dict[str, str | None]:
    """Return the requests to a run by their files: the trial_id that each is of, or None. Raises StorageError."""
    with place.reading():
        files = [file.base_name for file in place.list_files(f"{place.root}/{FOLDER}")]
    request = re.compile(rf"{re.escape(name)}(?:\.([0-9a-f]{{16}}))?{re.escape(_STOP)}")
    return {file: match[1] for file in files if (match := request.fullmatch(file))}


def _path(place: Place, name: str, suffix: str) -> str:
    return f"{place.root}/{FOLDER}/{name}{suffix}"


def _sight() -> str | None:
    """Return what processes share that see each other's; None where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _process(pid: int) -> str | None:
    """Return when a process was started, in the system's own count; None where there is none such."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *others = stat.rpartition(")")[2].split()
    return None if state in "ZX" else others[18]
