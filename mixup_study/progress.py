"""How a run shows its progress: a line per finished trial, and on a terminal those under way below."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from mixup_study.analysis.efficiency import SlotTime
from mixup_study.analysis.remaining import Remaining, RemainingTime
from mixup_study.cluster.interrupt import print_now
from mixup_study.study.labels import count_text, headline_text
from mixup_study.study.plan import Job, Plan
from mixup_study.views.growing_table import GrowingTable

SHOWN = 20
"""Trials under way that are listed at most; a pack may hold hundreds."""
FRAME = 4
"""Lines of a terminal that the view leaves beside the trials and the table: the bar, and room for a line that ends."""
COUNTED_PER_SECOND = 20_000
"""Trials that are looked at in a second, at most, to work out how long the run goes on: that takes some 2 % of it."""


def counts_text(plan: Plan, done: Collection[str], retrained: Collection[str]) -> str:
    """Return how many trials of a plan are done and left, in one line.

    ``retrained`` are those among the left ones that have finished before, but kept no model.
    """
    left = plan.list_left(done)
    text = f"{count_text(plan.expected, 'trial')}: {plan.expected - len(left)} done already, {len(left)} to run"
    if plan.needed and left:
        evaluations = sum(bool(trial.needs) for trial in left)
        models = sum(trial.trial_id in plan.needed for trial in left)
        others = len(left) - evaluations - models
        parts = [
            f"{count_text(models, 'model')} to train",
            count_text(evaluations, "evaluation"),
            count_text(others, "other trial") if others else "",
        ]
        text += f": {', '.join(filter(None, parts))}"
    if retrained:
        ends = "kept no model and trains again" if len(retrained) == 1 else "kept no models and train again"
        text += f"; {count_text(len(retrained), 'finished trial')} {ends}"
    return text


@dataclass
class JobProgress:
    """How far a job is: all of its trials have trained so many epochs, and one says how it is doing."""

    job: Job
    epoch: int = 0
    telling: str = ""
    """trial_id of the one that ``headline`` is of."""
    headline: float | None = None


class RunProgress:
    """Follows the trials of a run and shows them on ``console``; a Listener."""

    def __init__(
        self,
        console: Console,
        plan: Plan,
        done: Collection[str],
        remaining_time: RemainingTime | None = None,
        clock: Callable[[], float] = time.monotonic,
        table: GrowingTable | None = None,
        slots: int = 1,
    ) -> None:
        """Follow the trials of ``plan`` but for those ``done``.

        ``remaining_time`` is that of one slot without records where it is left out; ``clock`` returns seconds. A
        terminal that is high enough shows ``table`` too. The run begins with so many ``slots``.
        """
        self._console = console
        self._plan = plan
        self._done_before = plan.expected - len(plan.list_left(done))
        self._done = set(done)
        self._evaluations = [trial for trial in plan.trials.values() if trial.needs and trial.trial_id not in done]
        self._jobs: dict[str, JobProgress] = {}
        """By trial_id, of every trial that was ever started."""
        self._running: dict[str, None] = {}
        """trial_ids of the trials under way, in the order of their starts."""
        self._table = table
        self._clock = clock
        self._begun = clock()
        self._slots = slots
        self._slot_time = SlotTime(slots, self._begun)
        self._remaining_time = RemainingTime(1, {}, {}) if remaining_time is None else remaining_time
        self._remaining: Remaining | None = None
        self._counted_at = self._count_at = self._begun
        self._notice = ""
        """What the view shows below the trials."""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task = self._bar.add_task("trials", total=self.total, left="")
        self._live = Live(get_renderable=self.view, console=console, refresh_per_second=2, transient=True)
        self._ended = 0
        self._stopped: set[str] = set()
        self.train_seconds = 0.0
        self.failures: dict[str, str] = {}
        """By trial_id, what ended the trials that failed."""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    @property
    def total(self) -> int:
        """Return how many trials the run has to train, as far as can be known."""
        return self._plan.expected - self._done_before

    @property
    def done(self) -> Collection[str]:
        """Return the trial_ids of the trials that are done, those from before the run included."""
        return self._done

    @property
    def completed(self) -> int:
        """Return how many trials have ended, those that were stopped and do not go on included."""
        return self._ended + len(self._stopped)

    @property
    def seconds(self) -> float:
        """Return the wall seconds since the run began to schedule."""
        return self._clock() - self._begun

    @property
    def slot_time(self) -> SlotTime:
        """Return how many slots there were since the run began to schedule, and for how long."""
        self._slot_time.advance(self._clock())
        return self._slot_time

    @property
    def log_names(self) -> dict[str, str]:
        """Return by trial_id the log that each trial was to be kept in, of those that started."""
        return {trial_id: progress.job.name for trial_id, progress in self._jobs.items()}

    def started(self, job: Job, trial_ids: Sequence[str]) -> None:
        """Show the trials of a job among the running ones."""
        progress = JobProgress(job)
        self._jobs.update(dict.fromkeys(job.trial_ids, progress))
        self._running.update(dict.fromkeys(trial_ids))
        self._stopped.difference_update(trial_ids)
        self._remaining_time.start(job, trial_ids, self._clock())
        self._count()

    def progressed(self, trial_id: str, epoch: int, headline: float | None) -> None:
        """Show a running job's epoch and how one of its trials is doing."""
        progress = self._jobs[trial_id]
        progress.epoch, progress.telling, progress.headline = epoch, trial_id, headline
        self._remaining_time.report(trial_id, epoch, self._clock())
        self._count()

    def restarted(self, trial_ids: Sequence[str], reason: str) -> None:
        """Print that the trials of a job start again."""
        others = f", with {len(trial_ids) - 1} more of its pack" if len(trial_ids) > 1 else ""
        for trial_id in trial_ids[:1]:
            self._remaining_time.pause(trial_id)
            self.warned(trial_id, f"starts again after {reason}{others}")

    def warned(self, trial_id: str, line: str) -> None:
        """Print a line about a trial."""
        self._console.print(f"{trial_id}  {self._plan.labels[trial_id]}: {line}", highlight=False, soft_wrap=True)

    def waited(self, line: str) -> None:
        """Print what the run waits for."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def resized(self, slots: int) -> None:
        """Print that there are so many slots from now on, and count on them."""
        self._console.print(f"on {count_text(slots, 'slot')} from now on, {self._slots} before", highlight=False)
        self._slots = slots
        self._slot_time.resize(slots, self._clock())
        self._remaining_time.resize(slots)
        self._count_at = self._clock()

    def interrupted(self, line: str) -> None:
        """Show that a signal asked the run to end: in the live view, which the next refresh does, or at once."""
        if self._live.is_started:
            self._notice = line
        else:
            print_now(line)

    def stopped(self, trial_id: str, train_seconds: float, headline: float | None) -> None:
        """Count a trial that was stopped after some of its epochs as completed, as long as it does not go on."""
        self._stopped.add(trial_id)
        self._remaining_time.pause(trial_id)
        self._end(trial_id, train_seconds, headline, f"stopped after epoch {self._jobs[trial_id].job.epochs}: ")

    def finished(self, trial_id: str, train_seconds: float, headline: float | None, error: str | None) -> None:
        """Count a trial as completed and print its line."""
        self._ended += 1
        if error is None:
            self._done.add(trial_id)
            if self._table is not None and self._console.is_terminal:
                self._table.update()
            self._remaining_time.end(self._plan.trials[trial_id], train_seconds)
        else:
            self.failures[trial_id] = error
        self._end(trial_id, train_seconds, headline, "" if error is None else f"failed: {error}")

    def _end(self, trial_id: str, train_seconds: float, headline: float | None, outcome: str) -> None:
        self._running.pop(trial_id, None)
        trial = self._plan.trials[trial_id]
        if trial_id not in self.failures:
            self.train_seconds += train_seconds * trial.processes
        self._bar.update(self._task, completed=self.completed, total=self.total)
        self._count()
        left = f", {left}" if (left := self._left_text()) else ""
        took = f"{train_seconds:.1f} s" if train_seconds else "recorded already"
        meaning = f"; {meaning}" if (meaning := self._plan.describe(trial_id)) else ""
        if headline is not None:
            outcome += headline_text(trial.task, headline)
        line = (
            f"[{self.completed}/{self.total}] {self.seconds:.0f} s{left}  {trial_id}  {self._plan.labels[trial_id]}:"
            f" {outcome}, {took}{meaning}"
        )
        if self._console.is_terminal:
            self._console.print(line, highlight=False, soft_wrap=True)
        else:
            print(line, file=self._console.file, flush=True)

    def _count(self) -> None:
        """Work out how long the run goes on, unless that was done a moment ago.

        Not called in the thread that draws the view: a plan may change meanwhile.
        """
        now = self._clock()
        if now < self._count_at:
            return
        never = self._plan.blocked(dict.fromkeys(self.failures, "failed")) if self.failures else {}
        left = self._plan.list_left({*self._done, *self.failures, *never})
        self._remaining, self._counted_at = self._remaining_time.count(left, now), now
        self._count_at = now + len(left) / COUNTED_PER_SECOND

    def _left_text(self) -> str:
        """Return how long the run goes on, in a few words; empty while that is unknown, and at its end."""
        if self._remaining is None or self.completed >= self.total:
            return ""
        return self._remaining.text(self._clock() - self._counted_at)

    def view(self) -> Group:
        """Return the bar, the trials under way and the table so far, as a terminal shows them."""
        table = Table.grid(padding=(0, 2))
        running = list(self._running)
        for trial_id in running[:SHOWN]:
            trial, progress = self._plan.trials[trial_id], self._jobs[trial_id]
            doing = (
                headline_text(trial.task, progress.headline)
                if progress.telling == trial_id and progress.headline is not None
                else ""
            )
            epoch = f"epoch {progress.epoch}/{trial.trained_epochs}" if trial.trained_epochs else ""
            table.add_row(trial_id, self._plan.labels[trial_id], epoch, doing)
        if len(running) > SHOWN:
            table.add_row("…", f"and {len(running) - SHOWN} more")
        waiting = [
            [needed.trial_id for needed in trial.needs if needed.trial_id not in self._done]
            for trial in self._evaluations
            if trial.trial_id not in self._jobs
        ]
        if count := sum(map(bool, waiting)):
            models = len({needed for needed_ids in waiting for needed in needed_ids})
            table.add_row("", f"{count_text(count, 'evaluation')} waiting for {count_text(models, 'model')}")
        if self._notice:
            table.add_row("", self._notice)
        self._bar.update(self._task, description=f"trials on {count_text(self._slots, 'slot')}", left=self._left_text())
        lines = [] if self._table is None else self._table.lines
        if not lines or len(lines) + table.row_count + FRAME > self._console.height:
            return Group(self._bar, table)
        return Group(self._bar, table, Text("\n".join(["", *lines]), no_wrap=True))
