"""Vicinal distributions: how a minibatch becomes virtual examples."""

from __future__ import annotations

from collections.abc import Callable

from mixup_study.spec.trial import MethodName, Trial
from mixup_study.vicinity.base import Draws, VicinalDistribution
from mixup_study.vicinity.erm import ERM
from mixup_study.vicinity.mixup import Mixup

METHODS: dict[MethodName, Callable[[Trial], VicinalDistribution]] = {
    "erm": ERM,
    "mixup": Mixup,
}
"""Every vicinal distribution by the name that studies give it."""

__all__ = ["METHODS", "Draws", "VicinalDistribution"]
