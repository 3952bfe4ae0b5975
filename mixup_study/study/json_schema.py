"""The study file's format as JSON Schema, for editors to complete and check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, create_model

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.claims import EXTREMES, NOT_BESIDE_TIMES, Claim, Comparison
from mixup_study.study.document import (
    PROFILE_KEYS,
    Column,
    Figure,
    Paper,
    Pick,
    RaceOptions,
    Resources,
    SearchOptions,
    StopOptions,
    Table,
)
from mixup_study.study.expand import LIKE
from mixup_study.study.source import EXTENDS
from mixup_study.study.space import Distribution
from mixup_study.study.variables import NAME, USE, VARIABLES

METRIC_KEYS = ("metric", "lowest", "highest")
"""Keys of a study file whose value is a metric's name."""


def study_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a study file. Every field is defined once and referred to."""
    keys = _study_keys()
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study of mixup_study",
        "type": "object",
        "properties": {
            EXTENDS: {
                "type": "string",
                "minLength": 1,
                "description": "Study file, by its path from this one's folder, that this one is merged over: mappings"
                " by key, null removes, all else replaces.",
            }
        },
        "if": {"required": [EXTENDS]},
        "then": _mapping({EXTENDS: True, **_extending_keys(keys)}),
        "else": {**_mapping(keys), "required": ["name", "arms", "table"]},
        "$defs": {
            name.replace(" ", "_"): schema
            for name, schema in {**_field_definitions(), **_mapping_definitions(), **_selector_definitions()}.items()
        },
    }
    variable = {"type": "string", "pattern": USE, "description": "The value of a variable."}
    allowing: dict[str, Any] = _allow_variables(schema)
    return {**allowing, "$defs": {**allowing["$defs"], "variable": variable}}


def _allow_variables(schema: Any) -> Any:
    """Return a schema that takes ``${name}`` too for every number, list and name from a list of names."""
    if isinstance(schema, list):
        return [_allow_variables(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "enum" in schema or schema.get("type") in ("integer", "number", "boolean", "array"):
        own = {key: schema[key] for key in ("default", "description", "title") if key in schema}
        inner = {key: _allow_variables(part) for key, part in schema.items() if key not in own}
        return {**own, "anyOf": [inner, _reference("variable")]}
    return {key: part if key in ("if", VARIABLES) else _allow_variables(part) for key, part in schema.items()}


def _study_keys() -> dict[str, Any]:
    """Return the schema of each key of a file that extends none."""
    overlay = _overlay()
    metrics = {name: {"type": "number"} for name in CATALOGUE.metrics}
    published = {**{name: _nullable(_value(name)) for name in CATALOGUE.fields}, "arm": {"type": "string"}, **metrics}
    published["quoted"] = {"type": "string", "minLength": 1, "description": "Whom the paper quotes these numbers from."}
    return {
        VARIABLES: _variables(),
        "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"},
        "data": {
            "type": "string",
            "minLength": 1,
            "description": "Folder of the data sets, by its path from this file's folder; --data wins.",
        },
        "paper": {**_model(Paper), "description": "Where in the paper the study comes from."},
        "trial": {**_reference("values"), "description": "What every trial shares."},
        "grid": {**_grid(), "description": "Fields crossed with every arm; an arm's own value wins."},
        "models": {
            "type": "object",
            "additionalProperties": _reference("model"),
            "description": "Trials that evaluations need, by name: what they set themselves over trial and grid.",
        },
        "arms": {
            "type": "object",
            "additionalProperties": _reference("axes"),
            "minProperties": 1,
            "description": "Methods compared; a list tries each of its values.",
        },
        "search": {
            **_search(_reference("space")),
            "description": "How settings of arms are searched for, in place of being listed.",
        },
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
            "description": "A trial saves a checkpoint where the last is at least so old.",
        },
        "keep_models": {
            "type": "boolean",
            "default": False,
            "description": "Every trial trained from now on leaves its model, not only those that others need.",
        },
        "table": {
            **_model(Table),
            "properties": {
                **_model(Table)["properties"],
                "across": {**_model(Table)["properties"]["across"], "enum": [*CATALOGUE.fields, "arm", None]},
                "rows": {"type": "array", "minItems": 1, "items": {"enum": [*CATALOGUE.fields, "arm"]}},
                "columns": {"type": "array", "minItems": 1, "items": _model(Column)},
                "pick": _nullable({**_model(Pick), "oneOf": [{"required": ["lowest"]}, {"required": ["highest"]}]}),
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
                "properties": published,
            },
        },
    }


def _variables() -> dict[str, Any]:
    scalar = {"type": ["number", "boolean", "string"]}
    return {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME}$"},
        "additionalProperties": {"anyOf": [scalar, {"type": "array", "minItems": 1, "items": scalar}]},
        "description": "Values with a name: ${name} stands for one wherever a value is expected.",
    }


def _overlay() -> dict[str, Any]:
    """Return the schema of each key of a profile."""
    return {
        VARIABLES: _nullable(_variables()),
        "trial": _nullable(_reference("overlaid values")),
        "grid": _nullable(_nullable_properties(_grid())),
        "models": _nullable({"type": "object", "additionalProperties": _nullable(_reference("overlaid model"))}),
        "arms": _nullable({"type": "object", "additionalProperties": _nullable(_reference("overlaid axes"))}),
        "search": _nullable({**_nullable_properties(_search(_nullable(_reference("overlaid space")))), "required": []}),
        "resources": _nullable(_nullable_properties(_model(Resources))),
    }


def _extending_keys(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of each key of a file that extends another, given those of one that extends none.

    What lies below a key may be left out, or null.
    """
    nullable = {name: _nullable(schema) for name, schema in keys.items() if name != "name"}
    parts = {name: _nullable({**_nullable_properties(keys[name]), "required": []}) for name in ("paper", "table")}
    profiles = {**keys["profiles"], "additionalProperties": _nullable(keys["profiles"]["additionalProperties"])}
    return {"name": keys["name"], **nullable, **parts, **_overlay(), "profiles": _nullable(profiles)}


def _claim() -> dict[str, Any]:
    comparison = _model(Comparison)
    selectors = {"anyOf": [_reference("selector"), _several(1)]}
    types = {
        "lower": selectors,
        "higher": selectors,
        "than": selectors,
        "rising": _several(2),
        "where": _reference("values or extremes"),
        "minus": _reference("minus"),
    }
    for name, schema in types.items():
        comparison["properties"][name] = {**schema, "description": comparison["properties"][name]["description"]}
    alone = {"not": {"required": ["rising"]}}
    comparison["oneOf"] = [
        {"required": ["lower", "than"], **alone},
        {"required": ["higher", "than"], **alone},
        {"required": ["rising"], "not": {"required": ["than"]}},
    ]
    comparison["dependentSchemas"] = {"times": {"not": {"anyOf": [{"required": [name]} for name in NOT_BESIDE_TIMES]}}}
    claim = _model(Claim)
    claim["properties"]["compare"]["items"] = comparison
    return claim


def _several(least: int) -> dict[str, Any]:
    return {"type": "array", "minItems": least, "items": _reference("selector")}


def _field_definitions() -> dict[str, Any]:
    """Return two schemas of each field: of its value, and of its value or a list of values to try."""
    definitions: dict[str, Any] = {}
    for name in CATALOGUE.fields:
        value = _field_definition(name)
        if CATALOGUE.fields[name].traits.needed:
            value = {"anyOf": [{"type": "string"}, _reference("model")], "description": value["description"]}
        if name in CATALOGUE.kinds:
            value["enum"] = list(CATALOGUE.names(name))
        definitions[f"field {name}"] = value
        several = {"type": "array", "minItems": 1, "items": _value(name)}
        definitions[f"axis {name}"] = {"anyOf": [_value(name), several], "description": value["description"]}
    return definitions


def _field_definition(name: str) -> dict[str, Any]:
    """Return the schema of what any declaration of a field accepts, with what each says that it is."""
    declared = CATALOGUE.distinct_declarations(name)
    types: list[dict[str, Any]] = []
    for field in declared:
        fields: dict[str, Any] = {name: (field.info.annotation, field.info)}
        schema = create_model("Fields", **fields).model_json_schema()["properties"][name]
        accepted = {key: item for key, item in schema.items() if key not in ("default", "description", "title")}
        types += [part for part in accepted.get("anyOf", [accepted]) if part not in types]
    description = " ".join(dict.fromkeys(field.description for field in declared))
    any_of = types[0] if len(types) == 1 else {"anyOf": types}
    return dict(sorted({**any_of, "description": description, "title": schema["title"]}.items()))


def _mapping_definitions() -> dict[str, Any]:
    values = _mapping({name: _value(name) for name in CATALOGUE.fields})
    axes = _grid()
    searched = [name for name, field in CATALOGUE.fields.items() if not (field.traits.seed or field.traits.needed)]
    space = _mapping({name: _reference("distribution") for name in searched if name not in CATALOGUE.kinds})
    return {
        "distribution": {**_model(Distribution), "minProperties": 1, "maxProperties": 1},
        "values": values,
        "axes": axes,
        "overlaid values": _nullable_properties(values),
        "overlaid axes": _nullable_properties(axes),
        "space": space,
        "overlaid space": _nullable_properties(space),
        "model": _needed_model(),
        "overlaid model": _nullable_properties(_needed_model()),
        "settings": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": _nullable(_reference("axes")),
            "description": "Values of the field, each with the fields that go with it.",
        },
    }


def _search(space: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of ``search``; ``space`` is that of what an arm searches."""
    search = _model(SearchOptions)
    of_arms = {**search["properties"]["space"], "additionalProperties": space}
    first = {**search["properties"]["first"], "items": _reference("values")}
    seeds = {name: {"type": "array", "items": _value(name), "minItems": 1} for name in CATALOGUE.seeds}
    confirm = {**search["properties"]["confirm"], **_mapping(seeds)}
    stop = {**_nullable(_model(StopOptions)), "description": search["properties"]["stop"]["description"]}
    race = {**_nullable(_model(RaceOptions)), "description": search["properties"]["race"]["description"]}
    metric = {"enum": list(CATALOGUE.metrics)}
    several = {"type": "array", "minItems": 1, "uniqueItems": True, "items": metric}
    minimise = {"anyOf": [metric, several], "description": search["properties"]["minimise"]["description"]}
    at_most = {**search["properties"]["at_most"], **_mapping({name: {"type": "number"} for name in CATALOGUE.metrics})}
    own = {"space": of_arms, "first": first, "minimise": minimise, "at_most": at_most, "stop": stop, "race": race}
    own |= {"confirm": confirm}
    return {**search, "properties": {**search["properties"], **own}}


def _needed_model() -> dict[str, Any]:
    like = {"type": "string", "description": "Another model, whose fields this one takes over."}
    return _mapping({LIKE: like, **{name: _value(name) for name in CATALOGUE.fields}})


def _grid() -> dict[str, Any]:
    needed = CATALOGUE.fields_with("needed")
    return _mapping(
        {
            name: _reference(f"axis {name}")
            if name in needed
            else {"anyOf": [_reference(f"axis {name}"), _reference("settings")]}
            for name in CATALOGUE.fields
        }
    )


def _selector_definitions() -> dict[str, Any]:
    """Return the schemas of what names trials: an arm with values of fields, and values alone."""
    extremes = {"enum": list(EXTREMES)}
    values = {
        name: {"anyOf": [_value(name), extremes]} for name, field in CATALOGUE.fields.items() if not field.traits.seed
    }
    arm = {**_mapping({"arm": {"type": "string"}, **values}), "required": ["arm"]}
    minus = {**_mapping({"metric": {"enum": list(CATALOGUE.metrics)}, **values}), "minProperties": 1}
    return {"selector": {"anyOf": [{"type": "string"}, arm]}, "values or extremes": _mapping(values), "minus": minus}


def _mapping(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties)}


def _reference(definition: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{definition.replace(' ', '_')}"}


def _value(name: str) -> dict[str, Any]:
    return _reference(f"field {name}")


def _model(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.pop("$defs", None)
    for name, part in schema["properties"].items():
        if name in METRIC_KEYS:
            part["enum"] = [*CATALOGUE.metrics, *([None] if "default" in part else [])]
    return schema


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _nullable_properties(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {name: _nullable(item) for name, item in schema["properties"].items()}}
