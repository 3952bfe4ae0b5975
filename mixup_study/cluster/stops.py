"""Trials that a run is asked to stop while others go on."""

from __future__ import annotations

from collections.abc import Collection


class TrialStops:
    """Which trials are to save and make room; asked for from any thread, and never taken back."""

    def __init__(self) -> None:
        """Begin without."""
        self._trial_ids: set[str] = set()

    def request(self, trial_id: str) -> None:
        """Ask for a trial to stop, and all of its pack; one that has not started does not start in this run."""
        self._trial_ids.add(trial_id)

    def include(self, trial_ids: Collection[str]) -> bool:
        """Return whether a job of these trials is to stop."""
        return bool(self._trial_ids) and not self._trial_ids.isdisjoint(trial_ids)
