"""Studies that extend others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mixup_study.errors import InputError
from mixup_study.study.study import Study, StudyFile


@pytest.fixture
def extend(tmp_path: Path, small_study: str) -> Callable[..., Study]:
    """Loads the small study, base/small.yaml, extended by a text: the file above it, under a profile and overrides."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "small.yaml").write_text(small_study)

    def extended(text: str, *overrides: str, profile: str | None = None) -> Study:
        path = tmp_path / "own.yaml"
        path.write_text(f"extends: base/small.yaml\n{text}", encoding="utf-8")
        file = StudyFile(path, overrides)
        return file.load(file.base_profile if profile is None else profile)

    return extended


def refusal(extend: Callable[..., Study], text: str, *overrides: str, profile: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        extend(text, *overrides, profile=profile)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def arms(study: Study) -> list[str]:
    return list(dict.fromkeys(cell.arm for cell in study.cells))


def test_a_file_that_adds_nothing_is_the_study_it_extends(
    extend: Callable[..., Study], load: Callable[..., Study], small_study: str
) -> None:
    extended, study = extend(""), load(small_study)
    assert (extended.name, list(extended.trials), extended.table) == (study.name, list(study.trials), study.table)
    assert extended.published == study.published
    assert list(extend("", profile="short").trials) == list(load(small_study, profile="short").trials)


def test_mappings_are_merged_and_lists_replaced(extend: Callable[..., Study]) -> None:
    study = extend("name: own\ntrial: {epochs: 2}\ngrid: {seed: [5]}\narms: {more: {method: mixup, alpha: 9}, ERM: {}}")
    assert study.name == "own"
    assert arms(study) == ["ERM", "mixup", "more"]
    assert {(cell.trial.epochs, cell.trial.batch_size, cell.trial.seed) for cell in study.cells} == {(2, 50, 5)}
    assert study.table.title == "Small"


def test_null_removes(extend: Callable[..., Study]) -> None:
    study = extend("arms: {ERM: null, absent: null}\npublished: null\nprofiles: {short: null}")
    assert arms(study) == ["mixup"]
    assert study.published == ()
    assert "no profile 'short'" in refusal(extend, "profiles: {short: null}", profile="short")


def test_what_a_profile_removes_is_there_otherwise(extend: Callable[..., Study]) -> None:
    text = "profiles: {short: {arms: {mixup: null}}, new: {arms: {ERM: null}}}"
    assert arms(extend(text)) == ["ERM", "mixup"]
    assert arms(extend(text, profile="short")) == ["ERM"]
    assert {cell.trial.epochs for cell in extend(text, profile="short").cells} == {1}
    assert arms(extend(text, profile="new")) == ["mixup"]


def test_set_comes_last(extend: Callable[..., Study]) -> None:
    study = extend("trial: {epochs: 2}", "trial.epochs=7", profile="short")
    assert {cell.trial.epochs for cell in study.cells} == {7}


def test_the_same_trials_have_the_same_ids(
    extend: Callable[..., Study], load: Callable[..., Study], small_study: str
) -> None:
    written = load(small_study.replace("epochs: 4", "epochs: 2"))
    assert list(extend("name: own\ntrial: {epochs: 2}").trials) == list(written.trials)


def test_files_extend_files_that_extend_others(extend: Callable[..., Study], tmp_path: Path) -> None:
    extend("name: own\ntrial: {epochs: 2}")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "top.yaml").write_text("extends: ../own.yaml\ntrial: {batch_size: 25}\narms: {mixup: null}")
    study = StudyFile(tmp_path / "deep" / "top.yaml").load("full")
    assert {(cell.arm, cell.trial.epochs, cell.trial.batch_size) for cell in study.cells} == {("ERM", 2, 25)}


@pytest.mark.parametrize(
    ("text", "overrides", "parts"),
    [
        ("trial: {epochs: 0}", [], ["own.yaml:2: trial.epochs: 0", "≥ 1"]),
        ("trial:\n  width: 2\n  eposch: 5", [], ["own.yaml:4: trial.eposch", "epochs"]),
        ("grid: {lr: 5}", ["arms.ERM.alpha=1"], ["--set arms.ERM.alpha=1", "alpha"]),
        ("trial: {lr: 0.2}\narms: {ERM: {sigma: 3}}", [], ["own.yaml:3: arms.ERM.sigma"]),
        ("arms: {ERM: null}", [], ["small.yaml:24: published.0.arm", "expected an arm of the study"]),
        ("table: {rows: [arm], pick: null}", [], ["mixup: has alpha 1.0 and 2.0"]),
        ("trial: {task: gan}", [], ["small.yaml:3: trial.dataset: 'digits'"]),
        ("tabel: {}", [], ["own.yaml:2: tabel", "did you mean 'table'?"]),
        ("arms: 5", [], ["own.yaml:2: arms: 5: expected a mapping"]),
    ],
)
def test_a_mistake_is_named_where_it_was_written(
    extend: Callable[..., Study], text: str, overrides: list[str], parts: list[str]
) -> None:
    line = refusal(extend, text, *overrides)
    for part in parts:
        assert part in line


def test_a_study_that_comes_with_the_package_is_extended_by_its_name(tmp_path: Path, small_study: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("extends: toy\nname: own\ntrial: {epochs: 1}\n")
    assert {cell.trial.epochs for cell in StudyFile(own).load("full").cells} == {1}
    (tmp_path / "toy.yaml").write_text(small_study)  # a file beside it comes first
    assert {cell.trial.dataset for cell in StudyFile(own).load("full").cells} == {"digits"}


def test_a_mistake_in_the_file_extended_is_named_there(extend: Callable[..., Study], tmp_path: Path) -> None:
    (tmp_path / "base" / "small.yaml").write_text("name: small\nresources: {cpus: many}\n")
    assert f"{tmp_path / 'base' / 'small.yaml'}:2: resources.cpus: 'many'" in refusal(extend, "arms: {ERM: {}}")
    (tmp_path / "base" / "small.yaml").write_text("name: small\narms: [\n")
    assert f"{tmp_path / 'base' / 'small.yaml'}:3: not YAML" in refusal(extend, "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("base/smal.yaml", "'base/smal.yaml': no such file; expected a study file; did you mean 'small.yaml'?"),
        ("base/", "'base/': cannot be read as text"),
        ("corupt_labels", "no study 'corupt_labels': expected a file, or one of "),
        ("[base/small.yaml]", "['base/small.yaml']: expected the path of a study file, from the folder of this one"),
        ("", "None: expected the path of a study file"),
        ("own.yaml", "'own.yaml': the files extend each other in a circle"),
    ],
)
def test_what_cannot_be_extended_is_named_by_file_and_line(
    extend: Callable[..., Study], tmp_path: Path, value: str, expected: str
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"name: own\nextends: {value}\n")
    with pytest.raises(InputError) as caught:
        StudyFile(path).load("full")
    assert str(caught.value).startswith(f"{path}:2: extends: {expected}")


def test_a_circle_of_files_is_refused(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "./c"), ("c", "b")):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\nextends: {other}.yaml\n")
    with pytest.raises(InputError) as caught:
        StudyFile(tmp_path / "a.yaml").load("full")
    circle = "extends: 'b.yaml': the files extend each other in a circle"
    assert str(caught.value) == f"{tmp_path / 'c.yaml'}:2: {circle}"


def test_set_and_profiles_extend_nothing(extend: Callable[..., Study]) -> None:
    assert "--set extends=x.yaml: files are merged before --set" in refusal(extend, "", "extends=x.yaml")
    line = refusal(extend, "profiles: {short: {extends: x.yaml}}", profile="short")
    assert "own.yaml:2: profiles.short.extends: unknown key" in line


def test_what_extends_the_papers_study_is_not_what_the_paper_ran(tmp_path: Path, paper_study: str) -> None:
    (tmp_path / "base.yaml").write_text(paper_study)
    own = tmp_path / "own.yaml"
    own.write_text("extends: base.yaml\nname: own\n")
    assert StudyFile(tmp_path / "base.yaml").load("paper").as_in_paper
    assert StudyFile(own).base_profile == "full"
    assert not StudyFile(own).load("full").as_in_paper
    own.write_text("extends: base.yaml\nname: own\npaper: {exact: true}\n")
    assert StudyFile(own).load("paper").as_in_paper


def test_studies_that_a_search_starts_from_are_beside_the_file_that_names_them(
    tmp_path: Path, small_study: str
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "earlier.yaml").write_text(small_study)
    search = "search: {proposals: 2, space: {mixup: {alpha: {uniform: [0.5, 4]}}}, minimise: test_error_last, %s}\n"
    text = small_study.replace("alpha: [1, 2]", "") + search % "on_test_set: true, from: [earlier.yaml]"
    (tmp_path / "base" / "small.yaml").write_text(text)
    own = tmp_path / "own.yaml"
    own.write_text("extends: base/small.yaml\nname: own\n")
    assert len(StudyFile(own).load("full").searches) == 1
    with pytest.raises(InputError, match=r"earlier\.yaml: no such file"):
        StudyFile(own, ("search.from=[earlier.yaml]",)).load("full")
