"""The study file's format as JSON Schema, for editors to complete and check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from mixup_study.study.claims import EXTREMES, Claim, Comparison
from mixup_study.study.document import PROFILE_KEYS, Column, Figure, Paper, Pick, Resources, Table
from mixup_study.study.trial import FIELDS, SEEDS, Trial


def study_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a study file."""
    fields = Trial.model_json_schema()["properties"]
    value = {name: _without_default(schema) for name, schema in fields.items()}
    axis = {name: _axis(schema) for name, schema in value.items()}
    trial = {"type": "object", "additionalProperties": False, "properties": value}
    axes = {"type": "object", "additionalProperties": False, "properties": axis}
    arms = {"type": "object", "additionalProperties": axes}
    overlay = {
        "trial": _nullable(trial),
        "grid": _nullable(axes),
        "arms": {"anyOf": [{"type": "object", "additionalProperties": _nullable(axes)}, {"type": "null"}]},
        "resources": _nullable(_model(Resources)),
    }
    published = {name: value[name] for name in FIELDS} | {"arm": {"type": "string"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study of mixup_study",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "arms", "table"],
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"},
            "paper": {**_model(Paper), "description": "Where in the paper the study comes from."},
            "trial": {**trial, "description": "What every trial shares."},
            "grid": {**axes, "description": "Fields crossed with every arm; an arm's own value wins."},
            "arms": {**arms, "minProperties": 1, "description": "Methods compared; a list tries each of its values."},
            "profiles": {
                "type": "object",
                "description": "Sizes to run the study at: overlays over the file as it stands; null removes a key.",
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {key: overlay[key] for key in PROFILE_KEYS},
                },
            },
            "resources": {**_model(Resources), "description": "A slot: what one worker holds while it trains."},
            "retries": {
                "type": "integer",
                "minimum": 0,
                "maximum": 1000,
                "default": 2,
                "description": "How often a trial that raised, or whose process died, is trained again in this run.",
            },
            "checkpoint_seconds": {
                "type": "number",
                "minimum": 0,
                "maximum": 86400,
                "default": 60,
                "description": "A trial saves a checkpoint at the end of an epoch where the last is at least so old.",
            },
            "table": {
                **_model(Table),
                "properties": {
                    **_model(Table)["properties"],
                    "across": {**_model(Table)["properties"]["across"], "enum": [*FIELDS, "arm", None]},
                    "rows": {"type": "array", "minItems": 1, "items": {"enum": [*FIELDS, "arm"]}},
                    "columns": {"type": "array", "minItems": 1, "items": _model(Column)},
                    "pick": {"anyOf": [_model(Pick), {"type": "null"}]},
                },
            },
            "figures": {"type": "array", "description": "Figures of the study.", "items": _model(Figure)},
            "claims": {
                "type": "array",
                "description": "What the paper claims of the results, to be judged by them.",
                "items": _claim(),
            },
            "published": {
                "type": "array",
                "description": "The paper's rows; measurements in percent, as printed there.",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": published | {metric: {"type": "number"} for metric in _metrics()},
                },
            },
        },
        "$defs": _selectors(value),
    }


def _claim() -> dict[str, Any]:
    comparison = _model(Comparison)
    selectors = {"anyOf": [{"$ref": "#/$defs/selector"}, _several(1)]}
    types = {
        "lower": selectors,
        "higher": selectors,
        "than": selectors,
        "rising": _several(2),
        "where": {"$ref": "#/$defs/values"},
        "minus": {"$ref": "#/$defs/minus"},
    }
    for name, schema in types.items():
        comparison["properties"][name] = {**schema, "description": comparison["properties"][name]["description"]}
    alone = {"not": {"required": ["rising"]}}
    comparison["oneOf"] = [
        {"required": ["lower", "than"], **alone},
        {"required": ["higher", "than"], **alone},
        {"required": ["rising"], "not": {"required": ["than"]}},
    ]
    claim = _model(Claim)
    claim["properties"]["compare"]["items"] = comparison
    return claim


def _several(least: int) -> dict[str, Any]:
    return {"type": "array", "minItems": least, "items": {"$ref": "#/$defs/selector"}}


def _selectors(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schemas of what names trials: an arm with values of fields, and values alone."""
    values = {
        name: {"anyOf": [schema, {"enum": list(EXTREMES)}], "description": schema["description"]}
        for name, schema in value.items()
        if name not in SEEDS
    }
    fields = {"type": "object", "additionalProperties": False, "properties": values}
    arm = {**fields, "required": ["arm"], "properties": {"arm": {"type": "string"}, **values}}
    minus = {**fields, "minProperties": 1, "properties": {"metric": {"enum": _metrics()}, **values}}
    return {"selector": {"anyOf": [{"type": "string"}, arm]}, "values": fields, "minus": minus}


def _metrics() -> list[str]:
    return list(_model(Pick)["properties"]["lowest"]["enum"])


def _model(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.pop("$defs", None)
    return schema


def _without_default(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in schema.items() if key != "default"}


def _axis(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "array", "minItems": 1, "items": schema}], "description": schema["description"]}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    properties = {name: {"anyOf": [item, {"type": "null"}]} for name, item in schema["properties"].items()}
    return {"anyOf": [{**schema, "properties": properties}, {"type": "null"}]}
