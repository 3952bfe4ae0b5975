"""A search for the best setting of an arm: what it may try, and which trials try a setting."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.document import SearchOptions
from mixup_study.study.expand import Cell
from mixup_study.study.sampling import Observation
from mixup_study.study.space import Distribution, Values
from mixup_study.study.trial import Trial

if TYPE_CHECKING:
    from mixup_study.study.warm_start import WarmStart


@dataclass(frozen=True, eq=False)
class Search:
    """The search for the best setting of an arm, under one combination of the grid's other fields."""

    arm: str
    fields: Mapping[str, Any]
    """What every trial of it has, but for the fields of ``space`` and the seeds."""
    seeds: tuple[Mapping[str, Any], ...]
    """The values of the grid's seeds, for each trial of a proposal."""
    settings: tuple[str, ...]
    """The fields that tables show as the setting."""
    implied: tuple[str, ...]
    space: Mapping[str, Distribution]
    first: tuple[Values, ...]
    options: SearchOptions
    warm_starts: tuple[WarmStart, ...] = ()
    """What other studies have tried of the same shape."""

    @cached_property
    def search_id(self) -> str:
        """Return 16 hexadecimal digits that name the search by all that its proposals depend on.

        How many there are is not among it, so that a longer search goes on from a shorter one.
        """
        options = self.options.model_dump(include={"sampler", "seed", "window", "stop", "race"}, exclude_none=True)
        several = len(self.options.minimise) > 1
        options["minimise"] = self.options.minimise if several else self.options.objective
        if self.options.at_most:
            options["at_most"] = self.options.at_most
        if self.warm_starts:
            options["from"] = [warm_start.identity for warm_start in self.warm_starts]
        space = {name: distribution.model_dump(exclude_none=True) for name, distribution in self.space.items()}
        trials = [cell.trial.trial_id for cell in self.list_cells(self._lowest)]
        content = [options, space, [dict(values) for values in self.first], trials]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def example(self) -> Cell:
        """Return a cell of the search, of a setting at the edge of its space."""
        return self.compose(self._lowest, self.seeds[0])

    @property
    def _lowest(self) -> Values:
        return {name: distribution.extremes[0] for name, distribution in self.space.items()}

    def list_cells(self, values: Values) -> list[Cell]:
        """Return the cells that try a setting, one for each of the grid's seeds."""
        return [self.compose(values, seeds) for seeds in self.seeds]

    def list_confirmation(self, values: Values) -> list[Cell]:
        """Return the cells whose trials the table shows of the best setting."""
        confirm = self.options.confirm
        if not confirm:
            return self.list_cells(values)
        whole = {"validation": 0.0} if "validation" in self.compose(values, {}).trial.components.fields else {}
        combinations = (dict(zip(confirm, seeds, strict=True)) for seeds in itertools.product(*confirm.values()))
        return [self.compose({**values, **whole}, seeds) for seeds in combinations]

    def list_placeholders(self) -> list[Cell]:
        """Return the cells that stand in the table until the best setting is found."""
        return [replace(cell, placeholder_of=self.search_id) for cell in self.list_confirmation(self._lowest)]

    @property
    def confirming(self) -> int:
        """Return how many trials confirm the best setting, beside those that found it."""
        return math.prod(map(len, self.options.confirm.values())) if self.options.confirm else 0

    def compose(self, values: Values, seeds: Mapping[str, Any]) -> Cell:
        """Return the cell that tries a setting with these seeds."""
        return Cell(self.arm, Trial(**{**self.fields, **values, **seeds}), self.settings, self.implied)

    @cached_property
    def worst(self) -> tuple[float, ...]:
        """Return what a failed trial counts as: the highest value of each of the metrics that decide."""
        units = (CATALOGUE.metrics[name].unit for name in self.options.metrics)
        return tuple(math.inf if unit.highest is None else unit.highest / unit.scale for unit in units)

    @cached_property
    def bounds(self) -> Mapping[str, float]:
        """Return the bound of each metric that has one, in the unit that it is recorded in."""
        return {name: bound / CATALOGUE.metrics[name].unit.scale for name, bound in self.options.at_most.items()}

    def average(self, rows: Sequence[tuple[float, ...] | None]) -> tuple[float, ...]:
        """Return the means of what trials measured of each metric that decides; one that failed counts as the worst."""
        columns = zip(*(self.worst if row is None else row for row in rows), strict=True)
        return tuple(math.fsum(column) / len(rows) for column in columns)

    def observe(self, values: Values, measured: Sequence[float], stopped_after: int | None = None) -> Observation:
        """Return a setting, and the means of what was measured of each metric that decides, as the sampler is told.

        Of a setting that halving stopped, what has a bound is not known: ``measured`` holds what is minimised alone.
        """
        objectives = len(self.options.minimise)
        bounded = zip(self.bounds.items(), measured[objectives:], strict=False)
        excesses = {name: value - bound for (name, bound), value in bounded}
        return Observation(values, tuple(measured[:objectives]), stopped_after, excesses)
