"""Fields of a trial: their types, what is known of each beside its type, and the base of all classes that hold them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Annotated, Any, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from mixup_study.catalogue.units import Unit

MAX_STRENGTH = 1e6


@dataclass(frozen=True)
class Traits:
    """What tables, captions, packs and estimates know of a field, beside its type, default and description."""

    sign: str | None = None
    """The paper's sign for it."""
    unit: Unit | None = None
    """Unit in which tables show it; None for a plain value."""
    seed: bool = False
    """Tables take means over its values."""
    implementation: bool = False
    """It says how the arithmetic is done, of which the paper says nothing."""
    caption: bool = False
    """Captions name it where it is not at its default."""
    cost: bool = False
    """It decides how long an epoch takes."""
    varies_in_pack: bool = False
    """Trials of one pack may differ in it."""
    alone: bool = False
    """A trial that has it at another value than its default is trained alone, not in a pack."""
    requires: str | None = None
    """Only trials take it whose data set provides this; all by default."""
    unless: str | None = None
    """Trials whose data set provides this do not take it."""
    reads: bool = False
    """The code that reads the data set takes its value."""
    needed: bool = False
    """Its value is a trial whose model the trial needs."""
    changes: str | None = None
    """What of a training example it changes where it is set: ``input`` or ``target`` (ticks of Table 5)."""


class Fields(BaseModel):
    """Fields that a component of a trial takes; a trial's class inherits those of all its components."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="constants")


@dataclass(frozen=True)
class FieldEntry:
    """A field by its name, as one component declares it."""

    name: str
    info: FieldInfo
    traits: Traits

    @property
    def required(self) -> bool:
        """Return whether the components that declare it need a value."""
        return self.info.is_required()

    @property
    def default(self) -> Any:
        """Return the default; None of a field that has none."""
        return None if self.required else self.info.default

    @property
    def description(self) -> str:
        """Return what it is, in a sentence or two."""
        return self.info.description or ""

    def accepts_same(self, other: FieldEntry) -> bool:
        """Return whether ``other`` accepts the same values, and nothing else is known of it."""
        return self.info.annotation == other.info.annotation and self.info.metadata == other.info.metadata

    @property
    def is_list(self) -> bool:
        """Return whether one value of it is a list itself."""
        return get_origin(self.info.annotation) is tuple


@cache
def fields_of(declared: type[Fields]) -> tuple[FieldEntry, ...]:
    """Return the fields of a class in the order of its declarations, those of its bases first."""
    return tuple(
        FieldEntry(name, info, next((part for part in info.metadata if isinstance(part, Traits)), Traits()))
        for name, info in declared.model_fields.items()
    )


def limits_of(info: FieldInfo) -> dict[str, float]:
    """Return the limits of a number by pydantic's names: ``ge``, ``gt``, ``le``, ``lt``."""
    parts = [*info.metadata]
    for choice in get_args(info.annotation):  # of ``X | None``
        for annotation in getattr(choice, "__metadata__", ()):
            parts += getattr(annotation, "metadata", [])
    return {key: getattr(part, key) for part in parts for key in ("ge", "gt", "le", "lt") if hasattr(part, key)}


def _without_negative_zero(value: float) -> float:
    return value + 0.0


def _strength(value: float) -> float:
    if MAX_STRENGTH < value < math.inf:
        raise PydanticCustomError("strength", "expected a value in [0, 1e+06], or .inf")
    return value + 0.0


Real = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_without_negative_zero)]
Strength = Annotated[float, Field(ge=0), AfterValidator(_strength)]
Fraction = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1), AfterValidator(_without_negative_zero)]
Deviation = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e6), AfterValidator(_without_negative_zero)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def is_within(name: object) -> bool:
    """Return whether a name leads to something within a folder: a relative path without ``..``."""
    if not isinstance(name, str) or "\0" in name:
        return False
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _check_within(name: str) -> str:
    if not is_within(name):
        raise PydanticCustomError("within", "expected a path within the data folder, as in images/shapes.npz")
    return name


DataPath = Annotated[str, AfterValidator(_check_within)]
"""Type of a field that names a file or a folder of the data folder."""


def _check_digest(digest: str) -> str:
    if not re.fullmatch("[0-9a-f]{16}", digest):
        raise PydanticCustomError("digest", "expected 16 hexadecimal digits")
    return digest


Digest = Annotated[str, AfterValidator(_check_digest)]
"""Type of a field that names what files hold."""


def _check_trial(value: Any) -> Any:
    if value is not None and not isinstance(value, Fields):
        raise PydanticCustomError("needed", "expected a trial")
    return value


def _name_trial(value: Any) -> str | None:
    return None if value is None else value.trial_id


NeededTrial = Annotated[
    Any,
    Traits(needed=True),
    PlainValidator(_check_trial),
    PlainSerializer(_name_trial),
    WithJsonSchema({"type": "string"}),
]
"""Type of a field whose value is a training trial, of which the trial needs the model; its trial_id where it is shown.

A study names one of its ``models`` there. One that may be missing has the default None.
"""
