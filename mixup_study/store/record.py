"""The columns of the results, and the record of one trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic_core import PydanticUndefined

from mixup_study.catalogue.metrics import METRICS
from mixup_study.study.trial import Trial

Status = Literal["done", "failed"]

_TYPES = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}


def _column(schema: Mapping[str, Any]) -> pa.DataType:
    if schema.get("type") == "array":
        return pa.list_(_column(schema["items"]))
    kinds = [part["type"] for part in schema.get("anyOf", [schema]) if part["type"] != "null"]
    return _TYPES[kinds[0]]


TRIAL_COLUMNS: dict[str, pa.DataType] = {
    name: _column(schema) for name, schema in Trial.model_json_schema()["properties"].items()
}
DEFAULTS: dict[str, Any] = {
    name: value for name, field in Trial.model_fields.items() if (value := field.get_default()) is not PydanticUndefined
}
"""What a trial recorded before a field was added had for it."""
TRIALS = pa.schema(
    [
        ("trial_id", pa.string()),
        *TRIAL_COLUMNS.items(),
        ("status", pa.string()),
        ("error", pa.string()),
        ("traceback", pa.string()),
        *((metric, pa.float64()) for metric in METRICS),
        ("train_seconds", pa.float64()),
        ("resumed_seconds", pa.float64()),
        ("pack_size", pa.int64()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("device", pa.string()),
        ("code_version", pa.string()),
        ("python_version", pa.string()),
        ("torch_version", pa.string()),
        ("ray_version", pa.string()),
    ]
)
"""One row per trial. Errors are fractions in [0, 1]; ``train_seconds`` is wall time inside the training function,
divided by ``pack_size``, the number of trials that it trained together, and ``resumed_seconds`` those of them before
the checkpoint that the process of ``started_at`` went on from."""

EPOCHS = pa.schema(
    [
        ("trial_id", pa.string()),
        ("epoch", pa.int64()),
        ("lr", pa.float64()),
        ("train_loss", pa.float64()),
        ("test_error", pa.float64()),
        ("discriminator_loss", pa.float64()),
        ("generator_loss", pa.float64()),
        ("modes_covered", pa.float64()),
        ("near_modes", pa.float64()),
        ("seconds", pa.float64()),
    ]
)
"""One row per trial and epoch, epochs counted from 1; ``train_loss`` is the mean over the virtual examples. What
a trial's task does not measure is null."""

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
a GAN's data; ``sample``: drawn from its generator after ``iteration`` of its steps.
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


@dataclass(frozen=True)
class TrialRecord:
    """Everything the results keep of one trial, finished or failed."""

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

    def trials_table(self) -> pa.Table:
        """Return the record's one row of TRIALS."""
        row = {
            "trial_id": self.trial.trial_id,
            **self.trial.flat(),
            "status": self.status,
            "error": self.error,
            "traceback": self.traceback,
            **self.measurements,
            "train_seconds": self.train_seconds,
            "resumed_seconds": self.resumed_seconds,
            **vars(self.provenance),
        }
        return pa.Table.from_pylist([row], schema=TRIALS)

    def epochs_table(self) -> pa.Table:
        """Return the record's rows of EPOCHS."""
        rows = [{"trial_id": self.trial.trial_id, **epoch} for epoch in self.epochs]
        return pa.Table.from_pylist(rows, schema=EPOCHS)

    def points_table(self) -> pa.Table:
        """Return the record's rows of POINTS."""
        count = len(next(iter(self.points.values()), ()))
        columns: dict[str, Any] = {"trial_id": [self.trial.trial_id] * count, "point": range(count)}
        columns.update(self.points)
        nothing = [None] * count
        return pa.table({name: columns.get(name, nothing) for name in POINTS.names}, schema=POINTS)
