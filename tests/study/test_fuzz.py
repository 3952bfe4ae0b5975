"""Whatever is written, a study comes out of it or one line of explanation."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mixup_study.errors import InputError
from mixup_study.study.source import read
from mixup_study.study.study import Study, StudyFile

STUDIES = Path(__file__).parents[2] / "studies"
CORRUPT_LABELS = STUDIES / "corrupt_labels.yaml"
REAL: list[dict[Any, Any]] = [read(file).tree for file in (CORRUPT_LABELS, STUDIES / "ablation.yaml")]

LINE = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-3, max_value=300),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.binary(max_size=4),
    st.sampled_from(["digits", "mixup", "erm", "test_error_last", "arm", "float32", "${a}", "$${", "a ${a", "${"]),
)
KEYS = st.one_of(
    LINE,
    st.sampled_from(["name", "trial", "arms", "seed", "alpha", "table", "variables", "a"]),
    st.integers(),
    st.booleans(),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every node below ``tree``."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path for key, item in items for path in [(*at, key), *places(item, (*at, key))]]


@st.composite
def changed_studies(draw: st.DrawFn) -> dict[Any, Any]:
    """A real study with one to three of its nodes replaced, removed or joined by another."""
    tree = deepcopy(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(1, 3))):
        *above, key = draw(st.sampled_from(places(tree)))
        parent = tree
        for step in above:
            parent = parent[step]
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove":
            del parent[key]
        elif action == "replace":
            parent[key] = draw(TREES)
        elif isinstance(parent, dict):
            parent[draw(KEYS)] = draw(TREES)
        else:
            parent.append(draw(TREES))
    return tree


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Study | str]:
    """Loads a text as a study; returns the study, or the line that says what is wrong."""
    path = tmp_path_factory.mktemp("fuzz") / "study.yaml"

    def found(text: str, *overrides: str, profile: str = "paper") -> Study | str:
        path.write_text(text, encoding="utf-8", newline="")
        try:
            return StudyFile(path, overrides).load(profile)
        except InputError as error:
            return str(error)

    return found


def check(result: Study | str) -> None:
    if isinstance(result, str):
        assert len(result.splitlines()) == 1
    else:
        assert result.trials


@given(text=st.text(max_size=200))
def test_any_text(outcome: Callable[..., Study | str], text: str) -> None:
    check(outcome(text, profile="full"))


@given(tree=st.dictionaries(KEYS, TREES, max_size=5))
def test_any_mapping(outcome: Callable[..., Study | str], tree: dict[Any, Any]) -> None:
    check(outcome(yaml.safe_dump(tree, allow_unicode=True), profile="full"))


@pytest.mark.slow
@settings(max_examples=120)
@given(tree=changed_studies(), profile=st.sampled_from(["paper", "quick"]))
def test_any_change_of_a_real_study(outcome: Callable[..., Study | str], tree: dict[Any, Any], profile: str) -> None:
    check(outcome(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False), profile=profile))


@pytest.mark.slow
@settings(max_examples=60)
@given(start=st.integers(0, 5000), length=st.integers(0, 60), inserted=st.text("{}[]:,-&*!|>'\"#% \nx1", max_size=8))
def test_any_cut_and_insertion_in_a_real_study(
    outcome: Callable[..., Study | str], start: int, length: int, inserted: str
) -> None:
    text = CORRUPT_LABELS.read_text(encoding="utf-8")
    check(outcome(text[:start] + inserted + text[start + length :]))


@given(assignment=LINE)
def test_any_set(outcome: Callable[..., Study | str], small_study: str, assignment: str) -> None:
    check(outcome(small_study, assignment, profile="full"))


@given(
    key=st.one_of(
        LINE,
        st.sampled_from(["trial.epochs", "trial.lr", "grid.seed", "arms.ERM", "arms.mixup.alpha", "resources.gpus"]),
        st.sampled_from(["name", "trial", "grid", "arms", "table", "table.rows", "published", "paper.table", "a..b"]),
    ),
    value=st.one_of(
        LINE, TREES.map(lambda tree: yaml.safe_dump(tree, default_flow_style=True, width=9999).split("\n")[0])
    ),
    profile=st.sampled_from(["full", "short"]),
)
def test_any_value_of_a_set(
    outcome: Callable[..., Study | str], small_study: str, key: str, value: str, profile: str
) -> None:
    check(outcome(small_study, f"{key}={value}", profile=profile))
