"""What only a bucket has: one that is missing, secrets in its URL, logs that are saved as they grow."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from mixup_study.cluster.output import redirect_output
from mixup_study.errors import InputError
from mixup_study.store.logs import LogFile
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from tests.commands import call_command

RecordMaker = Callable[..., TrialRecord]

SECRET = "a/Secret+of=MINE"


@pytest.fixture
def url(endpoint: str, request: pytest.FixtureRequest) -> str:
    return f"s3://bucket/{request.node.name}?{endpoint}"


def files(url: str) -> list[str]:
    system, root = fs.FileSystem.from_uri(url)
    found = system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    return sorted(info.path.removeprefix(f"{root}/") for info in found if info.type == fs.FileType.File)


def test_a_missing_bucket_is_bad_input(endpoint: str, record: RecordMaker) -> None:
    location = f"s3://nowhere/results?{endpoint}"
    for use in (ResultStore.trials, ResultStore.check_writable, lambda store: store.write(record())):
        with pytest.raises(InputError) as caught:
            use(ResultStore(location))
        assert str(caught.value).startswith(f"--results {location}: cannot be ")
        assert "bucket" in str(caught.value).lower()
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("command", ["query", "tables", "plan"])
def test_the_commands_say_so_on_one_line(command: str, endpoint: str, tiny_study: Path) -> None:
    location = f"s3://key:{quote(SECRET, safe='')}@nowhere/results?{endpoint}"
    asked = "select 1" if command == "query" else str(tiny_study)
    ran = call_command(command, asked, "--results", location)
    assert (ran.returncode, ran.stdout) == (2, "")
    (line,) = ran.stderr.splitlines()
    assert line == f"error: --results s3://…@nowhere/results?{endpoint}: cannot be read: there is no bucket nowhere" + (
        "; expected a folder or URL"
    )


@pytest.mark.slow
def test_a_server_that_is_away_for_seconds_is_waited_for(endpoint: str, record: RecordMaker) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    back = threading.Timer(8, server.start)
    back.start()
    try:
        there = re.sub(r"%3A\d+", f"%3A{port}", endpoint)  # servers of one process have the same buckets
        store = ResultStore(f"s3://bucket/away?{there}")
        assert store.done_among([record().trial.trial_id]) == set()
    finally:
        back.join()
        server.stop()


def test_options_that_pickle_loses_stay(endpoint: str) -> None:
    plain, trusting = (
        ResultStore(f"s3://bucket/results?{endpoint}{more}")._fs for more in ("", "&tls_verify_certificates=false")
    )
    system, _ = fs.FileSystem.from_uri(f"s3://bucket/results?{endpoint}&tls_verify_certificates=false")
    assert trusting == system != plain


# Secrets.


@pytest.mark.parametrize(
    ("bucket", "options"), [("nowhere/results", ""), ("bucket/results", "&nosuch=option"), ("", ""), (" /results", "")]
)
@pytest.mark.parametrize("secret", [SECRET, quote(SECRET, safe=""), "with:colon@and?more"])
def test_no_message_holds_a_secret(bucket: str, options: str, secret: str, endpoint: str, record: RecordMaker) -> None:
    location = f"s3://key:{secret}@{bucket}?{endpoint}{options}"
    uses = (ResultStore.trials, ResultStore.check_writable, lambda store: store.write(record()))
    for use in uses:
        with pytest.raises(InputError) as caught:
            use(ResultStore(location))
        assert str(caught.value).startswith(f"--results s3://…@{bucket}?")
        for part in (secret, SECRET, "Secret", "colon@"):
            assert part not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_store_opened_with_a_secret_shows_none(endpoint: str, record: RecordMaker) -> None:
    location = f"s3://key:{quote(SECRET, safe='')}@bucket/secretly?{endpoint}"
    lines: list[str] = []
    store = ResultStore(location, lines.append)
    store.write(record())
    assert ResultStore(store.location).done() == {record().trial.trial_id}
    assert store.shown == f"s3://…@bucket/secretly?{endpoint}"
    assert quote(SECRET, safe="") not in repr(store._place)


def test_secret_options_are_not_shown() -> None:
    location = "abfs://account/container?client_id=me&client_secret=hush&tenant_id=us"
    with pytest.raises(InputError) as caught:
        ResultStore(f"no{location}")
    assert "client_id=me&client_secret=…&tenant_id=us" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_logs_are_kept_in_the_bucket_too(url: str) -> None:
    for attempt in (1, 2):
        with redirect_output(url, "a trial", "tiny: ERM") as output:
            os.write(1, f"attempt {attempt}\n".encode())
            output.save()
            assert files(url) == ["logs/a trial.log"]  # for a process that is killed from here on
            os.write(1, b"ends\n")
    log = LogFile(url, "a trial")
    printed = log.read().decode()
    assert re.sub("== .*: tiny: ERM\n", "== ", printed) == "== attempt 1\nends\n== attempt 2\nends\n"
    assert log.shown == "s3://bucket/test_logs_are_kept_in_the_bucket_too/logs/a trial.log"
