"""A trial: one fully resolved training configuration, and the digest that names it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Hashable, Sequence
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, create_model, field_validator
from pydantic_core import PydanticCustomError

from mixup_study.catalogue.rules import (
    METHOD_RULES,
    DatasetName,
    MethodName,
    ModelName,
    OptimizerName,
    TaskName,
    layers_of,
    refusal,
)

RESULTS_VERSION = 1
"""Enters every trial_id. Raised when a change of the code, or of a default below, changes what a trial measures."""

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

    task: TaskName = Field(default="classification", description="What is learnt.")
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
    split_seed: Seed | None = Field(
        default=None,
        description="Seed of the split into training and test rows, of data sets that have none; seed by default"
        " (section 3.6).",
    )
    augment: bool = Field(
        default=True, description="Random crops and flips, as far as the data set allows them (section 3.2)."
    )

    model: ModelName = Field(description="Network to train.")
    width: int = Field(
        default=64, ge=1, le=4096, description="Channels of the network's first stage, or units of each hidden layer."
    )
    depth: int = Field(default=2, ge=1, le=64, description="Hidden layers of mlp, and of each network of a GAN.")
    dropout: Real = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Probability of zeroing a unit between the two convolutions of each block (section 3.4), or after"
        " each hidden layer of mlp.",
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

    epochs: int = Field(
        ge=1, le=1_000_000, description="Passes over the training set; of a GAN, hundreds of generator steps."
    )
    batch_size: int = Field(ge=1, le=2**31, description="Examples per minibatch, over all workers together.")
    workers: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Data-parallel workers. They change BatchNorm's statistics, so they belong to the trial.",
    )
    discriminator_steps: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Steps of a GAN's discriminator before each of its generator (section 3.7).",
    )
    optimizer: OptimizerName = Field(
        default="sgd", description="sgd, without Nesterov momentum, or adam, with PyTorch's default betas and epsilon."
    )
    lr: Real = Field(gt=0, description="Learning rate before the first milestone.")
    momentum: Real = Field(default=0.9, ge=0, lt=1, description="Momentum of SGD.")
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
    fused: bool = Field(default=True, description="Use the fused implementation of the optimizer.")
    seed: Seed = Field(
        default=0, description="Seed of initial weights, minibatch order, augmentation, lambda, dropout."
    )

    @field_validator("*")
    @classmethod
    def _is_taken(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name is not None and value != cls.model_fields[info.field_name].default:
            reason = refusal(info.field_name, value, info.data)
            if reason is not None:
                raise PydanticCustomError("foreign", "{reason}", {"reason": reason})
        return value

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
        model, depth = info.data.get("model"), info.data.get("depth")
        if layer is not None and model is not None and depth is not None and layer > layers_of(model, depth):
            names = ", ".join(map(str, range(1, layers_of(model, depth) + 1)))
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

    @property
    def needs(self) -> tuple[Trial, ...]:
        """Return the trials whose trained models this one needs; none of today's does."""
        return ()

    def flat(self) -> dict[str, Any]:
        """Return every field by name, in the order of the result columns; milestones become a list."""
        return self.model_dump(mode="json")


def joint_id(trials: Sequence[Trial]) -> str:
    """Return the trial_id of one trial, and 16 hexadecimal digits that name several in their order."""
    if len(trials) == 1:
        return trials[0].trial_id
    return hashlib.sha256(",".join(trial.trial_id for trial in trials).encode()).hexdigest()[:16]


FIELDS: tuple[str, ...] = tuple(Trial.model_fields)
SEEDS = ("seed", "data_seed", "split_seed")
"""Fields that a table takes means over."""


def comparable(value: Any) -> Hashable:
    """Return what is equal for two ways to write the same value of a field, and only for those."""
    if isinstance(value, list):
        return tuple(value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def check_field(name: str, value: Any) -> None:
    """Raise pydantic's ValidationError unless ``value`` is one that the field ``name`` may have in some trial."""
    _alone(name).model_validate({name: value})


@cache
def _alone(name: str) -> type[BaseModel]:
    field = Trial.model_fields[name]
    fields: dict[str, Any] = {name: (field.annotation, field)}
    return create_model("Field", __config__=ConfigDict(strict=True), **fields)
