"""What a run shows of its progress, on a terminal and in a pipe."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from mixup_study.analysis.efficiency import efficiency_text
from mixup_study.analysis.remaining import RemainingTime
from mixup_study.progress import RunProgress
from mixup_study.store.store import ResultStore
from mixup_study.study.plan import GridPlan, Job
from mixup_study.study.study import Study
from mixup_study.study.trial import Trial
from mixup_study.views.growing_table import GrowingTable
from tests.fixtures import SMALL_STUDY, make_record

Loader = Callable[..., Study]
ERASE_LINE = "\x1b[2K"


@dataclass
class Following:
    """The progress of a run of six trials of 20 epochs on one slot, by a clock that stands."""

    study: Study
    terminal: bool = False
    store: ResultStore | None = None
    height: int = 60
    now: float = 0.0
    out: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        console = Console(file=self.out, width=150, height=self.height, force_terminal=self.terminal, color_system=None)
        table = None if self.store is None else GrowingTable(self.study, self.store, lambda: self.now)
        plan = GridPlan(self.study, 1)
        self.trials = list(plan.trials.values())
        self.progress = RunProgress(console, plan, (), RemainingTime(1, {}, {}), lambda: self.now, table)

    def train(self, trial: Trial, epochs: int, seconds: float) -> None:
        """Let a trial start, and end so many epochs."""
        self.progress.started(Job((trial,)), [trial.trial_id])
        for epoch in range(1, epochs + 1):
            self.now += seconds
            self.progress.progressed(trial.trial_id, epoch, 0.5)

    def end(self, trial: Trial, error: str | None = None) -> None:
        self.progress.finished(trial.trial_id, 40.0, 0.25, error)


@pytest.fixture
def follow(load: Loader) -> Callable[[bool], Following]:
    study = load(SMALL_STUDY, "trial.epochs=20")
    return lambda terminal: Following(study, terminal)


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").splitlines()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_finished_trial_leaves_a_line_that_says_how_long_the_run_goes_on(
    terminal: bool, follow: Callable[[bool], Following]
) -> None:
    run = follow(terminal)
    with run.progress:
        for trial in run.trials:
            run.train(trial, 20, 3.0)
            run.end(trial)
    lines = [line for line in plain(run.out.getvalue()) if line.startswith("[")]
    label = "label noise 0%, ERM, seed=0"
    assert lines[0] == f"[1/6] 60 s, about 5 min left  {run.trials[0].trial_id}  {label}: test error 25.0%, 40.0 s"
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "[2/6] 120 s, about 4 min left",
        "[3/6] 180 s, about 3 min left",
        "[4/6] 240 s, about 2 min left",
        "[5/6] 300 s, about 1 min left",
        "[6/6] 360 s",
    ]


def test_what_is_unknown_is_not_told(follow: Callable[[bool], Following]) -> None:
    run = follow(False)
    run.train(run.trials[0], 0, 3.0)
    run.now = 60.0
    run.end(run.trials[0], "RuntimeError: a cable came loose")
    assert run.out.getvalue().startswith("[1/6] 60 s  ")


def view(run: Following) -> str:
    console = Console(file=io.StringIO(), width=150)
    with console.capture() as capture:
        console.print(run.progress.view())
    return capture.get()


def test_the_live_view_counts_epochs_down_between_two_reports(follow: Callable[[bool], Following]) -> None:
    run = follow(True)
    assert " left" not in view(run)
    run.train(run.trials[0], 2, 30.0)
    assert "about 59 min left" in view(run)
    run.now += 300
    assert "about 54 min left" in view(run)


def test_the_live_view_leaves_nothing_of_the_trials_under_way(follow: Callable[[bool], Following]) -> None:
    run = follow(True)
    with run.progress:
        run.train(run.trials[0], 3, 1.0)
        run.progress._live.refresh()
        assert "epoch 3/20" in run.out.getvalue()
    assert "epoch" not in run.out.getvalue().rpartition(ERASE_LINE)[2]


def test_a_signal_is_told_in_the_live_view_and_elsewhere_at_once(
    follow: Callable[[bool], Following], capfd: pytest.CaptureFixture[str]
) -> None:
    for terminal in (True, False):
        run = follow(terminal)
        with run.progress:
            run.progress.interrupted("interrupted: trials have 8 s to save")
            assert ("interrupted: trials have 8 s to save" in view(run)) is terminal
            assert capfd.readouterr().err == ("" if terminal else "interrupted: trials have 8 s to save\n")


def train_and_record(run: Following) -> list[str]:
    """Have every trial end and be recorded; return the rows of the table that a terminal shows after each end."""
    assert run.store is not None
    rows = []
    for trial in run.trials:
        run.train(trial, 20, 3.0)
        run.store.write(make_record(trial, measurements={"test_error_last": 0.25}))
        run.end(trial)
        rows += [line for line in view(run).splitlines() if re.match(r" (0%)? +(ERM|mixup) ", line)]
    return rows


def test_a_terminal_shows_the_table_grow(load: Loader, store: ResultStore) -> None:
    rows = train_and_record(Following(load(SMALL_STUDY, "trial.epochs=20"), terminal=True, store=store))
    assert len(rows) == 12
    assert rows[0].split() == ["0%", "ERM", "25.0", "1/2"]
    assert rows[1].split() == ["mixup", "missing", "–", "0/4"]
    assert rows[-1].split() == ["mixup", "α=1", "25.0", "±", "0.0", "4/4"]


@pytest.mark.parametrize(("terminal", "height"), [(True, 7), (False, 60)])
def test_a_pipe_shows_no_table_and_neither_does_a_low_terminal(
    terminal: bool, height: int, load: Loader, store: ResultStore
) -> None:
    run = Following(load(SMALL_STUDY, "trial.epochs=20"), terminal=terminal, store=store, height=height)
    assert train_and_record(run) == []


def test_a_table_that_takes_long_to_read_is_read_seldom(load: Loader, store: ResultStore) -> None:
    ticks = itertools.count()
    table = GrowingTable(load(SMALL_STUDY), store, lambda: float(next(ticks)))  # a second passes between two looks
    reads = 0
    while next(ticks) < 1000:
        table.lines = []
        table.update()
        reads += bool(table.lines)
    assert 2 <= reads <= 0.02 * 1000 + 2


@pytest.mark.parametrize("terminal", [False, True])
def test_slots_that_join_are_shown_and_counted_from_then_on(
    terminal: bool, follow: Callable[[bool], Following]
) -> None:
    run = follow(terminal)
    with run.progress:
        run.train(run.trials[0], 20, 3.0)
        run.end(run.trials[0])
        assert "trials on 1 slot " in view(run)
        assert "about 5 min left" in view(run)
        run.progress.resized(5)
        assert "trials on 5 slots " in view(run)
        assert "on 5 slots from now on, 1 before" in plain(run.out.getvalue())
        run.train(run.trials[1], 10, 3.0)
        assert "about 1 min left" in view(run)
    assert efficiency_text(run.progress.train_seconds, run.progress.slot_time) == (
        "40.0 s of training in 1 to 5 slots over 1 min 30 s = 19%"  # of 60 s and 5 x 30 s
    )


def test_the_efficiency_of_slots_that_stay(follow: Callable[[bool], Following]) -> None:
    run = follow(False)
    run.train(run.trials[0], 20, 3.0)
    run.end(run.trials[0])
    text = efficiency_text(run.progress.train_seconds, run.progress.slot_time)
    assert text == "40.0 s of training in 1 slot x 1 min 0 s = 67%"
