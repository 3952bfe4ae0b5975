"""The tasks, with what their trials measure."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal, cast

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from mixup_study.catalogue.data_sets import LabelFields
from mixup_study.catalogue.entries import Curve, Method, Metric, Task
from mixup_study.catalogue.fields import Digest, Fields, Real, Seed, Traits
from mixup_study.catalogue.units import PERCENT, PLAIN, count_of

MODES = count_of("modes")


class CoreFields(Fields):
    """Fields of every trial."""

    task: str = Field(default="classification", description="What is learnt, or evaluated.")


class TrainingFields(Fields):
    """Fields of tasks that train a network: its components, and the schedule of its epochs."""

    dataset: Annotated[str, Traits(cost=True)] = Field(description="Data set to train and test on.")
    file_digest: Annotated[Digest | None, Traits(requires="files")] = Field(
        default=None,
        description="Names what the files of the data set hold: of one file, the first 16 digits of its SHA-256."
        " Computed where it is left out; a run refuses files of another digest.",
    )
    model: Annotated[str, Traits(cost=True)] = Field(description="Network to train.")
    method: str = Field(default="erm", description="How minibatches become virtual examples (section 2).")
    optimizer: str = Field(
        default="sgd", description="sgd, without Nesterov momentum, or adam, with PyTorch's default betas and epsilon."
    )
    epochs: int = Field(
        ge=1, le=1_000_000, description="Passes over the training set; of a GAN, hundreds of generator steps."
    )
    batch_size: Annotated[int, Traits(cost=True)] = Field(
        ge=1, le=2**31, description="Examples per minibatch, over all workers together."
    )
    milestones: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = Field(
        default=(),
        strict=False,
        description="Epochs after which the learning rate is multiplied by lr_factor, rising; one beyond the last"
        " epoch is never reached.",
    )
    lr_factor: Real = Field(default=0.1, gt=0, le=1, description="Factor of the learning rate at each milestone.")
    seed: Annotated[Seed, Traits(seed=True, varies_in_pack=True)] = Field(
        default=0, description="Seed of initial weights, minibatch order, augmentation, lambda, dropout."
    )

    @field_validator("milestones")
    @classmethod
    def _rise(cls, milestones: tuple[int, ...]) -> tuple[int, ...]:
        if any(later <= earlier for earlier, later in itertools.pairwise(milestones)):
            raise PydanticCustomError("order", "expected epochs in rising order, each once")
        return milestones


class ClassificationFields(TrainingFields, LabelFields):
    """Fields of a classification."""

    lr_warmup_epochs: Annotated[int, Traits(caption=True, alone=True)] = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Epochs at the beginning in which the learning rate rises to lr, linearly by steps (section 3.1).",
    )
    lr_warmup_from: Annotated[Real, Traits(alone=True)] = Field(
        default=0.0, ge=0, description="Learning rate at the first step, where it rises at the beginning."
    )
    norm_decay: Annotated[bool, Traits(caption=True, alone=True)] = Field(
        default=True, description="Weight decay on the scales and shifts of BatchNorm too."
    )

    workers: Annotated[int, Traits(caption=True, cost=True, alone=True)] = Field(
        default=1,
        ge=1,
        le=1024,
        description="Data-parallel workers. They change BatchNorm's statistics, so they belong to the trial.",
    )
    micro_batch: Annotated[
        Annotated[int, Field(ge=1, le=2**31)] | None, Traits(caption=True, cost=True, alone=True)
    ] = Field(
        default=None,
        description="Examples of a worker's part of a minibatch that are in the network at a time, for less memory;"
        " their gradients are added up. All of them by default. BatchNorm's statistics are of so many, so it belongs to"
        " the trial.",
    )
    precision: Annotated[
        Literal["float32", "bfloat16"], Traits(implementation=True, caption=True, cost=True, alone=True)
    ] = Field(default="float32", description="bfloat16: forward passes under autocast; parameters stay float32.")
    memory_format: Annotated[Literal["contiguous", "channels_last"], Traits(implementation=True, requires="images")] = (
        Field(default="contiguous", description="Memory layout of images and convolution weights.")
    )

    @field_validator("micro_batch")
    @classmethod
    def _mixes_outside(cls, micro_batch: int | None, info: ValidationInfo) -> int | None:
        method: Method | None = None if info.context is None else cast(Any, info.context).method
        if micro_batch is not None and method is not None and method.name == "latent_mixup":
            raise PydanticCustomError(
                "latent", "latent_mixup mixes a whole minibatch within the network; expected none"
            )
        return micro_batch

    @field_validator("lr_warmup_from")
    @classmethod
    def _rises(cls, lr_warmup_from: float, info: ValidationInfo) -> float:
        if lr_warmup_from and not info.data.get("lr_warmup_epochs"):
            raise PydanticCustomError(
                "unused", "the learning rate does not rise at the beginning; expected lr_warmup_epochs beside it"
            )
        return lr_warmup_from


class GANFields(TrainingFields):
    """Fields of a generative adversarial network (section 3.7)."""

    discriminator_steps: Annotated[int, Traits(cost=True)] = Field(
        default=5,
        ge=1,
        le=1000,
        description="Steps of a GAN's discriminator before each of its generator (section 3.7).",
    )


TASKS = (
    Task(
        "classification",
        "mixup_study.training.tasks.classification:Classification",
        ClassificationFields,
        takes=frozenset({"labels"}),
        metrics=(
            Metric("test_error_best", PERCENT),
            Metric("test_error_last", PERCENT),
            Metric("test_error_median10", PERCENT),
            Metric("test_top5_error_last", PERCENT),
            Metric("validation_error_best", PERCENT),
            Metric("validation_error_last", PERCENT),
            Metric("validation_error_median10", PERCENT),
            Metric("train_error_real", PERCENT),
            Metric("train_error_corrupted", PERCENT),
        ),
        curves=(
            Curve("train_loss", PLAIN, gauge="train_loss", description="Mean training loss of the last epoch"),
            Curve(
                "test_error",
                PERCENT,
                gauge="test_error_ratio",
                description="Top-1 test error after the last epoch, in [0, 1]",
            ),
            Curve(
                "test_top5_error",
                PERCENT,
                gauge="test_top5_error_ratio",
                description="Top-5 test error after the last epoch, in [0, 1], where there are ten classes or more",
            ),
            Curve(
                "validation_error",
                PERCENT,
                gauge="validation_error_ratio",
                description="Top-1 error on the validation part after the last epoch, in [0, 1], where there is one",
            ),
        ),
        headline="test_error",
        build_pack="mixup_study.training.packs.pack:Pack",
        build_network="mixup_study.training.tasks.classifier:build_network",
    ),
    Task(
        "gan",
        "mixup_study.training.tasks.gan:GAN",
        GANFields,
        takes=frozenset({"density"}),
        metrics=(
            Metric("modes_covered_last", MODES, "higher"),
            Metric("modes_covered_lowest", MODES, "higher"),
            Metric("near_modes_last", PERCENT, "higher"),
            Metric("near_modes_mean", PERCENT, "higher"),
        ),
        curves=(
            Curve(
                "discriminator_loss",
                PLAIN,
                gauge="discriminator_loss",
                description="Mean loss of a GAN's discriminator",
            ),
            Curve("generator_loss", PLAIN, gauge="generator_loss", description="Mean loss of a GAN's generator"),
            Curve(
                "modes_covered",
                MODES,
                "higher",
                gauge="modes_covered",
                description="Modes of the density that a GAN's samples lie near",
            ),
            Curve(
                "near_modes",
                PERCENT,
                "higher",
                gauge="near_modes_ratio",
                description="Part of a GAN's samples that lie near a mode, in [0, 1]",
            ),
        ),
        headline="modes_covered",
        epoch_label="epoch (100 generator steps)",
        build_network="mixup_study.training.tasks.gan:build_networks",
    ),
)
