"""Entries of the catalogue: what a task, data set, network, method or optimizer declares of itself.

An entry is all that is known of a component without importing PyTorch, and names the code that builds it as
``package.module:attribute``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, ClassVar, Literal

from mixup_study.catalogue.fields import Fields, fields_of
from mixup_study.catalogue.units import Unit

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Quantity:
    """Something that trials measure: a column of the results."""

    name: str
    unit: Unit
    better: Better = "lower"

    @property
    def title(self) -> str:
        """Return its name in running text: ``test error``."""
        return self.name.replace("_", " ")

    @property
    def label(self) -> str:
        """Return its name with its unit, as axes and headings have it: ``test error (%)``."""
        return f"{self.title} ({self.unit.name})" if self.unit.name == "%" else self.title

    @property
    def is_error(self) -> bool:
        """Return whether it is an error in percent, of which 100 % less it is the accuracy."""
        return self.unit.name == "%" and self.better == "lower"

    @property
    def accuracy_title(self) -> str:
        """Return what 100 % less an error is called in running text: ``test accuracy``."""
        return self.title.replace("error", "accuracy") if "error" in self.title else f"accuracy of {self.title}"

    @property
    def noun(self) -> str:
        """Return what its values are, as captions call them: ``errors``."""
        if self.unit.name != "%":
            return "counts"
        return "errors" if self.is_error else "shares"


@dataclass(frozen=True)
class Metric(Quantity):
    """What a finished trial measures: a column of the trials' table."""


@dataclass(frozen=True)
class Curve(Quantity):
    """What a trial measures after every epoch: a column of the epochs' table."""

    gauge: str | None = None
    """Name of the Prometheus gauge that shows it live, without the prefix ``mixup_study_trial_``; None for none."""
    description: str = ""
    """What the gauge is, in one line."""


@dataclass(frozen=True)
class Component:
    """A part of a trial that its study chooses by name."""

    kind: ClassVar[str]
    """The field of a trial that names it."""
    noun: ClassVar[str]
    """What messages call its kind."""

    name: str
    build: str
    """The code, as ``package.module:attribute``."""
    fields: type[Fields] = Fields
    """The fields that a trial takes which chooses it."""
    version: int | None = field(default=None, kw_only=True)
    """Raised when a change of its code, or of a default, changes what its trials measure; enters their ids above 1.

    Where a plugin declares none, its source enters them.
    """
    source: str | None = field(default=None, kw_only=True)
    """16 hexadecimal digits that name the source of a plugin's component; None of this package's own."""

    @property
    def revision(self) -> int | str | None:
        """Return what enters its trials' ids of how its code changed: the version above 1, or else the source."""
        if self.version is None:
            return self.source
        return self.version if self.version > 1 else None

    def load(self) -> Any:
        """Import and return the code."""
        return _load(self.build)


@dataclass(frozen=True)
class Task(Component):
    """What is learnt, or evaluated.

    ``build`` is called with a trial and an ``Environment`` and returns a ``training.task.Task``.
    """

    kind = "task"
    noun = "task"

    chooses: tuple[str, ...] = field(default=("dataset", "model", "method", "optimizer"), kw_only=True)
    """Kinds of the components that its trials choose."""
    takes: frozenset[str] = field(default=frozenset(), kw_only=True)
    """What its data sets must provide."""
    metrics: tuple[Metric, ...] = field(kw_only=True)
    """What a finished trial measures, at least one."""
    curves: tuple[Curve, ...] = field(default=(), kw_only=True)
    headline: str | None = field(default=None, kw_only=True)
    """Name of the curve that tells how a trial is doing; the metric ``<headline>_last`` then tells how it did."""
    epoch_label: str = field(default="epoch", kw_only=True)
    """Label of a figure's axis of epochs."""
    build_pack: str | None = field(default=None, kw_only=True)
    """Code that trains several trials as one batched model, called with them and an ``Environment``; None for none."""
    build_network: str | None = field(default=None, kw_only=True)
    """Code that returns the ``nn.Module`` whose weights a trial leaves as its model, drawn anew, called with the trial
    and the folder of the data sets; None of a task whose trials leave none."""

    def load_pack(self) -> Any:
        """Import and return the code that trains packs. Raises ValueError where there is none."""
        if self.build_pack is None:
            raise ValueError(f"trials of task {self.name} are trained alone")
        return _load(self.build_pack)

    def load_network(self) -> Any:
        """Import and return the code that builds a trial's network. Raises ValueError where there is none."""
        if self.build_network is None:
            raise ValueError(f"trials of task {self.name} leave no network")
        return _load(self.build_network)

    @property
    def headline_curve(self) -> Curve | None:
        """Return the curve that tells how a trial is doing."""
        return next((curve for curve in self.curves if curve.name == self.headline), None)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Return the names of its metrics."""
        return tuple(metric.name for metric in self.metrics)

    @property
    def headline_metric(self) -> Metric:
        """Return the metric that tells how a finished trial did: the headline's last value, or the first there is."""
        name = f"{self.headline}_last"
        return next((metric for metric in self.metrics if metric.name == name), self.metrics[0])


@dataclass(frozen=True)
class TableShape:
    """The size of a table, before its split."""

    rows: int
    features: int
    """Columns but the label."""


@dataclass(frozen=True)
class Dataset(Component):
    """A data set.

    ``build`` is called with the folder of the data sets, and by name with the values of ``reading_fields``, and
    returns a ``data.LabelledSet``. A density is the built object itself.
    """

    kind = "dataset"
    noun = "data set"

    provides: frozenset[str] = field(default=frozenset({"labels", "images"}), kw_only=True)
    """What it has that tasks, networks and fields may require: ``labels``; ``images``, ``table`` or ``density``."""
    shape: TableShape | None = field(default=None, kw_only=True)
    """The size of a table."""
    examples: int | None = field(default=None, kw_only=True)
    """Training examples, and below the pixels of each, by which ``plan`` estimates; None where nobody needs that."""
    pixels: int | None = field(default=None, kw_only=True)
    files: tuple[str, ...] = field(default=(), kw_only=True)
    """Names in the data folder, one of which is there once the data set is; none of one that needs no download."""
    content: tuple[str, ...] = field(default=(), kw_only=True)
    """Names in the data folder of the user's own files and folders that it is read from.

    What they hold enters the ids of its trials, as the field ``file_digest``. ``{file}`` stands for the value of the
    field ``file``.
    """

    @property
    def naming_fields(self) -> tuple[str, ...]:
        """Return the fields whose values name files or folders of ``content``."""
        return tuple(name for part in self.content for _, name, _, _ in Formatter().parse(part) if name)

    @property
    def features(self) -> frozenset[str]:
        """Return what fields may require of it: what it provides, and ``files`` where it has ``content``."""
        return self.provides | {"files"} if self.content else self.provides

    @property
    def reading_fields(self) -> tuple[str, ...]:
        """Return the fields of a trial by which it is read."""
        return tuple(field.name for field in fields_of(self.fields) if field.traits.reads)

    @property
    def is_split(self) -> bool:
        """Return whether it has no test set of its own, so that trials split it by their seeds."""
        return "split_seed" in self.reading_fields


@dataclass(frozen=True)
class Arithmetic:
    """What a network computes for an example in a forward pass, with the default values of its own fields."""

    gflop: float
    """10^9 floating-point operations; a multiplication and an addition are two."""
    pixels: int
    """Of the inputs that this is of; a convolutional network needs as many more as there are more of them."""


@dataclass(frozen=True)
class Network(Component):
    """A network.

    ``build`` is called with a trial, the shape of one input and the number of classes, and returns an ``nn.Module``;
    a ``networks.StagedNetwork`` where ``layers`` are to be mixed.
    """

    kind = "model"
    noun = "model"

    takes: frozenset[str] = field(default=frozenset(), kw_only=True)
    """What its data sets provide, one of these; empty for any."""
    layers: int | Callable[[Mapping[str, Any]], int] = field(default=0, kw_only=True)
    """Layers whose input can be mixed (section 3.8): a number, or what counts them by a trial's fields."""
    weights: Callable[[Any, int], int] | None = field(default=None, kw_only=True)
    """Returns the number of weights for a trial and so many input features; None of a network that no pack trains."""
    arithmetic: Arithmetic | None = field(default=None, kw_only=True)
    """By which ``plan`` estimates how long trials take that nothing was measured of; None for no such estimate."""

    def count_layers(self, values: Mapping[str, Any]) -> int:
        """Return how many layers a network has, whose trial has these values of fields."""
        return self.layers if isinstance(self.layers, int) else self.layers(values)


@dataclass(frozen=True)
class Method(Component):
    """A vicinal distribution: how minibatches become virtual examples (section 2).

    ``build`` is called with a trial and ``vicinity.Examples`` and returns a ``vicinity.VicinalDistribution``.
    """

    kind = "method"
    noun = "method"

    changes: frozenset[str] = field(default=frozenset(), kw_only=True)
    """``input``, whatever the layer, and ``target``: what it changes about a training example (ticks of Table 5)."""
    tasks: frozenset[str] = field(default=frozenset({"classification"}), kw_only=True)
    """Tasks that train with it."""
    packs: bool = field(default=False, kw_only=True)
    """Whether it draws nothing but lambda and a permutation of each minibatch, so that a pack can train with it."""


@dataclass(frozen=True)
class Optimizer(Component):
    """An optimizer; ``build`` is called with parameters and a trial and returns a ``torch.optim.Optimizer``."""

    kind = "optimizer"
    noun = "optimizer"


def _load(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)
