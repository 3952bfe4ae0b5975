"""The ids of recorded trials never change: results are found by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mixup_study.study.study import StudyFile
from mixup_study.study.trial import Trial

REPOSITORY = Path(__file__).parents[2]
RECORDED = json.loads((Path(__file__).parent / "recorded_ids.json").read_text(encoding="utf-8"))
"""Ids by the place of each trial in a study's profile, and of single trials by their fields."""


@pytest.mark.parametrize("name", RECORDED["studies"])
def test_the_trials_of_a_study_keep_their_ids(name: str) -> None:
    study, profile = name.split()
    trial_ids = list(StudyFile(REPOSITORY / "studies" / f"{study}.yaml").load(profile).trials)
    recorded = RECORDED["studies"][name]
    assert len(trial_ids) == recorded["count"]
    assert {place: trial_ids[int(place)] for place in recorded["trial_ids"]} == recorded["trial_ids"]


@pytest.mark.parametrize("recorded", RECORDED["trials"], ids=lambda recorded: recorded["trial_id"])
def test_a_trial_of_any_method_keeps_its_id(recorded: dict[str, Any]) -> None:
    assert Trial(**recorded["fields"]).trial_id == recorded["trial_id"]
