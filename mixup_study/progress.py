"""How a run shows its progress: live on a terminal, a line per finished trial elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from mixup_study.study.labels import headline_text
from mixup_study.study.trial import Trial

SHOWN = 20
"""Trials under way that are listed at most; a pack may hold hundreds."""


class RunProgress:
    """Follows the trials of a run and shows them on ``console``."""

    def __init__(self, console: Console, labels: Mapping[str, str], trials: Mapping[str, Trial]) -> None:
        """Follow ``trials`` by trial_id; ``labels`` says in a few words what each is."""
        self._console = console
        self._labels = labels
        self._trials = trials
        self._running: dict[str, tuple[int, float | None]] = {}
        self._begun = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("remaining"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("trials", total=len(trials))
        self._live = Live(get_renderable=self._view, console=console, refresh_per_second=2)
        self.completed = 0
        self.train_seconds = 0.0
        self.failures: dict[str, str] = {}

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
    def seconds(self) -> float:
        """Return the wall seconds since the run began to schedule."""
        return time.monotonic() - self._begun

    def started(self, trial_id: str) -> None:
        """Show a trial among the running ones."""
        self._running[trial_id] = (0, None)

    def progressed(self, trial_id: str, epoch: int, headline: float | None) -> None:
        """Show a running trial's epoch and how it is doing."""
        self._running[trial_id] = (epoch, headline)

    def restarted(self, trial_ids: Sequence[str], reason: str) -> None:
        """Print that the trials of a job start again."""
        others = f", with {len(trial_ids) - 1} more of its pack" if len(trial_ids) > 1 else ""
        for trial_id in trial_ids[:1]:
            self.warned(trial_id, f"starts again after {reason}{others}")

    def warned(self, trial_id: str, line: str) -> None:
        """Print a line about a trial."""
        self._console.print(f"{trial_id}  {self._labels[trial_id]}: {line}", highlight=False, soft_wrap=True)

    def finished(self, trial_id: str, train_seconds: float, headline: float | None, error: str | None) -> None:
        """Count a trial as completed and, off a terminal, print its line."""
        self._running.pop(trial_id, None)
        self.completed += 1
        if error is None:
            self.train_seconds += train_seconds * self._trials[trial_id].workers
        else:
            self.failures[trial_id] = error
        self._bar.update(self._task, completed=self.completed)
        if not self._console.is_terminal:
            took = f"{train_seconds:.1f} s" if train_seconds else "recorded already"
            outcome = f"failed: {error}" if headline is None else headline_text(self._trials[trial_id].task, headline)
            print(
                f"[{self.completed}/{len(self._trials)}] {self.seconds:.0f} s  {trial_id}  {self._labels[trial_id]}:"
                f" {outcome}, {took}",
                flush=True,
            )

    def _view(self) -> Group:
        table = Table.grid(padding=(0, 2))
        running = list(self._running.items())
        for trial_id, (epoch, headline) in running[:SHOWN]:
            trial = self._trials[trial_id]
            doing = "" if headline is None else headline_text(trial.task, headline)
            table.add_row(trial_id, self._labels[trial_id], f"epoch {epoch}/{trial.epochs}", doing)
        if len(running) > SHOWN:
            table.add_row("…", f"and {len(running) - SHOWN} more")
        return Group(self._bar, table)
