"""How many slots a cluster has while nodes join it, leave it and are lost."""

from __future__ import annotations

import time
from collections.abc import Callable

from mixup_study.cluster.session import count_nodes
from mixup_study.study.document import Resources

CHECK_SECONDS = 3.0
"""The cluster is asked this often at most."""


class Capacity:
    """Reports each change of the slots that the nodes of a cluster hold."""

    def __init__(
        self,
        resources: Resources,
        slots: int,
        report: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with so many ``slots`` of ``resources``; ``report`` is called with their number after each change."""
        self._resources = resources
        self._slots = slots
        self._report = report
        self._clock = clock
        self._checked = clock()

    def check(self) -> None:
        """Ask the cluster, unless that was done a moment ago."""
        now = self._clock()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        slots = sum(self._resources.fitting(cpus, gpus) for cpus, gpus in count_nodes())
        if slots != self._slots:
            self._slots = slots
            self._report(slots)
