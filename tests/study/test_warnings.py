from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from mixup_study.study.study import Study, StudyFile
from mixup_study.study.warnings import list_warnings

Loader: TypeAlias = Callable[..., Study]
STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


def test_milestones_that_never_come_are_warned_of(small_study: str, load: Loader) -> None:
    last = load(small_study, "trial.epochs=4", "trial.milestones=[2, 3]")
    assert list_warnings(last) == []
    never = load(small_study, "trial.epochs=4", "trial.milestones=[2, 4, 9]")
    assert list_warnings(never) == ["milestones: training ends before 4, 9: after 4 epochs"]
    arm = next(cell.arm for cell in never.cells)
    some = load(small_study, "trial.epochs=4", "trial.milestones=[2]", f"arms.{arm}.milestones=[4]")
    own = sum(cell.arm == arm for cell in some.cells)
    (line,) = list_warnings(some)
    assert line == f"milestones: in {own} of {len(some.trials)} trials training ends before 4: after 4 epochs"


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: str(file.stem))
def test_the_studies_of_the_paper_are_as_meant(file: Path) -> None:
    study = StudyFile(file)
    assert [line for profile in study.profiles for line in list_warnings(study.load(profile))] == []
