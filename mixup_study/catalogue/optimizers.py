"""The optimizers (sections 3.2 and 3.6)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mixup_study.catalogue.entries import Optimizer
from mixup_study.catalogue.fields import Fields, Real, Traits


class OptimizerFields(Fields):
    """Fields of every optimizer."""

    lr: Real = Field(gt=0, description="Learning rate before the first milestone.")
    weight_decay: Annotated[Real, Traits(varies_in_pack=True)] = Field(
        default=1e-4,
        ge=0,
        description="Weight decay on every parameter, BatchNorm included unless norm_decay is false.",
    )
    fused: Annotated[bool, Traits(implementation=True)] = Field(
        default=True, description="Use the fused implementation of the optimizer."
    )


class SGDFields(OptimizerFields):
    """Fields of stochastic gradient descent."""

    momentum: Real = Field(default=0.9, ge=0, lt=1, description="Momentum of SGD.")
    nesterov: bool = Field(default=False, description="Nesterov's momentum.")


OPTIMIZERS = (
    Optimizer("sgd", "mixup_study.training.optimizers:build_sgd", SGDFields),
    Optimizer("adam", "mixup_study.training.optimizers:build_adam", OptimizerFields),
)
