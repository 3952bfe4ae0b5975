"""Downloads, from a server that breaks off."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mixup_study.data import download as module
from mixup_study.data.download import download

CONTENT = bytes(range(256)) * 40_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; each answer ends after ``limit`` bytes."""

    limit = len(CONTENT)
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.ranges else 0
        if self.path == "/missing":
            self.send_error(404)
            return
        if first >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        self.wfile.write(CONTENT[first : first + self.server.limit])

    def log_message(self, format: str, *values: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_is_downloaded_and_checked(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(server.url, tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert capsys.readouterr().err == "file: 10 of 10 MB\n"


def test_a_connection_that_ends_goes_on_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.limit = 4_000_000
    download(server.url, tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=4000000-", "bytes=8000000-"]


@pytest.mark.parametrize("ranges", [True, False])
def test_what_an_earlier_process_left_is_not_downloaded_again(ranges: bool, server: Server, tmp_path: Path) -> None:
    server.ranges = ranges
    (tmp_path / "file.part").write_bytes(CONTENT[:5_000_000])
    download(server.url, tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == ["bytes=5000000-"]


def test_all_that_was_left_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_another_file_than_expected_is_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has the SHA-256 [0-9a-f]{16}…; expected 0{16}…"):
        download(server.url, tmp_path / "file", "0" * 64)
    assert not list(tmp_path.iterdir())


def test_a_server_without_the_file_is_asked_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="404"):
        download(server.url.replace("/file", "/missing"), tmp_path / "file", DIGEST)
    assert server.asked == [None]


def test_connections_that_bring_nothing_are_given_up(server: Server, tmp_path: Path) -> None:
    server.limit = 0
    with pytest.raises(OSError, match="the connection ended after 0 of"):
        download(server.url, tmp_path / "file", DIGEST)
    assert len(server.asked) == module.ATTEMPTS
