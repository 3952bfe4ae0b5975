from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from mixup_study.spec.study import Study, StudyFile

Loader: TypeAlias = Callable[..., Study]

SMALL_STUDY = """\
name: small
trial:
  dataset: digits
  model: preact_resnet18
  epochs: 4
  batch_size: 50
  lr: 0.1
grid:
  seed: [0, 1]
arms:
  ERM: {}
  mixup: {method: mixup, alpha: [1, 2]}
profiles:
  short:
    trial: {epochs: 1}
resources: {cpus: 1}
table:
  title: Small
  rows: [label_noise, arm]
  columns:
    - {title: last, metric: test_error_last}
  pick: {lowest: test_error_last}
published:
  - {label_noise: 0.0, arm: ERM, test_error_last: 5.0}
"""


@pytest.fixture(scope="session")
def small_study() -> str:
    """The text of a study of six trials, one key a line where its line matters."""
    return SMALL_STUDY


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Writes a study's text to small.yaml and loads it under a profile and overrides."""

    def loaded(text: str, *overrides: str, profile: str | None = None) -> Study:
        path = tmp_path / "small.yaml"
        path.write_text(text, encoding="utf-8")
        file = StudyFile(path, overrides)
        return file.load(file.base_profile if profile is None else profile)

    return loaded
