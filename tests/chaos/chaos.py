"""Disturb what runs a study, at seeded random moments, run it again until it is done, and compare every number.

Usage: python -m tests.chaos [--kills N] [--minutes M] [--seed S] [--kinds KIND ...]

A study of a few short trials, a pack, evaluations of trained models and a search runs to its end, however often that
takes the same command; now and then it is a study of a group of two workers. Each command runs elsewhere: on a Ray of
its own of one CPU or two, on a cluster of two nodes, or without Ray, on one slot, two or four. When a study is done
while disturbances are left, it begins anew in another folder. Exit status 0: no trial was lost, none doubled, every
measurement of every epoch and every proposal equals an undisturbed run's, nothing was trained again that was
recorded, and no process, checkpoint or folder was left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import psutil

from tests.chaos.kinds import KINDS, Kind
from tests.chaos.places import RECONNECT_SECONDS, JoinedCluster, OwnRay, Place, ThisProcess
from tests.chaos.processes import (
    LEAVING_SECONDS,
    PATIENCE,
    describe_process,
    is_resource_tracker,
    is_running,
    list_descendants,
    list_session,
    wait_patiently,
)
from tests.chaos.studies import ChaosStudy, Expected, Faults, ResultChecker

COMMANDS = 60
"""Within which a study must end."""
ENDING_SECONDS = 60.0
"""Within which a command must end after a disturbance that ends it."""
EARLY_SHARE = 0.2
"""Of the disturbances, those that may come before anything is saved: while the command starts."""


@dataclass
class KindOutcome:
    """What a kind of disturbance did, and what came of it."""

    disturbances: int = 0
    tries: int = 0
    """Commands that it disturbed."""
    faults: Faults = field(default_factory=Faults)
    """Those found after it, and before another kind disturbed."""
    slowest_recovery: float = 0.0
    """Seconds until a trial was saved or recorded again."""


@dataclass
class Outcome:
    """What was done, and what came of it."""

    kinds: dict[str, KindOutcome] = field(default_factory=dict)
    studies: int = 0
    trials: int = 0
    commands: int = 0

    @property
    def disturbances(self) -> int:
        return sum(kind.disturbances for kind in self.kinds.values())

    @property
    def faults(self) -> list[str]:
        return [f"after {name}: {line}" for name, kind in self.kinds.items() for line in kind.faults.lines()]

    @property
    def good(self) -> bool:
        return self.studies > 0 and not self.faults

    def __str__(self) -> str:
        """Return a table of the kinds, in Markdown, between a line of the whole and the faults."""
        names = [field.name for field in fields(Faults)]
        headings = ["disturbed", "disturbances", "tries", *(name.replace("_", " ") for name in names)]
        rows = [
            [name, kind.disturbances, kind.tries, *(len(getattr(kind.faults, fault)) for fault in names)]
            for name, kind in self.kinds.items()
        ]
        totals = ["all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])]
        slowest = [kind.slowest_recovery for kind in self.kinds.values()]
        seconds = [f"{second:.0f} s" if second else "" for second in (*slowest, max(slowest))]
        table = [[*headings, "slowest recovery"], ["---", *["---:"] * len(headings)]]
        table += [[*row, second] for row, second in zip((*rows, totals), seconds, strict=True)]
        return "\n".join(
            [
                f"{self.disturbances} disturbances in {self.commands} commands, {self.trials} trials of"
                f" {self.studies} studies",
                *(f"| {' | '.join(map(str, row))} |" for row in table),
                *self.faults,
            ]
        )


@dataclass
class Recovery:
    """A disturbance that no trial has been saved after."""

    outcome: KindOutcome
    begun: float
    """Unix time, as is the next."""
    over: float
    """When it was over, and what it ended had ended."""


class Bag:
    """The kinds in random order, each as often as its weight says before any comes again."""

    def __init__(self, kinds: Sequence[Kind], random: random.Random) -> None:
        self._kinds = [kind for kind in kinds for _ in range(kind.weight)]
        self._random = random
        self._left: list[Kind] = []

    def draw(self, fits: Callable[[Kind], bool]) -> Kind | None:
        """Take the next kind that fits; None where none that is left does."""
        if not self._left:
            self._left = self._random.sample(self._kinds, len(self._kinds))
        kind = next(filter(fits, self._left), None)
        if kind is not None:
            self._left.remove(kind)
        return kind

    def holds(self, fits: Callable[[Kind], bool]) -> bool:
        """Return whether one that is left fits."""
        return any(map(fits, self._left))

    def put_back(self, kind: Kind) -> None:
        """Have a kind be the next that was not done."""
        self._left.insert(0, kind)


class Chaos:
    """Commands that train studies, and what disturbs them."""

    command: subprocess.Popen[bytes]
    process: psutil.Process
    """The same."""
    place: Place

    def __init__(self, folder: Path, seed: int, kinds: Sequence[Kind]) -> None:
        """Prepare; everything is written into ``folder``."""
        self.random = random.Random(seed)
        self.outcome = Outcome({kind.name: KindOutcome() for kind in kinds})
        self._folder = folder
        self._bag = Bag(kinds, self.random)
        self._wanted = 0
        self._begun = self._deadline = time.monotonic()
        self._places: list[Place] = [OwnRay(), JoinedCluster(), ThisProcess()]
        self._expected: dict[str, Expected] = {}
        self._results = folder
        self._recovering: list[Recovery] = []
        self._ending: list[tuple[str, psutil.Process]] = []
        """Processes that must end, and the kind of disturbance before."""
        self._last_kind = next(iter(self.outcome.kinds))

    def expect_end(self, processes: Collection[psutil.Process]) -> None:
        self._ending += [(self._last_kind, process) for process in processes]

    def run(self, disturbances: int, seconds: float) -> None:
        """Disturb studies so many times, or for so long, and let the last one end."""
        self._wanted, self._deadline = disturbances, time.monotonic() + seconds
        try:
            while self._goes_on:
                self._run_study()
        finally:
            self._end_all()

    @property
    def _goes_on(self) -> bool:
        """Return whether more disturbances come."""
        return self.outcome.disturbances < self._wanted and time.monotonic() < self._deadline

    def _run_study(self) -> None:
        """Run a study until it is done, disturbing it while disturbances are left."""
        kind = self._draw(lambda kind: True)
        assert kind is not None
        study = next(iter(kind.studies))
        file = study.write(self._folder)
        self._results = self._folder / f"results-{self.outcome.studies}"
        self._print(f"study {study.name}")
        if study.name not in self._expected:
            self._expected[study.name] = study.train_undisturbed(file, self._folder)
        checker = ResultChecker(self._results, self._expected[study.name])
        for _ in range(COMMANDS):
            kind = kind or self._draw(lambda kind: study in kind.studies)
            self._start_command(study, file, kind)
            self._disturb_command(study, kind)
            kind = None
            status = self._wait_for_end(PATIENCE * 2)
            is_done = status == 0
            traceback = ", with a traceback" if b"Traceback (most recent" in self._output.read_bytes() else ""
            self._print(f"command {self.outcome.commands} ended with status {status}{traceback}")
            self._add(checker.check(is_done))
            if is_done:
                break
        else:
            self._add(Faults(lost=[f"the study was not done after {COMMANDS} commands"]))
        self._note_recovery()
        self._recovering.clear()
        self.outcome.studies += 1
        self.outcome.trials += len(self._expected[study.name].numbers)
        self._add(Faults(left_behind=self._list_scratch()))
        self._check_ending()

    def _draw(self, fits: Callable[[Kind], bool]) -> Kind | None:
        """Return what disturbs next; None where enough has, and where nothing fits now."""
        return self._bag.draw(fits) if self._goes_on else None

    def _disturb_command(self, study: ChaosStudy, kind: Kind | None) -> None:
        """Disturb the command until it ends, or enough has been done, or what comes next is done elsewhere."""
        disturbed: set[str] = set()
        while kind is not None:
            if not self._wait_for_moment(kind.may_come_early):
                self._bag.put_back(kind)
                return
            if not self._disturb(kind):
                continue
            if kind.name not in disturbed:
                self.outcome.kinds[kind.name].tries += 1
                disturbed.add(kind.name)
            if kind.ends_command:
                return
            kind = self._draw(lambda kind: study in kind.studies and self.place.name in kind.places)
        if self._goes_on and self._bag.holds(lambda kind: study in kind.studies):
            self.command.terminate()

    def _disturb(self, kind: Kind) -> bool:
        """Disturb the command, wait for its end where that must come, and return whether there was anything to do."""
        self._note_recovery()
        begun, before = time.time(), self._last_kind
        self._last_kind = kind.name
        if not kind.disturb(self):
            self._last_kind = before
            return False
        outcome = self.outcome.kinds[kind.name]
        outcome.disturbances += 1
        self._print(kind.name)
        if kind.ends_command:
            self._wait_for_end(ENDING_SECONDS)
        self._recovering.append(Recovery(outcome, begun, time.time()))
        return True

    def _start_command(self, study: ChaosStudy, file: Path, kind: Kind | None) -> None:
        """Start the command that anyone would type again, where the next disturbance can be done."""
        fitting = [
            place
            for place in self._places
            if (kind is None or place.name in kind.places) and (study.workers == 1 or place.trains_groups)
        ]
        self.place = self.random.choice(fitting)
        command = [sys.executable, "-m", "mixup_study.run", str(file), "--results", str(self._results)]
        command += ["--data", str(self._folder / "data"), *self.place.prepare(self.random, study.workers)]
        self.outcome.commands += 1
        self._print(f"command {self.outcome.commands}: {' '.join(command[8:])}")
        with self._output.open("wb") as output:
            self.command = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        self.process = psutil.Process(self.command.pid)

    @property
    def _output(self) -> Path:
        """Return the file of what the last command printed."""
        return self._folder / f"output-{self.outcome.commands}"

    def _wait_for_moment(self, may_be_early: bool) -> bool:
        """Wait until a moment to disturb the command; return False where it ends before.

        Most come once a trial was saved or recorded after the last disturbance, so that the study goes on.
        """
        if may_be_early and self.random.random() < EARLY_SHARE:
            self._let_run(self.random.uniform(0, 10))
            return self.command.poll() is None
        begun = time.time()
        for _ in wait_patiently():
            if self.command.poll() is not None:
                return False
            if self._saved_at() > begun:
                self._note_recovery()
                self._let_run(self.random.uniform(0, 2))
                return self.command.poll() is None
        self._add(Faults(mismatches=[f"{self._output.name}: nothing was saved within {PATIENCE:.0f} s"]))
        self.command.kill()
        return False

    def _let_run(self, seconds: float) -> None:
        """Let the command go on for so long, or until it ends."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.command.wait(seconds)

    def _saved_at(self) -> float:
        """Return the Unix time when a trial was last saved or recorded; 0 where none was."""
        moments = [0.0]
        for pattern in ("checkpoints/*.checkpoint", "trials/*.parquet"):
            for file in self._results.glob(pattern):
                with contextlib.suppress(FileNotFoundError):  # removed in between
                    moments.append(file.stat().st_mtime)
        return max(moments)

    def _note_recovery(self) -> None:
        """Take note of how long ago the disturbances were after which a trial was saved or recorded again."""
        saved = self._saved_at()
        for recovery in list(self._recovering):
            if saved > recovery.over:
                seconds = saved - recovery.begun
                recovery.outcome.slowest_recovery = max(recovery.outcome.slowest_recovery, seconds)
                self._recovering.remove(recovery)

    def _wait_for_end(self, seconds: float) -> int:
        """Return the command's exit status; one that does not end in time is a fault, and is killed."""
        try:
            status = self.command.wait(seconds)
        except subprocess.TimeoutExpired:
            self._add(Faults(mismatches=[f"{self._output.name}: the command did not end within {seconds:.0f} s"]))
            self.command.kill()
            status = self.command.wait()
        self._ending += [(self._last_kind, process) for process in list_session(self.command.pid)]
        return status

    def _add(self, faults: Faults) -> None:
        """Take note of what is wrong after the last disturbance."""
        own = self.outcome.kinds[self._last_kind].faults
        for name, lines in vars(faults).items():
            getattr(own, name).extend(lines)
        for line in faults.lines():
            self._print(line)

    def _list_scratch(self) -> list[str]:
        """Return what the study's commands and their processes left in the folder of temporary files."""
        return sorted(path.name for path in Path(tempfile.gettempdir()).glob("mixup_study*"))

    def _check_ending(self) -> None:
        """Wait for the processes that must end, and note those that do not."""
        for _ in wait_patiently(LEAVING_SECONDS):
            self._ending = [(kind, process) for kind, process in self._ending if is_running(process)]
            if not self._ending:
                return
        for kind, process in self._ending:
            self.outcome.kinds[kind].faults.left_behind.append(describe_process(process))
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._ending.clear()

    def _end_all(self) -> None:
        """End the command and the cluster, and kill whatever of theirs is left."""
        if "command" in vars(self) and self.command.poll() is None:
            processes = list_session(self.command.pid)
            self.command.kill()
            self.command.wait()
            self._ending += [(self._last_kind, process) for process in processes]
        for place in self._places:
            place.close()
        own = list_descendants([psutil.Process()])
        self._ending += [(self._last_kind, process) for process in own if not is_resource_tracker(process)]
        self._check_ending()

    def _print(self, line: str) -> None:
        print(f"{time.monotonic() - self._begun:.0f} s: {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="disturbances in all (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="disturb no longer (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=[kind.name for kind in KINDS],
        metavar="KIND",
        help="by these alone, each as often",
    )
    options = parser.parse_args()
    kinds = [replace(kind, weight=1) for kind in KINDS if kind.name in (options.kinds or ())] or KINDS
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        temporary = Path(folder, "tmp")
        temporary.mkdir()
        os.environ |= {
            "TMPDIR": str(temporary),
            "RAY_TMPDIR": str(temporary),
            "RAY_gcs_rpc_server_reconnect_timeout_s": RECONNECT_SECONDS,
        }
        tempfile.tempdir = None  # to be looked up again
        chaos = Chaos(Path(folder), options.seed, kinds)
        try:
            chaos.run(options.kills, options.minutes * 60)
        finally:
            print(chaos.outcome, flush=True)
            if chaos.outcome.faults:
                for output in sorted(Path(folder).glob("output-*"))[-3:]:
                    print(f"== {output.name}\n{output.read_text(errors='replace')[-4000:]}")
    return 0 if chaos.outcome.good else 1
