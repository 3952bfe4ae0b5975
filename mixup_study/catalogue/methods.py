"""The vicinal distributions (sections 2 and 3.8)."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from mixup_study.catalogue.entries import Method, Network
from mixup_study.catalogue.fields import Deviation, Fields, Fraction, Strength, Traits


class InterpolationFields(Fields):
    """Fields of methods that draw lambda."""

    alpha: Annotated[Strength, Traits(sign="α", varies_in_pack=True)] = Field(
        description="Interpolation strength: lambda ~ Beta(alpha, alpha), or Dirichlet weights; 0 is ERM, .inf averages"
        " (section 2).",
    )
    warmup_epochs: Annotated[int, Traits(caption=True, varies_in_pack=True)] = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Epochs at the beginning in which nothing is mixed: lambda is 1, as in ERM (section 3.3).",
    )


class PartnerFields(Fields):
    """Fields that say which examples are mixed with which."""

    same_class: Annotated[bool, Traits(alone=True, requires="labels")] = Field(
        default=False,
        description="Mix only examples of the same class (SC); those of all classes by default (AC; section 3.8).",
    )
    mix_across_workers: Annotated[bool, Traits(caption=True, alone=True)] = Field(
        default=True,
        description="Data-parallel workers mix the whole minibatch; otherwise each its own part, which it has at hand.",
    )
    neighbours: Annotated[
        Annotated[int, Field(ge=1, le=100_000)] | None,
        Traits(caption=True, alone=True, requires="images", unless="streamed"),
    ] = Field(
        default=None,
        description="Mix with a random one of this many nearest neighbours in the training set (KNN); with random"
        " examples of the minibatch by default (RP; section 3.8).",
    )


class MixupFields(PartnerFields, InterpolationFields):
    """Fields of mixup."""


class DirichletMixupFields(InterpolationFields):
    """Fields of mixup of more than two examples."""

    ways: int = Field(ge=2, le=1000, description="Examples that dirichlet_mixup combines into one (section 2).")


class MixInputsFields(PartnerFields, InterpolationFields):
    """Fields of mixing inputs alone."""

    label_smoothing: Annotated[Fraction | None, Traits(sign="ε", changes="target")] = Field(
        default=None,
        description="Epsilon: the target of each of K classes gets epsilon/K, the right one the rest (section 3.8).",
    )


class LatentMixupFields(InterpolationFields):
    """Fields of mixing hidden representations."""

    layer: int = Field(
        ge=1,
        description="Layer whose input latent_mixup mixes: a stage of the network, counted from 1 (section 3.8).",
    )

    @field_validator("layer")
    @classmethod
    def _is_a_layer(cls, layer: int, info: ValidationInfo) -> int:
        network: Network = cast(Any, info.context).network  # the trial's components
        count = network.count_layers(info.data)
        if layer > count:
            names = ", ".join(map(str, range(1, count + 1))) or "none"
            raise PydanticCustomError(
                "layer", "expected one of {names}, the layers of {model}", {"names": names, "model": network.name}
            )
        return layer


class LabelSmoothingFields(Fields):
    """Fields of label smoothing."""

    label_smoothing: Annotated[Fraction, Traits(sign="ε", changes="target")] = Field(
        description="Epsilon: the target of each of K classes gets epsilon/K, the right one the rest (section 3.8).",
    )


class GaussianNoiseFields(Fields):
    """Fields of Gaussian vicinities."""

    sigma: Annotated[Deviation, Traits(sign="σ")] = Field(
        description="Standard deviation of the noise that gaussian_noise adds to normalised images (section 3.8).",
    )


_INPUT, _TARGET = frozenset({"input"}), frozenset({"target"})
_BOTH_TASKS = frozenset({"classification", "gan"})

METHODS = (
    Method("erm", "mixup_study.vicinity.erm:ERM", tasks=_BOTH_TASKS, packs=True),
    Method(
        "mixup",
        "mixup_study.vicinity.mixup:Mixup",
        MixupFields,
        changes=_INPUT | _TARGET,
        tasks=_BOTH_TASKS,
        packs=True,
    ),
    Method(
        "dirichlet_mixup",
        "mixup_study.vicinity.dirichlet_mixup:DirichletMixup",
        DirichletMixupFields,
        changes=_INPUT | _TARGET,
    ),
    Method(
        "latent_mixup",
        "mixup_study.vicinity.latent_mixup:LatentMixup",
        LatentMixupFields,
        changes=_INPUT | _TARGET,
    ),
    Method("mix_inputs", "mixup_study.vicinity.mix_inputs:MixInputs", MixInputsFields, changes=_INPUT, packs=True),
    Method(
        "label_smoothing",
        "mixup_study.vicinity.label_smoothing:LabelSmoothing",
        LabelSmoothingFields,
        changes=_TARGET,
        packs=True,
    ),
    Method("gaussian_noise", "mixup_study.vicinity.gaussian_noise:GaussianNoise", GaussianNoiseFields, changes=_INPUT),
)
