"""What the project writes around the bytes of a file: what the file is, and a digest that shows damage."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

DIGEST_SIZE = 64
"""Hexadecimal digits of a SHA-256."""


class FileUnusable(ValueError):
    """A file does not hold what it should; the message says why, in a few words that call the file "it"."""


@dataclass(frozen=True)
class Envelope:
    """A first line that names the kind of a file and its version, and the SHA-256 of what follows."""

    kind: str
    """Such as ``checkpoint``; one word."""
    version: int
    """Raised when the content of this kind changes its layout."""

    @property
    def first_line(self) -> bytes:
        """Return the line that such a file begins with."""
        return f"mixup_study {self.kind} {self.version}\n".encode()

    def seal(self, *content: bytes) -> bytes:
        """Return the file that holds the parts of ``content`` one after the other."""
        digest = hashlib.sha256()
        for part in content:
            digest.update(part)
        return b"".join([self.first_line, digest.hexdigest().encode(), *content])

    def digest(self, file: bytes) -> str:
        """Return the digest that a file says it has: what ``open`` checks."""
        start = len(self.first_line)
        return file[start : start + DIGEST_SIZE].decode(errors="replace")

    def open(self, file: bytes) -> memoryview:
        """Return the content of a file, without a copy of it.

        Raises FileUnusable for another kind, another version and for content that the digest is not of.
        """
        if not file.startswith(self.first_line):
            same_kind = file.startswith(f"mixup_study {self.kind} ".encode())
            raise FileUnusable("it has another format" if same_kind else f"it is not a {self.kind} of mixup_study")
        rest = memoryview(file)[len(self.first_line) :]
        digest, content = rest[:DIGEST_SIZE], rest[DIGEST_SIZE:]
        if hashlib.sha256(content).hexdigest().encode() != digest:
            raise FileUnusable("it is damaged")
        return content
