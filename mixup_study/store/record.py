"""The columns of the results, and the record of one trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import create_model

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.components import choose_components
from mixup_study.study.trial import Trial

Status = Literal["done", "failed", "stopped"]

DIVERGED = "TrainingDiverged: "
"""What the error of a trial begins with that failed because of what it is, and would fail again."""

_TYPES = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}


def trials_schema() -> pa.Schema:
    """Return the columns of the trials' table, with one row per trial: every field and metric of the catalogue.

    A field that the trial does not take is null, and so is what its task does not measure. Errors are fractions in
    [0, 1]; ``train_seconds`` is wall time inside the training function, divided by ``pack_size``, the number of trials
    that it trained together, and ``resumed_seconds`` those of them before the checkpoint that the process of
    ``started_at`` went on from. ``data_digest`` names the content of a data set that is made or converted on the
    machine, where that may differ; ``model_digests`` are those of the models that an evaluation used, that of its
    source first. ``instruction_set`` is that of PyTorch's CPU kernels, with the variables that choose another one for
    oneDNN or MKL.
    """
    return pa.schema(
        [
            ("trial_id", pa.string()),
            *_field_columns(),
            ("status", pa.string()),
            ("error", pa.string()),
            ("traceback", pa.string()),
            *((metric, pa.float64()) for metric in CATALOGUE.metrics),
            ("train_seconds", pa.float64()),
            ("resumed_seconds", pa.float64()),
            ("pack_size", pa.int64()),
            ("data_digest", pa.string()),
            ("model_digests", pa.list_(pa.string())),
            ("started_at", pa.timestamp("us", tz="UTC")),
            ("device", pa.string()),
            ("cpu_model", pa.string()),
            ("instruction_set", pa.string()),
            ("code_version", pa.string()),
            ("python_version", pa.string()),
            ("torch_version", pa.string()),
            ("numpy_version", pa.string()),
            ("ray_version", pa.string()),
        ]
    )


def epochs_schema() -> pa.Schema:
    """Return the columns of the epochs' table, with one row per trial and epoch, counted from 1.

    ``train_loss`` is the mean over the virtual examples. What a trial's task does not measure is null.
    """
    curves = [(curve, pa.float64()) for curve in CATALOGUE.curves]
    numbers = [("trial_id", pa.string()), ("epoch", pa.int64()), ("lr", pa.float64())]
    return pa.schema([*numbers, *curves, ("seconds", pa.float64())])


def _field_columns() -> list[tuple[str, pa.DataType]]:
    fields: dict[str, Any] = {name: (field.info.annotation, field.info) for name, field in CATALOGUE.fields.items()}
    schemas = create_model("Fields", **fields).model_json_schema(mode="serialization")["properties"]
    return [(name, _column_type(schema)) for name, schema in schemas.items()]


def _column_type(schema: Mapping[str, Any]) -> pa.DataType:
    if schema.get("type") == "array":
        return pa.list_(_column_type(schema["items"]))
    types = [part["type"] for part in schema.get("anyOf", [schema]) if part["type"] != "null"]
    return _TYPES[types[0]]


PROPOSALS = pa.schema(
    [
        ("proposal_id", pa.string()),
        ("search_id", pa.string()),
        ("number", pa.int64()),
        ("study", pa.string()),
        ("arm", pa.string()),
        ("values", pa.string()),
        ("trial_ids", pa.list_(pa.string())),
        ("sampler", pa.string()),
        ("proposed_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""Settings that searches proposed, counted from 0 in each: ``values`` as JSON, and the trials that try them.

``sampler`` is what proposed it, with Optuna's version, or ``first`` of a setting that the study gives.
"""

POINTS = pa.schema(
    [
        ("trial_id", pa.string()),
        ("point", pa.int64()),
        ("kind", pa.string()),
        ("iteration", pa.int64()),
        ("x", pa.float32()),
        ("y", pa.float32()),
        ("value", pa.float32()),
    ]
)
"""Points in the plane that trials keep, counted from 0 in each.

``training``: a training point, ``value`` its label; ``probability``: ``value`` is p(y=1) there; ``data``: drawn from
a GAN's data; ``sample``: drawn from its generator after ``iteration`` of its steps; ``misses``, ``loss_gradient_norm``
and ``logit_gradient_norm``: at lambda ``x``, the mean over pairs of examples ``y`` and its standard error ``value``.
"""


@dataclass(frozen=True)
class Provenance:
    """Where a record comes from, in the columns of TRIALS; null is what nobody knows."""

    pack_size: int
    started_at: datetime
    device: str | None
    code_version: str
    python_version: str
    torch_version: str | None
    ray_version: str | None
    cpu_model: str | None = None
    instruction_set: str | None = None
    numpy_version: str | None = None


def read_trial(record: Mapping[str, Any]) -> Trial:
    """Return the trial that a row of the trials' table is of.

    Raises ValueError, pydantic's ValidationError too, for one whose components this process does not know, or knows
    in another version, and for an evaluation, of which the row has the trial_ids of others alone.
    """
    components = choose_components({kind: record[kind] for kind in CATALOGUE.kinds if record[kind] is not None})
    if components.needed_trials:
        raise ValueError("it evaluates the models of other trials")
    trial = Trial(**{name: record[name] for name in components.fields if record[name] is not None})
    if trial.trial_id != record["trial_id"]:
        raise ValueError("its components, or their defaults, have changed since")
    return trial


@dataclass(frozen=True)
class TrialRecord:
    """Everything the results keep of one trial: finished, failed, or stopped after some of its epochs."""

    trial: Trial
    status: Status
    provenance: Provenance
    train_seconds: float = 0.0
    measurements: Mapping[str, float | None] = field(default_factory=dict)
    epochs: Sequence[Mapping[str, Any]] = ()
    points: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Columns of POINTS, of one length."""
    error: str | None = None
    traceback: str | None = None
    resumed_seconds: float = 0.0
    data_digest: str | None = None
    """Names the content of the data set, where that may differ from machine to machine."""
    model_digests: Sequence[str] | None = None
    """Of the models of other trials that were used, in the order of the fields that name those."""

    def trials_table(self) -> pa.Table:
        """Return the record's one row of the trials' table."""
        row = {
            "trial_id": self.trial.trial_id,
            **self.trial.flat(),
            "status": self.status,
            "error": self.error,
            "traceback": self.traceback,
            **self.measurements,
            "train_seconds": self.train_seconds,
            "resumed_seconds": self.resumed_seconds,
            "data_digest": self.data_digest,
            "model_digests": self.model_digests,
            **vars(self.provenance),
        }
        return pa.Table.from_pylist([row], schema=trials_schema())

    def epochs_table(self) -> pa.Table:
        """Return the record's rows of the epochs' table."""
        rows = [{"trial_id": self.trial.trial_id, **epoch} for epoch in self.epochs]
        return pa.Table.from_pylist(rows, schema=epochs_schema())

    def points_table(self) -> pa.Table:
        """Return the record's rows of POINTS."""
        count = len(next(iter(self.points.values()), ()))
        columns: dict[str, Any] = {"trial_id": [self.trial.trial_id] * count, "point": range(count)}
        columns.update(self.points)
        nothing = [None] * count
        return pa.table({name: columns.get(name, nothing) for name in POINTS.names}, schema=POINTS)
