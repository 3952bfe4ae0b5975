"""pydantic's findings as the one line a user can act on."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mixup_study.spec.errors import InputError, nearest
from mixup_study.spec.source import KeyPath, Source
from mixup_study.spec.trial import Trial

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
}
_LIMITS = {
    "greater_than_equal": ("≥", "ge"),
    "greater_than": (">", "gt"),
    "less_than_equal": ("≤", "le"),
    "less_than": ("<", "lt"),
}
_KEYS = [key for _, key in _LIMITS.values()]


def explain(error: ValidationError, source: Source, at: KeyPath, valid: Sequence[str]) -> InputError:
    """Return the first finding of ``error`` as an InputError.

    ``at`` is the key path of the validated mapping in ``source`` and ``valid`` the names it may hold.
    """
    found = error.errors(include_url=False)[0]
    path: KeyPath = (*at, *(part for part in found["loc"] if part != "[key]"))
    problem = _problem(found, valid)
    if found["type"] == "missing":
        return source.error(path, problem)
    return source.error(path, problem, value=found["input"])


def _problem(found: ErrorDetails, valid: Sequence[str]) -> str:
    kind = found["type"]
    context: dict[str, Any] = found.get("ctx", {})
    if kind == "extra_forbidden":
        name: Hashable = found["loc"][-1]
        return f"unknown key; expected one of {', '.join(valid)}{nearest(name, valid)}"
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", context["expected"])
        return f"expected {context['expected']}{nearest(found['input'], names)}"
    if kind in _LIMITS:
        sign, limit = _LIMITS[kind]
        return f"expected a value {sign} {context[limit]:g}{_range(found['loc'][-1])}"
    return _EXPECTED.get(kind, _lower(found["msg"]))


def _range(name: Hashable) -> str:
    """Return both limits of a trial's field, where it has two: ``, in [0, 1)``."""
    field = Trial.model_fields.get(str(name))
    limits = {
        key: getattr(part, key) for part in (field.metadata if field else ()) for key in _KEYS if hasattr(part, key)
    }
    low = f"[{limits['ge']:g}" if "ge" in limits else f"({limits['gt']:g}" if "gt" in limits else None
    high = f"{limits['le']:g}]" if "le" in limits else f"{limits['lt']:g})" if "lt" in limits else None
    return f", in {low}, {high}" if low and high else ""


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
