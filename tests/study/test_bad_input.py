"""Every mistake ends in one line: where, which key, which value, what was expected, the nearest valid name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from mixup_study.errors import InputError
from mixup_study.study.study import Study, StudyFile

Loader: TypeAlias = Callable[..., Study]


def message(action: Callable[[], object]) -> str:
    """Return the one line of the InputError that ``action`` raises."""
    with pytest.raises(InputError) as caught:
        action()
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


def line_of(text: str, end: int) -> int:
    """Return the number of the line that holds the character before ``end``."""
    return text.count("\n", 0, end) + 1


def case(name: str, old: str, new: str, *parts: str, profile: str | None = None) -> object:
    return pytest.param(old, new, parts, profile, id=name)


WRITTEN = [
    case(
        "unknown key of the study", "name: small", "name: small\ncolour: red", "colour: 'red': unknown key", "published"
    ),
    case(
        "misspelt key of the study",
        "name: small",
        "name: small\nresource: {}",
        "resource:",
        "did you mean 'resources'?",
    ),
    case(
        "unknown key of trial", "lr: 0.1", "lr: 0.1\n  dropuot: 0.5", "trial.dropuot: 0.5:", "did you mean 'dropout'?"
    ),
    case("unknown key of grid", "seed: [0, 1]", "sed: [0, 1]", "grid.sed:", "unknown key", "did you mean 'seed'?"),
    case("unknown key of an arm", "ERM: {}", "ERM: {widht: 8}", "arms.ERM.widht: 8:", "did you mean 'width'?"),
    case("unknown key of resources", "{cpus: 1}", "{cpu: 1}", "resources.cpu: 1:", "did you mean 'cpus'?"),
    case("unknown key of the table", "title: Small", "title: Small\n  titel: X", "table.titel: 'X':", "mean 'title'?"),
    case(
        "unknown key of a column",
        "metric: test_error_last",
        "metric: test_error_last, decimal: 2",
        "table.columns.0.decimal: 2:",
        "did you mean 'decimals'?",
    ),
    case("unknown key of paper", "name: small", "name: small\npaper: {page: 3}", "paper.page: 3:", "section"),
    case(
        "unknown key of a profile",
        "    trial: {epochs: 1}",
        "    trail: {epochs: 1}",
        "profiles.short.trail: unknown key",
        "did you mean 'trial'?",
        profile="short",
    ),
    case(
        "unknown key in a profile's trial",
        "trial: {epochs: 1}",
        "trial: {epoch: 1}",
        "trial.epoch: 1:",
        "did you mean 'epochs'?",
        profile="short",
    ),
    case("text for a number", "lr: 0.1", "lr: fast", "trial.lr: 'fast': expected a number"),
    case("a boolean for a number", "lr: 0.1", "lr: true", "trial.lr: True: expected a number"),
    case("a list for a number", "lr: 0.1", "lr: [0.1]", "trial.lr: [0.1]: expected one value; several"),
    case("text for a whole number", "epochs: 4", "epochs: many", "trial.epochs: 'many': expected a whole number"),
    case("a fraction for a whole number", "epochs: 4", "epochs: 4.0", "trial.epochs: 4.0: expected a whole number"),
    case("a number for a boolean", "lr: 0.1", "lr: 0.1\n  augment: 1", "trial.augment: 1: expected true or false"),
    case("a number for text", "name: small", "name: 3", "name: 3: expected text"),
    case("a number for an arm", "ERM: {}", "ERM: 3", "arms.ERM: 3: expected a mapping of keys"),
    case("an arm without its braces", "ERM: {}", "ERM:", "arms.ERM: None: expected a mapping of keys"),
    case("a number for an arm's name", "ERM: {}", "1: {}", "arms.1: 1: expected text"),
    case("a name with a blank", "name: small", "name: small one", "name: 'small one':", "letters, digits, - and _"),
    case("a list for trial", "trial: {epochs: 1}", "trial: [1]", "trial: [1]: expected a mapping", profile="short"),
    case("epochs of 0", "epochs: 4", "epochs: 0", "trial.epochs: 0: expected a value ≥ 1"),
    case("a negative alpha", "alpha: [1, 2]", "alpha: [1, -2]", "arms.mixup.alpha: -2: expected a value ≥ 0"),
    case("dropout of 1", "ERM: {}", "ERM: {dropout: 1.0}", "arms.ERM.dropout: 1.0:", "value < 1, in [0, 1)"),
    case("label noise of 2", "seed: [0, 1]", "label_noise: 2", "grid.label_noise: 2:", "value ≤ 1, in [0, 1]"),
    case("not a number", "lr: 0.1", "lr: .nan", "trial.lr: nan: expected a finite number"),
    case("not a number", "alpha: [1, 2]", "alpha: [1, .nan]", "arms.mixup.alpha: nan: expected a value ≥ 0"),
    case("an unknown data set", "dataset: digits", "dataset: cifar", "trial.dataset: 'cifar':", "did you mean 'cifar"),
    case("an unknown method", "method: mixup", "method: mixap", "arms.mixup.method: 'mixap':", "did you mean 'mixup'?"),
    case(
        "milestones out of order",
        "lr: 0.1",
        "lr: 0.1\n  milestones: [3, 2]",
        "trial.milestones: [3, 2]: expected epochs in rising order, each once",
    ),
    case("milestones as text", "ERM: {}", "ERM: {milestones: 2}", "arms.ERM.milestones: 2: expected a list"),
    case("an empty list", "seed: [0, 1]", "seed: []", "grid.seed: []: expands to nothing; expected at least one value"),
    case("an empty list of an arm", "alpha: [1, 2]", "alpha: []", "arms.mixup.alpha: []: expands to nothing"),
    case("a value twice", "seed: [0, 1]", "seed: [0, 1, 0]", "grid.seed.2: 0:", "stands here twice; expected it once"),
    case("a key twice", "name: small", "name: small\nname: other", "name: the key stands here twice"),
    case(
        "an arm twice", "ERM: {}", "ERM: {}\n  ERM: {width: 8}", "arms.ERM: the key stands here twice; expected it once"
    ),
    case("alpha for ERM", "ERM: {}", "ERM: {alpha: 1}", "arms.ERM.alpha: 1: method erm does not take it"),
    case(
        "mixup without alpha",
        ", alpha: [1, 2]",
        "",
        "arms.mixup.alpha: None: expected a value",
        "method mixup needs it",
    ),
    case(
        "a row that is no field",
        "rows: [label_noise, arm]",
        "rows: [label_nois, arm]",
        "table.rows.0: 'label_nois':",
        "did you mean 'label_noise'?",
    ),
    case("rows without arm", "rows: [label_noise, arm]", "rows: [seed]", "table.rows: ['seed']: expected arm"),
    case(
        "a column's key in the table",
        "title: Small",
        "title: Small\n  mark_lowest: true",
        "table.mark_lowest: a key of a column; expected it in table.columns",
    ),
    case("no rows", "rows: [label_noise, arm]", "rows: []", "table.rows: []:", "expected at least one entry"),
    case("rows as text", "rows: [label_noise, arm]", "rows: arm", "table.rows: 'arm': expected a list"),
    case(
        "an unknown measurement",
        "metric: test_error_last",
        "metric: test_eror_last",
        "table.columns.0.metric: 'test_eror_last':",
        "did you mean 'test_error_last'?",
    ),
    case(
        "a negative number of decimals",
        "title: last,",
        "title: last, decimals: -1,",
        "decimals: -1: expected a value ≥ 0",
    ),
    case(
        "an unknown pick",
        "lowest: test_error_last",
        "lowest: error",
        "table.pick.lowest: 'error':",
        "'test_error_last'",
    ),
    *(
        case(f"across {name}", "title: Small", f"title: Small\n  across: {name}", f"table.across: {part}")
        for name, part in [
            ("weight_dcay", "'weight_dcay': expected a field of a trial, or arm; did you mean 'weight_decay'?"),
            ("arm", "'arm': expected a field that is neither a row of the table nor a seed"),
            ("label_noise", "'label_noise': expected a field that is neither a row of the table nor a seed"),
            ("seed", "'seed': expected a field that is neither a row of the table nor a seed"),
            ("data_seed", "'data_seed': expected a field that is neither a row of the table nor a seed"),
            ("[width]", "['width']: expected text"),
        ]
    ),
    case(
        "modified as text", "title: Small", "title: Small\n  modified: both", "table.modified: 'both': expected true or"
    ),
    case("a mark as text", "title: last,", "title: last, mark_lowest: 1,", "mark_lowest: 1: expected true or false"),
    case("a foreign parameter", "ERM: {}", "ERM: {sigma: 0.1}", "arms.ERM.sigma: 0.1: method erm does not take it"),
    case(
        "a foreign flag", "ERM: {}", "ERM: {same_class: true}", "arms.ERM.same_class: True: method erm does not take it"
    ),
    case("noise of no size", "ERM: {}", "ERM: {method: gaussian_noise}", "method gaussian_noise needs it"),
    *(
        case(f"{name} of {value}", "ERM: {}", f"ERM: {{method: {method}, {name}: {value}}}", f"arms.ERM.{name}: {part}")
        for method, name, value, part in [
            ("gaussian_noise", "sigma", "-0.1", "-0.1: expected a value ≥ 0"),
            ("gaussian_noise", "sigma", ".inf", "inf: expected a finite number"),
            ("label_smoothing", "label_smoothing", "1.5", "1.5: expected a value ≤ 1"),
            ("label_smoothing", "label_smoothing", "-0.5", "-0.5: expected a value ≥ 0"),
            ("dirichlet_mixup, alpha: 1", "ways", "1", "1: expected a value ≥ 2"),
            ("dirichlet_mixup, alpha: 1", "ways", "2.5", "2.5: expected a whole number"),
            ("mixup, alpha: 1", "neighbours", "0", "0: expected a value ≥ 1"),
            ("mixup, alpha: 1", "neighbours", "200000", "200000: expected a value ≤ 100000"),
            ("mixup", "alpha", "-.inf", "-inf: expected a value ≥ 0"),
            ("latent_mixup, alpha: 1", "layer", "0", "0: expected a value ≥ 1"),
            ("latent_mixup, alpha: 1", "layer", "6", "6: expected one of 1, 2, 3, 4, 5, the layers of preact_resnet18"),
            ("latent_mixup, alpha: 1, model: mlp", "layer", "4", "4: expected one of 1, 2, 3, the layers of mlp"),
        ]
    ),
    case("published under no arm", "arm: ERM,", "arm: ERN,", "published.0.arm: 'ERN':", "did you mean 'ERM'?"),
    case(
        "quoted from nobody", "test_error_last: 5.0", "quoted: 5", "published.0.quoted: 5:", "expected whom the paper"
    ),
    case("published as text", "test_error_last: 5.0", "test_error_last: five", "'five': expected a number in percent"),
    case(
        "an unknown measurement published",
        "test_error_last: 5.0",
        "test_error_lst: 5.0",
        "published.0.test_error_lst: unknown key",
        "did you mean 'test_error_last'?",
    ),
    case("published in no row", "{label_noise: 0.0, arm: ERM,", "{arm: ERM,", "published.0.label_noise: missing"),
    case("a slot without CPUs", "{cpus: 1}", "{cpus: 0}", "resources.cpus: 0: expected a value ≥ 0.01"),
    case(
        "a profile of the name of the file as it stands",
        "  short:",
        "  full:",
        "profiles.full: profile full is the file as it stands; expected another name",
    ),
    case(
        "more trials than anyone runs",
        "seed: [0, 1]",
        f"seed: {[*range(101)]}\n  data_seed: {[*range(100)]}\n  epochs: {[*range(1, 101)]}",
        "the study expands to more than 1,000,000 trials",
    ),
]
NO_LINE_OF_ITS_OWN = {"mixup without alpha", "noise of no size", "published in no row", "more trials than anyone runs"}


@pytest.mark.parametrize(("old", "new", "parts", "profile"), WRITTEN)
def test_a_mistake_in_the_file_is_named(
    load: Loader,
    small_study: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    old: str,
    new: str,
    parts: tuple[str, ...],
    profile: str | None,
) -> None:
    assert small_study.count(old) >= 1
    text = small_study.replace(old, new, 1)
    found = message(lambda: load(text, profile=profile))
    name = request.node.callspec.id
    if name in NO_LINE_OF_ITS_OWN:
        assert found.startswith(f"{tmp_path / 'small.yaml'}:")
    else:
        line = line_of(text, text.index(new) + len(new))
        assert found.startswith(f"{tmp_path / 'small.yaml'}:{line}: ")
    for part in parts:
        assert part in found


def test_a_missing_value_is_looked_for_where_the_arm_stands(load: Loader, small_study: str, tmp_path: Path) -> None:
    text = small_study.replace("  epochs: 4\n", "")
    line = line_of(text, text.index("ERM: {}"))
    found = message(lambda: load(text))
    assert found == f"{tmp_path / 'small.yaml'}:{line}: arms.ERM.epochs: missing; expected a value"


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("trial.epochs=0", "trial.epochs: 0: expected a value ≥ 1, in [1, 1000000]"),
        ("trial.batch_size=0", "trial.batch_size: 0: expected a value ≥ 1, in [1, 2147483648]"),
        ("trial.lr=0", "trial.lr: 0: expected a value > 0"),
        ("trial.lr_factor=0", "trial.lr_factor: 0: expected a value > 0, in (0, 1]"),
        ("trial.momentum=1", "trial.momentum: 1: expected a value < 1, in [0, 1)"),
    ],
)
def test_a_range_is_told_where_it_has_two_ends(load: Loader, small_study: str, assignment: str, expected: str) -> None:
    assert message(lambda: load(small_study, assignment)) == f"--set {assignment}: {expected}"


@pytest.mark.parametrize("key", ["name", "arms", "table"])
def test_a_study_without_it_is_refused(load: Loader, small_study: str, tmp_path: Path, key: str) -> None:
    kept = [block for block in small_study.replace("\n", "\n\0").split("\0") if block]
    lines: list[str] = []
    inside = False
    for line in kept:
        inside = line.startswith(f"{key}:") or (inside and line.startswith(" "))
        lines += [] if inside else [line]
    found = message(lambda: load("".join(lines)))
    assert found == f"{tmp_path / 'small.yaml'}: {key}: missing; expected a value"


def test_a_study_whose_arms_are_empty_is_refused(load: Loader, small_study: str) -> None:
    text = small_study.replace("arms:\n  ERM: {}\n  mixup: {method: mixup, alpha: [1, 2]}\n", "arms: {}\n")
    assert "arms: {}: expands to nothing; expected at least one entry" in message(lambda: load(text))


def test_an_unknown_profile_is_named_with_the_nearest(load: Loader, small_study: str, tmp_path: Path) -> None:
    found = message(lambda: load(small_study, profile="shrot"))
    expected = "no profile 'shrot'; expected one of full, short; did you mean 'short'?"
    assert found == f"{tmp_path / 'small.yaml'}: {expected}"


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path, small_study: str) -> None:
    (tmp_path / "small.yaml").write_text(small_study)
    path = tmp_path / "smal.yaml"
    found = message(lambda: StudyFile(path).load("full"))
    assert found == f"{path}: no such file; expected a study file; did you mean 'small.yaml'?"


def test_a_missing_folder_is_no_other_mistake(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "small.yaml"
    assert message(lambda: StudyFile(path).load("full")) == f"{path}: no such file; expected a study file"


def test_a_folder_is_no_study(tmp_path: Path) -> None:
    assert message(lambda: StudyFile(tmp_path).load("full")).startswith(f"{tmp_path}: cannot be read as text: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: [", ":1: not YAML: "),
        ("name: a\ntrial: b: c", ":2: not YAML: mapping values are not allowed here"),
        ("name: a\n\ttrial: {}", ":2: not YAML: "),
        ("name: *nothing", ":1: not YAML: found undefined alias 'nothing'"),
        ("name: !!python/object:os.system {}", ":1: "),
        ("name: a\n---\nname: b", ":2: not YAML: "),
        ("name: 2001-02-30", ":1: not YAML: '2001-02-30' is not of the kind 'timestamp'"),
        ("name: \x01", ": not YAML: "),
        ("[1, 2]: 3", ":1: a key is a list or a mapping; expected a name"),
        ("", ": expected a mapping of keys"),
        ("# nothing\n", ": expected a mapping of keys"),
        ("- name", ": expected a mapping of keys"),
        ("corrupt labels", ": expected a mapping of keys"),
        ("x: " + "[" * 2000 + "]" * 2000, ": nested too deeply"),
        ("x: &x [*x]", ": nested too deeply"),
        ("x: &x {y: *x}", ": nested too deeply"),
        (
            "a: &a [1]\n"
            + "".join(f"{b}: &{b} [{f'*{a}, ' * 9}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
            ": more than 100,000 values",
        ),
    ],
    ids=[
        *("an open list", "two values", "a tab", "an unknown alias", "a Python object", "two documents", "no such day"),
        *("a control character", "a list as a key", "nothing", "a comment", "a list", "text", "too deep"),
        *("a list within itself", "a mapping within itself", "a bomb of aliases"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(load: Loader, tmp_path: Path, text: str, expected: str) -> None:
    assert message(lambda: load(text)).startswith(f"{tmp_path / 'small.yaml'}{expected}")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_bytes(b"name: \xff\xfe")
    assert message(lambda: StudyFile(path).load("full")).startswith(f"{path}: cannot be read as text: ")


@pytest.mark.parametrize(
    ("assignment", "parts"),
    [
        ("trial.epochs", ["expected KEY=VALUE, as in --set trial.epochs=5"]),
        ("=5", ["expected KEY=VALUE"]),
        ("", ["expected KEY=VALUE"]),
        ("colour=red", ["colour: 'red': unknown key"]),
        ("epochs=5", ["epochs: a field of a trial; expected trial.epochs, grid.epochs or an arm's"]),
        ("trial.lr=[0.1, 0.2]", ["trial.lr: [0.1, 0.2]: expected one value; several of them stand in grid", "grid.lr"]),
        ("trial.epoch=5", ["trial.epoch: 5: unknown key", "did you mean 'epochs'?"]),
        ("trial.epochs=0", ["trial.epochs: 0: expected a value ≥ 1"]),
        ("trial.epochs=five", ["trial.epochs: 'five': expected a whole number"]),
        ("trial.lr=.nan", ["trial.lr: nan: expected a finite number"]),
        ("trial.lr=1e400", ["trial.lr: inf: expected a finite number"]),
        ("trial.dataset=cifar11", ["trial.dataset: 'cifar11':", "did you mean 'cifar10'?"]),
        ("trial.dropout=1.0", ["trial.dropout: 1.0:", "in [0, 1)"]),
        ("arms.ERM.alpha=1", ["arms.ERM.alpha: 1: method erm does not take it; expected method: mixup or "]),
        ("arms.mixup.alpha=[1, -1]", ["arms.mixup.alpha: -1: expected a value ≥ 0"]),
        ("arms.ERM=5", ["arms.ERM: 5: expected a mapping of keys"]),
        ("grid.seed=[]", ["grid.seed: []: expands to nothing"]),
        ("grid.seed=[4, 4]", ["grid.seed.1: 4: the value stands here twice"]),
        ("grid.lr=[.nan]", ["grid.lr: nan: expected a finite number"]),
        ("name.first=x", ["name.first: 'name' is a value, not a mapping of keys"]),
        ("table.columns.0.decimals=2", ["'columns' is a list, to be set as a whole"]),
        ("profiles.short.trial.epochs=5", ["a profile is applied before --set", "expected trial, grid, arms"]),
        ("arms.mixap=null", ["arms.mixap: no such key to remove"]),
        ("nothing.here=null", ["nothing.here: no such key to remove"]),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_mistake_in_set_is_named(load: Loader, small_study: str, assignment: str, parts: list[str]) -> None:
    found = message(lambda: load(small_study, assignment))
    assert found.startswith(f"--set {assignment}: ")
    for part in parts:
        assert part in found


def test_a_set_that_is_no_yaml_is_named(load: Loader, small_study: str) -> None:
    found = message(lambda: load(small_study, "trial.epochs=["))
    assert found.startswith("--set trial.epochs=[")
    assert "not YAML" in found


def test_a_mistake_by_set_is_not_blamed_on_the_file(load: Loader, small_study: str) -> None:
    assert message(lambda: load(small_study, "trial.width=8", "trial.lr=0")).startswith("--set trial.lr=0: ")


def test_a_long_value_is_cut(load: Loader, small_study: str) -> None:
    found = message(lambda: load(small_study.replace("dataset: digits", f"dataset: {'x' * 5000}")))
    assert len(found) < 500


@pytest.mark.parametrize("value", ["!!bool x", "!!timestamp x", '!!int ""', '!!float ""', "1" + ":00" * 200 + ".0"])
def test_a_value_that_is_not_what_its_tag_says_is_refused(load: Loader, small_study: str, value: str) -> None:
    assert "not YAML: " in message(lambda: load(small_study.replace("name: small", f"name: {value}")))


@pytest.mark.parametrize("tag", ["!!map", "!!seq", "!!set", "!!omap"])
def test_a_key_that_cannot_be_one_is_refused(load: Loader, small_study: str, tag: str) -> None:
    assert "x" in message(lambda: load(f"{small_study}{tag} x: 1\n"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("arm: ERM,", "arm: [ERM],", "published.0.arm: ['ERM']: expected an arm"),
        ("label_noise: 0.0, arm", "label_noise: [0.0], arm", "published.0.label_noise: [0.0]: expected a number"),
        ("label_noise: 0.0, arm", "label_noise: foo, arm", "published.0.label_noise: 'foo': expected a number"),
        ("label_noise: 0.0, arm", "label_noise: .nan, arm", "published.0.label_noise: nan: expected a"),
        (
            "test_error_last: 5.0",
            "test_error_last: 500",
            "published.0.test_error_last: 500: expected a number in percent",
        ),
        ("rows: [label_noise, arm]", "rows: [arm, arm]", "table.rows.1: 'arm': the row stands here twice"),
    ],
)
def test_a_published_row_that_no_table_can_show_is_refused(
    load: Loader, small_study: str, old: str, new: str, expected: str
) -> None:
    assert expected in message(lambda: load(small_study.replace(old, new)))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ('"a\\nb"', "a key of more than one line; expected one"),
        ('"a\\Lb"', "it holds the control character \\u2028; expected text alone"),
        ('"a\\eb"', "it holds the control character \\x1b; expected text alone"),
    ],
)
def test_a_key_with_a_line_break_is_told_on_one_line(load: Loader, small_study: str, key: str, expected: str) -> None:
    assert message(lambda: load(f"{small_study}{key}: 1\n")).endswith(expected)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ('"\\e[2J"', "\\x1b"),
        ('"a\\rb"', "\\r"),
        ('"a\\x9bb"', "\\x9b"),
        ('"a\\u202eb"', "\\u202e"),
        ('"a\\Pb"', "\\u2029"),
    ],
)
def test_text_that_a_terminal_or_a_script_would_obey_is_refused(
    load: Loader, small_study: str, text: str, sign: str
) -> None:
    assert f"it holds the control character {sign}; expected text alone" in message(
        lambda: load(small_study, f"table.title={text}")
    )
    assert f"it holds the control character {sign}; expected text alone" in message(
        lambda: load(small_study.replace("ERM: {}", f"{text}: {{}}"))
    )


def test_text_in_any_language_is_no_control(load: Loader, small_study: str) -> None:
    for text in ("été\u00a0½", "誤り\u3000率", "می\u200cخواهم", "👩\u200d🔬"):
        assert load(small_study, f"table.title={text}").table.title == text


@pytest.mark.parametrize("assignment", ["trial.epochs=0\n", "a\nb=1", "trial.\x85=3", "trial.epochs=" + "9" * 5000])
def test_an_override_is_told_on_one_line_of_bearable_length(load: Loader, small_study: str, assignment: str) -> None:
    assert len(message(lambda: load(small_study, assignment))) < 600


def test_an_override_has_one_value(load: Loader, small_study: str) -> None:
    assert "expected one value" in message(lambda: load(small_study, "trial.epochs=5\nfoo: 3"))


@pytest.mark.parametrize("assignment", ["trail.epochs=5", "arms.new.method=mixup"])
def test_what_an_override_created_is_blamed_on_it(load: Loader, small_study: str, assignment: str) -> None:
    assert message(lambda: load(small_study, assignment)).startswith(f"--set {assignment}: ")


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [("epochs: 4", "epoch: 4", "epochs"), ("name:", "nmae:", "name"), ("lowest:", "lowset:", "lowest")],
)
def test_a_misspelt_required_key_is_told_as_a_misspelling(
    load: Loader, small_study: str, old: str, new: str, meant: str
) -> None:
    assert f"did you mean '{meant}'?" in message(lambda: load(small_study.replace(old, new)))


def test_a_key_that_is_no_text_is_refused(load: Loader, small_study: str) -> None:
    assert "\\ud800" in message(lambda: load(small_study.replace("ERM: {}", 'ERM: {"\\ud800": 1}')))


def test_a_bomb_of_merge_keys_is_refused(load: Loader, small_study: str) -> None:
    text = "{x: 1}"
    for depth in range(40):
        text = f"{{<<: [&b{depth} {text}, *b{depth}]}}"
    assert "more than 100,000 values" in message(lambda: load(f"a: {text}\n{small_study}"))


@pytest.mark.parametrize("value", ["3", "[1]"])
def test_a_merge_key_takes_mappings(load: Loader, small_study: str, value: str) -> None:
    assert "<<: expected a mapping to merge" in message(lambda: load(f"{small_study}<<: {value}\n"))


@pytest.mark.parametrize(
    "assignment",
    ["trial.batch_size=10000000000000000000", "trial.train_size=1e30", "trial.milestones=[100000000000000000000]"],
)
def test_a_number_that_no_record_could_hold_is_refused(load: Loader, small_study: str, assignment: str) -> None:
    assert message(lambda: load(small_study, assignment)).startswith("--set ")


def test_one_and_one_point_zero_are_the_same_value(load: Loader, small_study: str) -> None:
    assert "twice" in message(lambda: load(small_study, "arms.mixup.alpha=[1, 1.0]"))


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("resources.gpus=1e-320", "resources.gpus: 1e-320: expected 0, or a share ≥ 0.01"),
        ("resources.gpus=1.5", "resources.gpus: 1.5: expected a whole number of GPUs, or a share of one below 1"),
        ("trial.weight_decay=", "expected KEY=VALUE"),
        ("table.columns.0.title=5", "'columns' is a list, to be set as a whole"),
        ("arms.mixup.alpha=1e308", "expected a value in [0, 1e+06], or .inf"),
        ("arms.unknown=null", "arms.unknown: no such key to remove"),
    ],
)
def test_an_override_that_cannot_be_is_refused(load: Loader, small_study: str, assignment: str, expected: str) -> None:
    assert expected in message(lambda: load(small_study, assignment))


def test_a_published_row_stands_once(load: Loader, small_study: str) -> None:
    again = "  - {label_noise: 0.0, arm: ERM, test_error_last: 6.0}\n"
    assert "published.1: the row of the table stands here twice" in message(lambda: load(small_study + again))


PICK = "  pick: {lowest: test_error_last}\n"


def test_several_settings_need_a_pick(load: Loader, small_study: str, tmp_path: Path) -> None:
    text = small_study.replace(PICK, "")
    line = line_of(text, text.index("mixup: {method"))
    assert message(lambda: load(text)) == (
        f"{tmp_path / 'small.yaml'}:{line}: arms.mixup: has alpha 1.0 and 2.0 in one cell of the table; expected one of"
        " them, alpha among table.rows or across, or table.pick to choose"
    )


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("grid.weight_decay=[1e-4, 5e-4]", "arms.ERM: has weight_decay 0.0001 and 0.0005 in one cell of the table"),
        ("grid.milestones=[[1], [1, 2]]", "arms.ERM: has milestones [1] and [1, 2] in one cell of the table"),
        ("arms.ERM.train_size=[50, 60]", "arms.ERM: has train_size 50 and 60 in one cell of the table"),
        ("arms.mixup.alpha=[1, .inf]", "arms.mixup: has alpha 1.0 and inf in one cell of the table"),
    ],
)
def test_several_settings_by_set_need_a_pick(load: Loader, small_study: str, assignment: str, expected: str) -> None:
    text = small_study.replace(PICK, "").replace("alpha: [1, 2]", "alpha: 1")
    assert len(load(text).trials) == 4
    assert expected in message(lambda: load(text, assignment))


def test_a_published_number_names_its_value_across(load: Loader, small_study: str, tmp_path: Path) -> None:
    text = small_study.replace("title: Small", "title: Small\n  across: weight_decay")
    line = line_of(text, text.index("arm: ERM,"))
    assert message(lambda: load(text)) == (
        f"{tmp_path / 'small.yaml'}:{line}: published.0.weight_decay: missing; expected the row it belongs to,"
        " or null for all"
    )


def test_a_published_number_stands_once_for_each_value_across(load: Loader, small_study: str) -> None:
    text = small_study.replace("title: Small", "title: Small\n  across: weight_decay").replace(
        "arm: ERM,", "arm: ERM, weight_decay: 1e-4,"
    )
    other = "  - {label_noise: 0.0, arm: ERM, weight_decay: 5e-4, test_error_last: 6.0}\n"
    assert len(load(text + other).published) == 2
    assert "published.2: the row of the table stands here twice" in message(lambda: load(text + other + other))


def test_a_layer_that_the_grids_model_lacks_is_blamed_on_the_arm(
    load: Loader, small_study: str, tmp_path: Path
) -> None:
    text = small_study.replace("ERM: {}", "latent: {method: latent_mixup, alpha: 1, layer: [3, 4]}").replace(
        "seed: [0, 1]", "model: [preact_resnet18, mlp]"
    )
    line = line_of(text, text.index("latent: {"))
    expected = "arms.latent.layer: 4: expected one of 1, 2, 3, the layers of mlp"
    assert message(lambda: load(text.split("published:")[0])) == f"{tmp_path / 'small.yaml'}:{line}: {expected}"
