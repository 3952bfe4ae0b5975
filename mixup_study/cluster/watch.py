"""Whether a run goes on, and what it waits for where it does not."""

from __future__ import annotations

import time
from collections.abc import Callable

from mixup_study.cluster.session import count_nodes
from mixup_study.study.document import Resources

CHECK_SECONDS = 5.0
"""The cluster is asked this often at most."""
PATIENCE_WITHOUT_SLOTS = 10.0
"""Seconds without a slot after which that is reported."""
PATIENCE = 60.0
"""Seconds without a process that trains, though there are slots, after which that is reported."""


class Watch:
    """Reports once what a run waits for that trains nothing, and once when it goes on."""

    def __init__(
        self, resources: Resources, report: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ):
        """Watch for slots of ``resources``; ``report`` is called with a line."""
        self._resources = resources
        self._report = report
        self._clock = clock
        self._idle_since = self._checked = clock()
        self._reported: str | None = None

    def check(self, training: bool) -> None:
        """Take note of whether a process trains; ask the cluster where none has for a while."""
        now = self._clock()
        if training:
            if self._reported is not None:
                self._report(f"training again after {now - self._idle_since:.0f} s")
            self._idle_since, self._reported = now, None
        elif now - self._idle_since > PATIENCE_WITHOUT_SLOTS and now - self._checked > CHECK_SECONDS:
            self._checked = now
            self._report_reason(now - self._idle_since)

    def _report_reason(self, idle: float) -> None:
        nodes = count_nodes()
        slots = sum(self._resources.fitting(cpus, gpus) for cpus, gpus in nodes)
        offer = ", ".join(f"{cpus:g} CPUs and {gpus:g} GPUs" for cpus, gpus in nodes) or "no node is left"
        if slots == 0:
            reason = f"no node of the cluster holds a slot of {self._resources.cpus:g} CPUs and"
            reason += f" {self._resources.gpus:g} GPUs ({offer}); the run goes on when one joins"
        elif idle > PATIENCE:
            reason = f"no process has started for {idle:.0f} s, though the cluster's nodes have {offer}; perhaps others"
            reason += " hold them, which 'ray status' shows"
        else:
            return
        if self._reported is None or (self._reported == "slots") != (slots == 0):
            self._reported = "slots" if slots == 0 else "start"
            self._report(f"waiting: {reason}; after Ctrl-C the same command goes on too")
