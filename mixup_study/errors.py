"""What ends a command early: bad input, signals, and the loss of its cluster."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable


class InputError(Exception):
    """Something the user wrote cannot be used.

    Its message says where, what was found and what was expected, on one line whatever the input held; the
    commands print it and leave with exit status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """Return ``text`` with line breaks and other characters that do not print written as escapes."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Signs that turn the direction of the text around them."""


def is_control(sign: str) -> bool:
    """Return whether a sign does something to a terminal, or to a script, in place of being shown."""
    return unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or sign in _DIRECTIONS


def escape_controls(text: str) -> str:
    """Return ``text`` with what a terminal would obey, line breaks included, written as escapes."""
    if text.isprintable():  # which no such sign is
        return text
    return "".join(sign.encode("unicode_escape").decode() if is_control(sign) else sign for sign in text)


def nearest(name: object, valid: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the valid name closest to ``name``, or an empty string."""
    close = difflib.get_close_matches(str(name), list(valid), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: object, limit: int = 60) -> str:
    """Return ``repr(value)``, cut to ``limit`` characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # a value too deep, or an integer too long, to be written out
        text = f"a {type(value).__name__}"
    return cut(text, limit)


def cut(text: str, limit: int) -> str:
    """Return ``text``, or its beginning and an ellipsis where it has more than ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end; the same command goes on where this one was."""

    def __init__(self, number: int) -> None:
        """Name the signal by its number."""
        super().__init__(number)
        self.status = 128 + number
        """The command's exit status, as shells have it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""


CLUSTER_LOST = 3
"""Exit status of a command whose Ray cluster is gone."""


class ClusterLost(Exception):
    """The Ray that a run hangs on is gone; the same command goes on where this one was."""

    def __init__(self, reason: str) -> None:
        """Say in one line how that is known."""
        super().__init__(f"{reason}; what is recorded and saved stays, and the same command goes on from there")
