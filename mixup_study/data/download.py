"""Downloads of large files: checked by their digest, resumed where they were interrupted."""

from __future__ import annotations

import hashlib
import http.client
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from mixup_study.data.progress import ProgressLines

CHUNK = 2**20
TIMEOUT_SECONDS = 30
ATTEMPTS = 3
"""Connections in a row that bring nothing, before a download is given up."""
PAUSE_SECONDS = 1.0
"""Before the next attempt; it doubles each time."""


def download(url: str, path: Path, sha256: str) -> None:
    """Download ``url`` to ``path``, which exists only once its digest is ``sha256``.

    What is there already of ``<path>.part`` is not downloaded again. Tells how far it is on standard error. Raises
    OSError where the file cannot be had or written, ValueError where it is another one than expected.
    """
    part = path.with_name(f"{path.name}.part")
    failures = 0
    while True:
        size = part.stat().st_size if part.exists() else 0
        try:
            _fetch_rest(url, part)
            break
        except OSError as error:  # urllib's errors are OSErrors too
            grown = part.exists() and part.stat().st_size > size
            failures = 1 if grown else failures + 1
            if failures == ATTEMPTS or _is_final(error):
                raise
            time.sleep(PAUSE_SECONDS * 2 ** (failures - 1))
    found = digest_file(part)
    if found != sha256:
        part.unlink()
        raise ValueError(f"{url} has the SHA-256 {found[:16]}…; expected {sha256[:16]}…")
    part.replace(path)


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_rest(url: str, part: Path) -> None:
    """Append to ``part`` what is missing in it; a server that cannot send a part of a file sends all of it."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.build_opener().open(request, timeout=TIMEOUT_SECONDS)  # by the proxies of today
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing
            return
        raise
    with response, part.open("ab" if response.status == 206 else "wb") as file:
        begun = have if response.status == 206 else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else begun + int(length)
        lines = ProgressLines()
        while chunk := _read_chunk(response):
            file.write(chunk)
            lines.show(_describe_progress(part, file.tell(), total))
        if total is not None and file.tell() < total:
            raise OSError(f"{url}: the connection ended after {file.tell():,} of {total:,} bytes")
        print(_describe_progress(part, file.tell(), total), file=sys.stderr)


def _read_chunk(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK)
    except http.client.HTTPException as error:  # an answer that ends where it must not
        raise OSError(f"the connection ended early ({type(error).__name__})") from error


def _describe_progress(part: Path, size: int, total: int | None) -> str:
    of_all = "" if total is None else f" of {total / 1e6:,.0f}"
    return f"{part.name.removesuffix('.part')}: {size / 1e6:,.0f}{of_all} MB"


def _is_final(error: OSError) -> bool:
    """Return whether another attempt would end alike: the server refuses the file."""
    return isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500
