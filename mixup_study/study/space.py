"""The space that a search draws settings from: a distribution for each field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

DIGITS = 3
"""Significant digits of a proposed number, so that tables can show it whole."""

Values = Mapping[str, Any]
"""What a proposal sets: a value for each field of its space."""


class Distribution(BaseModel):
    """Where the values of a field come from: one of a range of numbers, and a list of values."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    uniform: list[float] | None = Field(default=None, description="Lowest and highest number, all between alike.")
    log: list[float] | None = Field(
        default=None, description="Lowest and highest number above 0, every order of magnitude between alike."
    )
    integer: list[int] | None = Field(default=None, description="Lowest and highest whole number.")
    log_integer: list[int] | None = Field(
        default=None, description="Lowest and highest whole number above 0, every order of magnitude between alike."
    )
    choice: list[bool | int | float | str | None] | None = Field(
        default=None, min_length=1, description="Values without an order."
    )

    @model_validator(mode="after")
    def _is_one_range(self) -> Distribution:
        kinds = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise PydanticCustomError("one_of", "expected one of uniform, log, integer, log_integer and choice")
        if self.choice is not None:
            if len({(type(value), repr(value)) for value in self.choice}) < len(self.choice):
                raise PydanticCustomError("choice", "a value stands there twice; expected each once")
            return self
        if len(self.bounds) != 2 or not self.bounds[0] < self.bounds[1] < float("inf"):
            raise PydanticCustomError("bounds", "expected two finite numbers, the lower first")
        if self.is_log and self.bounds[0] <= 0:
            raise PydanticCustomError("bounds", "expected numbers above 0")
        return self

    @property
    def bounds(self) -> list[Any]:
        """Return the lowest and the highest number; empty of a choice."""
        return self.uniform or self.log or self.integer or self.log_integer or []

    @property
    def is_log(self) -> bool:
        """Return whether orders of magnitude are alike."""
        return self.log is not None or self.log_integer is not None

    @property
    def is_int(self) -> bool:
        """Return whether its values are whole numbers."""
        return self.integer is not None or self.log_integer is not None

    @property
    def extremes(self) -> list[Any]:
        """Return the values that are valid in a trial where all are: both bounds, or every choice."""
        return self.choice if self.choice is not None else self.bounds

    def contains(self, value: Any) -> bool:
        """Return whether ``value`` may be drawn."""
        if self.choice is not None:
            return any(
                value == choice and isinstance(value, bool) is isinstance(choice, bool) for choice in self.choice
            )
        if isinstance(value, bool) or not isinstance(value, int if self.is_int else int | float):
            return False
        low, high = self.bounds
        return bool(low <= value <= high)

    def round(self, value: Any) -> Any:
        """Return a drawn value as it is proposed: a number of DIGITS significant digits, within the bounds."""
        if self.choice is not None or self.is_int:
            return value
        low, high = self.bounds
        return min(max(float(f"{value:.{DIGITS}g}"), float(low)), float(high))
