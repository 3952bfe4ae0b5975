"""What Prometheus can ask of a running study: gauges that Ray exports and that end with what they describe.

A training process shows its own trials, the driver the study as a whole. Prometheus sees the names below with ``ray_``
in front.
"""

from __future__ import annotations

import threading
import time
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self, get_args

from ray.util import metrics as ray_metrics

from mixup_study.catalogue import CATALOGUE
from mixup_study.cluster.assignment import Assignment
from mixup_study.study.plan import Job, Plan

REFRESH_SECONDS = 5.0
"""Every gauge is set again so often. Ray's exporter passes a value on once, every 10 s, and Ray's agent drops a gauge
that was not passed on for 20 s: what is set no more ends by itself."""

State = Literal["pending", "running", "done", "failed"]
Sample = tuple[str, Mapping[str, str], float]
"""Name, labels and value of a gauge."""

STUDY = {
    "mixup_study_trials": "Trials of the study by arm and state: pending, running, done or failed",
    "mixup_study_progress_ratio": "Part of all epochs of the study that are trained; a finished trial counts as whole",
}
"""What the driver shows of a study, and what it means."""

WAITED = {
    "mixup_study_trial_wait_seconds": "Seconds that a running trial waited for its slot",
    "mixup_study_trial_retries": "Times that a running trial started again",
}
"""What the driver shows of each running trial."""

RETRIES = "mixup_study_retries"
"""A counter, so that it outlives the trials; Prometheus sees it with ``_total`` at the end."""

EPOCH = {
    "epoch": ("mixup_study_trial_epoch", "Epochs that the trial has trained"),
    "lr": ("mixup_study_trial_learning_rate", "Learning rate of the last epoch"),
}
"""What a training process shows of the columns of a trial's last epoch that every task has."""

PACE = {
    "mixup_study_trial_epoch_seconds": "Wall seconds of the last epoch, its test included; a pack's trials share it",
    "mixup_study_trial_examples_per_second": "Training examples of the last epoch by its wall seconds",
    "mixup_study_trial_checkpoint_seconds": "Seconds that the last checkpoint took; of a pack's, the trial's share",
    "mixup_study_trial_checkpoint_bytes": "Size of the last checkpoint; of a pack's, the trial's share",
}
"""What a training process shows of how fast a trial trains."""


def _epoch_gauges() -> dict[str, tuple[str, str]]:
    """Return the name and the meaning of the gauge of each column of an epoch, those of all tasks' curves included."""
    curves = {
        name: (f"mixup_study_trial_{curve.gauge}", curve.description)
        for name, curve in CATALOGUE.curves.items()
        if curve.gauge is not None
    }
    return EPOCH | curves


def _descriptions() -> dict[str, str]:
    return {**STUDY, **WAITED, **dict(_epoch_gauges().values()), **PACE}


def label(text: str) -> str:
    """Return ``text`` in ASCII, which is all that Ray's exporter takes: ``mixup, α=1`` becomes ``mixup, alpha=1``."""
    signs = []
    for sign in unicodedata.normalize("NFKD", text):
        greek, _, letter = unicodedata.name(sign, "").partition(" LETTER ")
        if greek.startswith("GREEK") and letter:
            signs.append(letter.lower())
        elif not unicodedata.combining(sign):
            signs.append(sign.encode("ascii", "backslashreplace").decode())
    return "".join(signs)


class _Gauges(ABC):
    """Gauges of this process, shown as long as the block lasts; the last values are shown once more at its end."""

    def __init__(self) -> None:
        self._gauges: dict[str, ray_metrics.Gauge] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._show()

    @abstractmethod
    def _samples(self) -> Iterator[Sample]:
        """Yield what is to be shown now."""

    def _refresh(self) -> None:
        while not self._ended.wait(REFRESH_SECONDS):
            self._show()

    def _show(self) -> None:
        with self._lock:
            samples = list(self._samples())
        for name, labels, value in samples:
            if name not in self._gauges:
                self._gauges[name] = ray_metrics.Gauge(name, _descriptions()[name], tuple(labels))
            self._gauges[name].set(value, tags=dict(labels))


class TrialMetrics(_Gauges):
    """How the trials that this process trains are doing; the Monitor of a process that Ray started."""

    def __init__(self, assignment: Assignment) -> None:
        """Show nothing of a trial before its first epoch ends."""
        super().__init__()
        self._share = len(assignment.trials)
        self._labels = {
            trial_id: {"study": assignment.study, "arm": label(assignment.arms[trial_id]), "trial_id": trial_id}
            for trial_id in assignment.trials
        }
        self._rows: dict[str, tuple[Mapping[str, Any], int]] = {}
        self._checkpoint: tuple[float, int] | None = None

    def note_epoch(self, trial_id: str, row: Mapping[str, Any], examples: int) -> None:
        """Take note of a trial's last epoch, and of the training examples that it saw."""
        with self._lock:
            self._rows[trial_id] = row, examples

    def note_checkpoint(self, seconds: float, size: int) -> None:
        """Take note of what a checkpoint of all trials took, in seconds and bytes."""
        with self._lock:
            self._checkpoint = seconds / self._share, size // self._share

    def _samples(self) -> Iterator[Sample]:
        for trial_id, (row, examples) in self._rows.items():
            labels = self._labels[trial_id]
            for column, (name, _) in _epoch_gauges().items():
                if column in row:
                    yield name, labels, float(row[column])
            wall = row["seconds"] * self._share
            yield "mixup_study_trial_epoch_seconds", labels, wall
            yield "mixup_study_trial_examples_per_second", labels, examples / wall
            if self._checkpoint is not None:
                yield "mixup_study_trial_checkpoint_seconds", labels, self._checkpoint[0]
                yield "mixup_study_trial_checkpoint_bytes", labels, float(self._checkpoint[1])


class StudyMetrics(_Gauges):
    """How a study is doing, as its driver sees it; a Listener of its trials."""

    def __init__(self, plan: Plan, done: Collection[str]) -> None:
        """Show the study of ``plan``; the trials whose trial_ids are not among ``done`` are yet to be trained."""
        super().__init__()
        self._study = plan.study
        self._plan = plan
        self._done = done
        self._arms: dict[str, str] = {}
        self._job_of: dict[str, Job] = {}
        self._states: dict[str, State] = {}
        self._counts: dict[tuple[str, State], int] = {}
        self._epochs: dict[str, int] = {}
        self._retries: Counter[str] = Counter()
        self._waiting_since: dict[str, float] = {}
        self._waited: dict[str, float] = {}
        self._counter = ray_metrics.Counter(RETRIES, "Trials that started again", ("study", "arm"))
        self._add_trials()

    def _add_trials(self) -> None:
        """Take up the trials that the plan has come to know."""
        for trial_id in islice(self._plan.trials, len(self._states), None):
            state: State = "done" if trial_id in self._done else "pending"
            arm = self._arms[trial_id] = label(self._plan.arms[trial_id])
            for any_state in get_args(State):
                self._counts.setdefault((arm, any_state), 0)
            self._states[trial_id] = state
            self._counts[arm, state] += 1
            self._waiting_since[trial_id] = time.monotonic()

    def started(self, job: Job, trial_ids: Sequence[str]) -> None:
        """Show that the trials of a job run."""
        with self._lock:
            self._add_trials()
            for trial_id in trial_ids:
                self._job_of[trial_id] = job
                self._move(trial_id, "running")
                self._waited[trial_id] = time.monotonic() - self._waiting_since[trial_id]

    def progressed(self, trial_id: str, epoch: int, headline: float | None) -> None:
        """Show how far a trial is, and with it all of its job, which train side by side."""
        with self._lock:
            self._epochs[self._job_of[trial_id].name] = epoch

    def restarted(self, trial_ids: Sequence[str], reason: str) -> None:
        """Show that the trials of a job wait for a slot again."""
        with self._lock:
            for trial_id in trial_ids:
                self._move(trial_id, "pending")
                self._retries[trial_id] += 1
                self._waiting_since[trial_id] = time.monotonic()
                self._counter.inc(tags={"study": self._study, "arm": self._arms[trial_id]})

    def warned(self, trial_id: str, line: str) -> None:
        """Show nothing of a warning."""

    def waited(self, line: str) -> None:
        """Show nothing: that no trial runs is seen."""

    def resized(self, slots: int) -> None:
        """Show nothing: Ray shows its nodes itself."""

    def interrupted(self, line: str) -> None:
        """Show nothing of a signal."""

    def stopped(self, trial_id: str, train_seconds: float, headline: float | None) -> None:
        """Show that a trial is done, unless it is started again."""
        with self._lock:
            self._add_trials()
            self._move(trial_id, "done")

    def finished(self, trial_id: str, train_seconds: float, headline: float | None, error: str | None) -> None:
        """Show that a trial is done, or failed."""
        with self._lock:
            self._add_trials()
            self._move(trial_id, "done" if error is None else "failed")

    def _move(self, trial_id: str, state: State) -> None:
        arm = self._arms[trial_id]
        self._counts[arm, self._states[trial_id]] -= 1
        self._counts[arm, state] += 1
        self._states[trial_id] = state
        self._waited.pop(trial_id, None)

    def _samples(self) -> Iterator[Sample]:
        study = self._study
        for (arm, state), count in self._counts.items():
            yield "mixup_study_trials", {"study": study, "arm": arm, "state": state}, float(count)
        whole = float(sum(state in ("done", "failed") for state in self._states.values()))
        for trial_id, waited in self._waited.items():
            labels = {"study": study, "arm": self._arms[trial_id], "trial_id": trial_id}
            yield "mixup_study_trial_wait_seconds", labels, waited
            yield "mixup_study_trial_retries", labels, float(self._retries[trial_id])
            job = self._job_of[trial_id]
            whole += self._epochs.get(job.name, 0) / max(job.epochs, 1)
        yield "mixup_study_progress_ratio", {"study": study}, whole / self._plan.expected
