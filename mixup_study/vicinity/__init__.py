"""Vicinal distributions: how a minibatch becomes virtual examples."""

from __future__ import annotations

from mixup_study.vicinity.base import Draws, Examples, LatentMix, Minibatch, VicinalDistribution, VirtualBatch

__all__ = ["Draws", "Examples", "LatentMix", "Minibatch", "VicinalDistribution", "VirtualBatch"]
