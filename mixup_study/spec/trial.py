"""A trial: one fully resolved training configuration, and the digest that names it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, create_model, field_validator
from pydantic_core import PydanticCustomError

RESULTS_VERSION = 1
"""Enters every trial_id. Raised when a change of the code, or of a default below, changes what a trial measures."""

DatasetName = Literal["digits", "cifar10", "cifar100", "fashion_mnist"]
ModelName = Literal["preact_resnet18", "mlp"]
MethodName = Literal[
    "erm", "mixup", "dirichlet_mixup", "mix_inputs", "latent_mixup", "label_smoothing", "gaussian_noise"
]

MODEL_LAYERS: dict[ModelName, int] = {"preact_resnet18": 5, "mlp": 3}
"""How many layers each network has whose input can be mixed."""


class MethodRule(NamedTuple):
    """What a method takes, and what it changes about a training example."""

    needed: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    """``input``, whatever the layer, and ``target``, as the ticks of Table 5 have it."""


_INPUT, _BOTH = frozenset({"input"}), frozenset({"input", "target"})
_PARTNERS = frozenset({"same_class", "neighbours"})
METHOD_RULES: dict[MethodName, MethodRule] = {
    "erm": MethodRule(),
    "mixup": MethodRule(frozenset({"alpha"}), _PARTNERS, changes=_BOTH),
    "dirichlet_mixup": MethodRule(frozenset({"alpha", "ways"}), changes=_BOTH),
    "mix_inputs": MethodRule(frozenset({"alpha"}), _PARTNERS | {"label_smoothing"}, changes=_INPUT),
    "latent_mixup": MethodRule(frozenset({"alpha", "layer"}), changes=_BOTH),
    "label_smoothing": MethodRule(frozenset({"label_smoothing"}), changes=frozenset({"target"})),
    "gaussian_noise": MethodRule(frozenset({"sigma"}), changes=_INPUT),
}
"""The rules of every method; a method-specific hyper-parameter that it does not take must be left out."""

Real = Annotated[float, Field(allow_inf_nan=False), AfterValidator(lambda value: value + 0.0)]  # -0.0 is 0.0
MAX_STRENGTH = 1e6


def _strength(value: float) -> float:
    if MAX_STRENGTH < value < math.inf:
        raise PydanticCustomError("strength", "expected a value in [0, 1e+06], or .inf")
    return value + 0.0


Strength = Annotated[float, Field(ge=0), AfterValidator(_strength)]
Fraction = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1), AfterValidator(lambda value: value + 0.0)]
Deviation = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e6), AfterValidator(lambda value: value + 0.0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Trial(BaseModel):
    """One training run, in the words that study files, ``--set``, result columns and SQL share.

    A trial is its content: two trials with equal fields are the same trial, whatever study, arm, machine or
    resources they come from. Sections refer to the paper.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="constants")

    dataset: DatasetName = Field(description="Data set to train and test on.")
    train_size: Annotated[int, Field(ge=1, le=2**31)] | None = Field(
        default=None, description="Train on this many examples, drawn by data_seed; all of them by default."
    )
    label_noise: Real = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Probability with which a training label is replaced by one drawn from all classes (section 3.4).",
    )
    data_seed: Seed = Field(default=0, description="Seed of the label noise and of train_size.")
    augment: bool = Field(
        default=True, description="Random crops and flips, as far as the data set allows them (section 3.2)."
    )

    model: ModelName = Field(description="Network to train.")
    width: int = Field(default=64, ge=1, le=4096, description="Channels of the network's first stage.")
    dropout: Real = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Probability of zeroing a unit between the two convolutions of each block (section 3.4).",
    )

    method: MethodName = Field(default="erm", description="How minibatches become virtual examples (section 2).")
    alpha: Strength | None = Field(
        default=None,
        validate_default=True,
        description="Interpolation strength: lambda ~ Beta(alpha, alpha), or Dirichlet weights; 0 is ERM, .inf averages"
        " (section 2).",
    )
    ways: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        default=None,
        validate_default=True,
        description="Examples that dirichlet_mixup combines into one (section 2).",
    )
    same_class: bool = Field(
        default=False,
        description="Mix only examples of the same class (SC); those of all classes by default (AC; section 3.8).",
    )
    neighbours: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None,
        description="Mix with a random one of this many nearest neighbours in the training set (KNN); with random"
        " examples of the minibatch by default (RP; section 3.8).",
    )
    layer: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        validate_default=True,
        description="Layer whose input latent_mixup mixes: a stage of the network, counted from 1 (section 3.8).",
    )
    label_smoothing: Fraction | None = Field(
        default=None,
        validate_default=True,
        description="Epsilon: the target of each of K classes gets epsilon/K, the right one the rest (section 3.8).",
    )
    sigma: Deviation | None = Field(
        default=None,
        validate_default=True,
        description="Standard deviation of the noise that gaussian_noise adds to normalised images (section 3.8).",
    )

    epochs: int = Field(ge=1, le=1_000_000, description="Passes over the training set.")
    batch_size: int = Field(ge=1, le=2**31, description="Examples per minibatch, over all workers together.")
    workers: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Data-parallel workers. They change BatchNorm's statistics, so they belong to the trial.",
    )
    lr: Real = Field(gt=0, description="Learning rate of SGD before the first milestone.")
    momentum: Real = Field(default=0.9, ge=0, lt=1, description="Momentum of SGD, without Nesterov.")
    weight_decay: Real = Field(default=1e-4, ge=0, description="Weight decay on every parameter, BatchNorm included.")
    milestones: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = Field(
        default=(),
        strict=False,
        description="Epochs after which the learning rate is multiplied by lr_factor, rising; one beyond the last"
        " epoch is never reached.",
    )
    lr_factor: Real = Field(default=0.1, gt=0, le=1, description="Factor of the learning rate at each milestone.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="bfloat16: forward passes under autocast; parameters stay float32."
    )
    memory_format: Literal["contiguous", "channels_last"] = Field(
        default="contiguous", description="Memory layout of images and convolution weights."
    )
    fused: bool = Field(default=True, description="Use the fused implementation of SGD.")
    seed: Seed = Field(
        default=0, description="Seed of initial weights, minibatch order, augmentation, lambda, dropout."
    )

    @field_validator("milestones")
    @classmethod
    def _rising(cls, milestones: tuple[int, ...]) -> tuple[int, ...]:
        if any(later <= earlier for earlier, later in itertools.pairwise(milestones)):
            raise PydanticCustomError("order", "expected epochs in rising order, each once")
        return milestones

    @field_validator("alpha", "ways", "same_class", "neighbours", "layer", "label_smoothing", "sigma")
    @classmethod
    def _fits_method(cls, value: Any, info: ValidationInfo) -> Any:
        method = info.data.get("method")
        if method is not None and info.field_name is not None:
            rule = METHOD_RULES[method]
            given = value is not None and value is not False
            if info.field_name in rule.needed and not given:
                raise PydanticCustomError("method", "expected a value: method {method} needs it", {"method": method})
            if given and info.field_name not in rule.needed | rule.optional:
                raise PydanticCustomError("method", "method {method} does not take it", {"method": method})
        return value

    @field_validator("layer")
    @classmethod
    def _layer_is_there(cls, layer: int | None, info: ValidationInfo) -> int | None:
        model = info.data.get("model")
        if layer is not None and model is not None and layer > MODEL_LAYERS[model]:
            names = ", ".join(map(str, range(1, MODEL_LAYERS[model] + 1)))
            raise PydanticCustomError(
                "layer", "expected one of {names}, the layers of {model}", {"names": names, "model": model}
            )
        return layer

    @property
    def changes(self) -> frozenset[str]:
        """Return which of ``input`` and ``target`` differ from ERM's in training (Table 5)."""
        smoothing = {"target"} if self.label_smoothing else set()
        return METHOD_RULES[self.method].changes | smoothing

    @property
    def trial_id(self) -> str:
        """Return 16 hexadecimal digits that name this trial by its content.

        Fields at their defaults are left out, so that a field added later leaves the ids of recorded trials
        alone; changing a default raises RESULTS_VERSION.
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        canonical = json.dumps([RESULTS_VERSION, content], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def flat(self) -> dict[str, Any]:
        """Return every field by name, in the order of the result columns; milestones become a list."""
        return self.model_dump(mode="json")


FIELDS: tuple[str, ...] = tuple(Trial.model_fields)


def check_field(name: str, value: Any) -> None:
    """Raise pydantic's ValidationError unless ``value`` is one that the field ``name`` may have in some trial."""
    _alone(name).model_validate({name: value})


@cache
def _alone(name: str) -> type[BaseModel]:
    field = Trial.model_fields[name]
    fields: dict[str, Any] = {name: (field.annotation, field)}
    return create_model("Field", __config__=ConfigDict(strict=True), **fields)
