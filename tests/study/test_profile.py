from __future__ import annotations

from pathlib import Path

import pytest

from mixup_study.study.profile import choose_profile
from mixup_study.study.study import StudyFile

WITH_QUICK = StudyFile(Path(__file__).parents[2] / "studies" / "corrupt_labels.yaml")


@pytest.fixture
def without_quick(tmp_path: Path, small_study: str) -> StudyFile:
    path = tmp_path / "small.yaml"
    path.write_text(small_study)
    return StudyFile(path)


@pytest.mark.parametrize("gpus", [0.0, 4.0])
def test_the_users_choice_wins(gpus: float) -> None:
    assert choose_profile(WITH_QUICK, "quick", gpus, "this machine") == ("quick", "chosen with --profile")
    assert choose_profile(WITH_QUICK, "paper", gpus, "this machine") == ("paper", "chosen with --profile")


@pytest.mark.parametrize(
    ("gpus", "reason"),
    [(1, "this machine has 1 GPU"), (8, "this machine has 8 GPUs"), (0.5, "this machine has 0.5 GPUs")],
)
def test_a_gpu_takes_the_papers_own_protocol(gpus: float, reason: str) -> None:
    assert choose_profile(WITH_QUICK, None, gpus, "this machine") == ("paper", reason)


def test_without_a_gpu_it_is_quick() -> None:
    assert choose_profile(WITH_QUICK, None, 0, "the Ray cluster") == ("quick", "the Ray cluster has no GPU")


def test_without_a_gpu_and_without_a_quick_profile_the_file_stands(without_quick: StudyFile) -> None:
    assert choose_profile(without_quick, None, 0, "this machine") == ("full", "the study has no quick profile")
