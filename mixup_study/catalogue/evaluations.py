"""The tasks that evaluate trained models, and train none (sections 2 and 3.5)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from mixup_study.catalogue.entries import Metric, Task
from mixup_study.catalogue.fields import Fields, NeededTrial, Real, Seed, Traits
from mixup_study.catalogue.units import PERCENT, PLAIN


class EvaluationFields(Fields):
    """Fields of evaluations of a classifier."""

    source: NeededTrial = Field(description="Trial whose model is evaluated.")

    @field_validator("source")
    @classmethod
    def _classifies(cls, source: Any) -> Any:
        return _check_classifier(source)


class BetweenFields(EvaluationFields):
    """Fields of the evaluation in between training examples (Figure 2)."""

    pairs: Annotated[int, Traits(cost=True, caption=True)] = Field(
        default=10_000, ge=2, le=10_000_000, description="Random pairs of training examples."
    )
    lambdas: Annotated[int, Traits(cost=True)] = Field(
        default=21, ge=3, le=1001, description="Values of lambda, equally spaced from 0 to 1; odd, so that 0.5 is one."
    )
    pairs_seed: Annotated[Seed, Traits(seed=True)] = Field(default=0, description="Seed of the pairs.")

    @field_validator("lambdas")
    @classmethod
    def _has_a_middle(cls, lambdas: int) -> int:
        if lambdas % 2 == 0:
            raise PydanticCustomError("odd", "expected an odd number, so that 0.5 is one of the values")
        return lambdas


class AttackFields(EvaluationFields):
    """Fields of the evaluation on adversarial examples (section 3.5)."""

    attacker: NeededTrial = Field(
        default=None,
        description="Trial whose model the adversarial examples are made with (black box); source by default (white"
        " box).",
    )
    epsilon: Annotated[Real, Traits(sign="ε", caption=True)] = Field(
        default=4.0,
        gt=0,
        le=255,
        description="Greatest change of a pixel, where pixels lie in [0, 255] (section 3.5).",
    )
    steps: Annotated[int, Traits(cost=True)] = Field(
        default=1,
        ge=1,
        le=1000,
        description="Steps of epsilon / steps each along the sign of the loss's gradient: 1 is FGSM, 10 I-FGSM.",
    )

    @field_validator("source", "attacker")
    @classmethod
    def _sees_images(cls, trial: Any) -> Any:
        if trial is not None and "images" not in _check_classifier(trial).components.dataset.provides:
            problem = "expected a trial on images, whose pixels can be changed; data set {dataset} has none"
            raise PydanticCustomError("images", problem, {"dataset": trial.dataset})
        return trial

    @field_validator("attacker")
    @classmethod
    def _shares_the_data(cls, attacker: Any, info: ValidationInfo) -> Any:
        source = info.data.get("source")
        if attacker is None or source is None:
            return attacker
        other, own = (" ".join(filter(None, [trial.dataset, trial.file_digest])) for trial in (attacker, source))
        if other != own:
            problem = "it is trained on {other}; expected a trial on the data set of source, {own}"
            raise PydanticCustomError("dataset", problem, {"other": other, "own": own})
        if attacker.trial_id == source.trial_id:
            raise PydanticCustomError("same", "it is source itself; expected another trial, or none for the white box")
        return attacker


def _check_classifier(trial: Any) -> Any:
    if trial is None:
        raise PydanticCustomError("missing", "expected a trial of task classification")
    if trial.task != "classification":
        problem = "it is a trial of task {task}; expected one of classification"
        raise PydanticCustomError("task", problem, {"task": trial.task})
    return trial


EVALUATIONS = (
    Task(
        "between",
        "mixup_study.training.tasks.between:Between",
        BetweenFields,
        chooses=(),
        metrics=(
            Metric("misses_at_half", PERCENT),
            Metric("misses_mean", PERCENT),
            Metric("loss_gradient_norm_at_half", PLAIN),
            Metric("loss_gradient_norm_mean", PLAIN),
            Metric("logit_gradient_norm_at_half", PLAIN),
            Metric("logit_gradient_norm_mean", PLAIN),
        ),
    ),
    Task(
        "attack",
        "mixup_study.training.tasks.attack:Attack",
        AttackFields,
        chooses=(),
        metrics=(
            Metric("adversarial_error", PERCENT),
            Metric("adversarial_top5_error", PERCENT),
            Metric("clean_error", PERCENT),
            Metric("clean_top5_error", PERCENT),
        ),
    ),
)
