"""Vicinal distributions: how a minibatch becomes virtual examples."""

from __future__ import annotations

from collections.abc import Callable

from mixup_study.catalogue.rules import MethodName
from mixup_study.study.trial import Trial
from mixup_study.vicinity.base import Draws, Examples, LatentMix, Minibatch, VicinalDistribution, VirtualBatch
from mixup_study.vicinity.dirichlet_mixup import DirichletMixup
from mixup_study.vicinity.erm import ERM
from mixup_study.vicinity.gaussian_noise import GaussianNoise
from mixup_study.vicinity.label_smoothing import LabelSmoothing
from mixup_study.vicinity.latent_mixup import LatentMixup
from mixup_study.vicinity.mix_inputs import MixInputs
from mixup_study.vicinity.mixup import Mixup

METHODS: dict[MethodName, Callable[[Trial, Examples], VicinalDistribution]] = {
    "erm": ERM,
    "mixup": Mixup,
    "dirichlet_mixup": DirichletMixup,
    "mix_inputs": MixInputs,
    "latent_mixup": LatentMixup,
    "label_smoothing": LabelSmoothing,
    "gaussian_noise": GaussianNoise,
}
"""Every vicinal distribution by the name that studies give it."""

__all__ = ["METHODS", "Draws", "Examples", "LatentMix", "Minibatch", "VicinalDistribution", "VirtualBatch"]
