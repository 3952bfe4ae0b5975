"""Every network of the catalogue, as small as it can be."""

from __future__ import annotations

from mixup_study.catalogue import CATALOGUE
from mixup_study.catalogue.fields import fields_of, limits_of


def smallest(name: str) -> dict[str, int]:
    """Return the fields of the network ``name`` that decide its size, each at its lowest value."""
    sizes = (field for field in fields_of(CATALOGUE.networks[name].fields) if field.traits.cost)
    return {field.name: int(limits_of(field.info)["ge"]) for field in sizes}


def input_of(name: str) -> tuple[str, tuple[int, ...]]:
    """Return a data set that the network ``name`` takes, and the shape of one input."""
    takes = CATALOGUE.networks[name].takes
    return ("digits", (1, 8, 8)) if not takes or "images" in takes else ("speech_commands", (1, 161, 101))
