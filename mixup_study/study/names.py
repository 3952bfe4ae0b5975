"""Types of the keys of a study file that name what the catalogue holds."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticKnownError

from mixup_study.catalogue import CATALOGUE


def list_names(names: Any) -> str:
    """Return names as messages list them: ``'a', 'b' or 'c'``."""
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last


def _check_metric(name: str) -> str:
    if name not in CATALOGUE.metrics:
        raise PydanticKnownError("literal_error", {"expected": list_names(CATALOGUE.metrics)})
    return name


MetricName = Annotated[str, AfterValidator(_check_metric)]
"""A name of what trials measure."""
