"""The table of a study while its trials are trained, as a terminal shows it below them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from mixup_study.analysis.findings import Findings
from mixup_study.store.place import StorageError
from mixup_study.store.store import ResultStore
from mixup_study.study.study import Study
from mixup_study.views.render import render
from mixup_study.views.study_table import study_sheet

SHARE = 0.02
"""Of the time of the process that schedules, what reading the results again may take."""


class GrowingTable:
    """A study's table of what is recorded so far, without caption and published numbers."""

    def __init__(self, study: Study, store: ResultStore, clock: Callable[[], float] = time.monotonic) -> None:
        """Show the table of ``study`` from what ``store`` holds; ``clock`` returns seconds."""
        self._study = replace(study, published=())
        self._store = store
        self._clock = clock
        self._due = clock()
        self.lines: list[str] = []
        """As it was when it was last read; nothing before."""

    def update(self) -> None:
        """Read the results again, unless that was done a moment ago; where they cannot be read, keep the table."""
        begun = self._clock()
        if begun < self._due:
            return
        try:
            self._store.refresh()
            sheet = study_sheet(Findings.read(self._study, self._store, ""))
        except StorageError:  # the process that trains tells of it
            return
        finally:
            self._due = self._clock() + (self._clock() - begun) / SHARE
        self.lines = render(replace(sheet, title="", notes=""), "text").splitlines()
