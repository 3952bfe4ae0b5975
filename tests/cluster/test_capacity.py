"""The slots of a cluster follow its nodes."""

from __future__ import annotations

import pytest

from mixup_study.cluster import capacity
from mixup_study.cluster.capacity import Capacity
from mixup_study.study.document import Resources


def test_each_change_of_the_slots_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = 0.0, 0
    nodes: list[tuple[float, float]] = [(0.0, 0.0), (4.0, 1.0)]
    reported: list[int] = []

    def count_nodes() -> tuple[tuple[float, float], ...]:
        nonlocal asked
        asked += 1
        return tuple(nodes)

    monkeypatch.setattr(capacity, "count_nodes", count_nodes)
    slots = Capacity(Resources(cpus=2), 2, reported.append, lambda: now)
    for seconds in range(100):
        now = seconds / 10
        if seconds == 40:
            nodes += [(5.0, 0.0), (1.0, 0.0)]  # the second holds no slot
        if seconds == 70:
            nodes[:] = []
        slots.check()
    assert reported == [4, 0]
    assert asked == 3  # Tune steps ten times a second
