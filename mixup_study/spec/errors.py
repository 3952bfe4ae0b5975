"""The one exception that stands for bad input."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something the user wrote cannot be used.

    Its message is one line that says where, what was found and what was expected; the commands print it
    and leave with exit status 2.
    """


def nearest(name: object, valid: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the valid name closest to ``name``, or an empty string."""
    close = difflib.get_close_matches(str(name), list(valid), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: object, limit: int = 60) -> str:
    """Return ``repr(value)`` on one line, cut to ``limit`` characters."""
    try:
        text = " ".join(repr(value).split())
    except (RecursionError, ValueError):  # a value too deep, or an integer too long, to be written out
        text = f"a {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 1] + "…"
