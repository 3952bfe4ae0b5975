from __future__ import annotations

import pytest

from mixup_study.cluster import board
from mixup_study.cluster.board import Board, RemoteBoard


class Store:
    """What the board asks of Ray's key-value store, in this process."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}

    def internal_kv_put(self, key: bytes, value: bytes, overwrite: bool, namespace: bytes) -> None:
        self.entries[key] = value

    def internal_kv_get(self, key: bytes, namespace: bytes) -> bytes | None:
        return self.entries.get(key)

    def internal_kv_exists(self, key: bytes, namespace: bytes, timeout: float) -> bool:
        return key in self.entries


def test_a_process_that_was_asked_to_stop_is_not_asked_to_go_on_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    monkeypatch.setattr(board, "internal_kv_get_gcs_client", lambda: store)
    driver = Board()
    process = RemoteBoard(driver.name)
    driver.request_stop()
    assert process.stop_requested("a job")
    assert process.stop_requested("a job")
