"""Networks, a file a family."""

from __future__ import annotations

from mixup_study.networks.staged import StagedNetwork

__all__ = ["StagedNetwork"]
