"""Variables of study files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mixup_study.errors import InputError
from mixup_study.study.study import Study, StudyFile

Loader = Callable[..., Study]
STUDY = """\
variables: {epochs: 4, seeds: [0, 1], noise: 0.5}
name: varied
trial:
  {dataset: digits, model: preact_resnet18, width: 2, epochs: "${epochs}", batch_size: 50, lr: 0.1,
   milestones: ["${epochs}"]}
grid: {seed: "${seeds}", label_noise: ["${noise}"]}
arms: {ERM: {}, longer: {epochs: 8}}
profiles: {quick: {variables: {epochs: 2}}}
table: {title: "${epochs} epochs, $${epochs}", rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""


def test_a_study_with_variables_is_the_one_with_their_values(load: Loader) -> None:
    written = STUDY.split("\n", 1)[1].replace('["${epochs}"]', "[4]").replace('"${epochs}"', "4")
    written = written.replace('"${seeds}"', "[0, 1]").replace('"${noise}"', "0.5")
    written = written.replace("profiles: {quick: {variables: {epochs: 2}}}\n", "").replace("${epochs} epochs, $$", "")
    assert load(STUDY).trials == load(written.replace('{epochs}"', 'x"')).trials
    assert load(STUDY).table.title == "4 epochs, ${epochs}"


def test_profiles_and_set_change_them(load: Loader) -> None:
    assert {cell.trial.epochs for cell in load(STUDY, profile="quick").cells} == {2, 8}
    changed = load(STUDY, "variables.epochs=3", "variables.seeds=[5]", profile="quick")
    assert {(cell.trial.epochs, cell.trial.seed) for cell in changed.cells} == {(3, 5), (8, 5)}
    assert changed.cells[0].trial.milestones == (3,)
    assert changed.table.title == "3 epochs, ${epochs}"


def test_what_extends_a_study_changes_its_variables_and_need_not_use_them(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(STUDY)
    own = tmp_path / "own.yaml"
    own.write_text("extends: base.yaml\nvariables: {epochs: 5}\ngrid: {seed: [7], label_noise: [0.1]}\n")
    cells = StudyFile(own).load("full").cells
    assert {(cell.trial.epochs, cell.trial.seed, cell.trial.label_noise) for cell in cells} == {
        (5, 7, 0.1),
        (8, 7, 0.1),
    }


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        (
            'epochs: "${epochs}"',
            'epochs: "${epoch}"',
            "4: trial.epochs: '${epoch}': no variable 'epoch'; expected one of",
        ),
        ('epochs: "${epochs}"', 'epochs: "${epoch}"', "did you mean 'epochs'?"),
        ('epochs: "${epochs}"', 'epochs: "${env:HOME}"', "'${env:HOME}': expected ${name}, or $${ for the sign itself"),
        ('epochs: "${epochs}"', 'epochs: "${epochs"', "'${epochs': expected ${name}, or $${ for the sign itself"),
        ("noise: 0.5", "noise: high", "label_noise: 'high': expected"),
        ("noise: 0.5", "noise: 0.5, unused: 1", "1: variables.unused: nothing uses it; expected ${unused} somewhere"),
        ("epochs: 2}", "epoch: 2}", "8: profiles.quick.variables.epoch: nothing uses it"),
        ("noise: 0.5", 'noise: "${epochs}"', "the value of a variable uses none; expected it spelled out"),
        ("noise: 0.5", "noise: {a: 1}", "variables.noise: {'a': 1}: expected a value, or a list of values"),
        ("noise: 0.5", "noise: null", "variables.noise: None: expected a value, or a list of values"),
        ("noise: 0.5", "2: 0.5", "variables.2: expected a name of letters, digits and _"),
        ("{epochs: 4, seeds: [0, 1], noise: 0.5}", "[4]", "variables: [4]: expected names with their values"),
        ("${epochs} epochs", "${seeds} epochs", "${seeds} is a list; expected it alone, without other text"),
    ],
)
def test_what_is_wrong_with_them_is_one_line(written: str, instead: str, said: str, load: Loader) -> None:
    assert written in STUDY
    with pytest.raises(InputError) as caught:
        load(STUDY.replace(written, instead, 1))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_set_names_a_variable_of_the_file(load: Loader) -> None:
    with pytest.raises(InputError, match=r"^--set variables.epoch=3: variables.epoch: no such variable .* 'epochs'\?$"):
        load(STUDY, "variables.epoch=3")


def test_lists_in_lists_do_not_unfold_without_end(load: Loader) -> None:
    values, uses = ", ".join(["0"] * 400), ", ".join(['"${many}"'] * 400)
    text = STUDY.replace("variables: {", f"variables: {{many: [{values}], ")
    text = text.replace("grid: {", f"grid: {{alpha: [{uses}], ")
    with pytest.raises(InputError, match="the variables unfold to more than 100,000 values"):
        load(text)
