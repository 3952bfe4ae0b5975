"""pydantic's findings as the one line a user can act on."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mixup_study.catalogue import CATALOGUE
from mixup_study.catalogue.fields import limits_of
from mixup_study.errors import InputError, nearest
from mixup_study.study.source import KeyPath, Source

_EXPECTED = {
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "string_type": "expected text",
    "bool_type": "expected true or false",
    "finite_number": "expected a finite number",
    "missing": "missing; expected a value",
    "dict_type": "expected a mapping of keys",
    "model_type": "expected a mapping of keys",
    "model_attributes_type": "expected a mapping of keys",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "too_short": "expands to nothing; expected at least one entry",
    "string_too_short": "expected some text",
    "string_pattern_mismatch": "expected up to 64 letters, digits, - and _, the first a letter or a digit",
}
_MEANT: dict[Hashable, str] = {"margin": "by", "ratio": "times"}
"""Keys under names that others use, by those names."""
_LIMITS = {
    "greater_than_equal": ("≥", "ge"),
    "greater_than": (">", "gt"),
    "less_than_equal": ("≤", "le"),
    "less_than": ("<", "lt"),
}


def choose_finding(error: ValidationError) -> ErrorDetails:
    """Return the finding to tell the user: an unknown key before a missing one, which it may be a misspelling of."""
    findings = error.errors(include_url=False)
    return next((finding for finding in findings if finding["type"] == "extra_forbidden"), findings[0])


def explain(error: ValidationError, source: Source, at: KeyPath, valid: Sequence[str]) -> InputError:
    """Return the finding of ``error`` to tell the user as an InputError.

    ``at`` is the key path of the validated mapping in ``source`` and ``valid`` the names it may hold.
    """
    details = choose_finding(error)
    path: KeyPath = (*at, *(part for part in details["loc"] if part != "[key]"))
    if path and isinstance(path[-1], int) and not source.holds_several(path[:-1]):  # a value in place of a list of it
        path = path[:-1]
    problem = describe_finding(details, valid)
    if details["type"] == "missing":
        return source.error(path, problem)
    return source.error(path, problem, value=details["input"])


def describe_finding(details: ErrorDetails, valid: Sequence[str]) -> str:
    """Return what was wrong, and what was expected; ``valid`` are the names that an unknown key may have meant."""
    kind = details["type"]
    context: dict[str, Any] = details.get("ctx", {})
    if kind == "extra_forbidden":
        name: Hashable = details["loc"][-1]
        return f"unknown key; expected one of {', '.join(valid)}{nearest(_MEANT.get(name, name), valid)}"
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", context["expected"])
        return f"expected {context['expected']}{nearest(details['input'], names)}"
    if kind in _LIMITS:
        sign, end = _LIMITS[kind]
        name = details["loc"][-1] if details["loc"] else ""
        return f"expected a value {sign} {_number(context[end])}{_range(name, end, context[end])}"
    return _EXPECTED.get(kind, _lower(details["msg"]))


def _range(name: Hashable, end: str, limit: float) -> str:
    """Return both limits of a trial's field, where it has two: ``, in [0, 1)``.

    Of a field that components declare with several ranges it is the one that has ``limit`` at this end.
    """
    ranges = {
        _both_ends(limits)
        for field in CATALOGUE.distinct_declarations(str(name))
        if (limits := limits_of(field.info)).get(end) == limit
    }
    return ranges.pop() if len(ranges) == 1 else ""


def _both_ends(limits: Mapping[str, float]) -> str:
    ends = {key: _number(limit) for key, limit in limits.items()}
    low = f"[{ends['ge']}" if "ge" in ends else f"({ends['gt']}" if "gt" in ends else None
    high = f"{ends['le']}]" if "le" in ends else f"{ends['lt']})" if "lt" in ends else None
    return f", in {low}, {high}" if low and high else ""


def _number(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
