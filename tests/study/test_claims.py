from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from mixup_study.errors import InputError
from mixup_study.study.claims import Claim
from mixup_study.study.study import Study

Loader: TypeAlias = Callable[..., Study]

CLAIMS = """\
claims:
  - text: A claim
    section: "3.4"
    compare:
      - {lower: mixup, than: ERM}
"""
ONE = "{lower: mixup, than: ERM}"


@pytest.fixture
def claiming(small_study: str) -> str:
    return small_study + CLAIMS


@pytest.mark.parametrize(
    "comparison",
    [
        "{lower: mixup, than: others}",
        "{higher: {arm: mixup}, than: [ERM, {arm: mixup, alpha: 2}]}",
        "{lower: {arm: mixup, alpha: highest}, than: {arm: mixup, alpha: lowest}}",
        "{lower: {arm: mixup, alpha: 2.0}, than: ERM, where: {epochs: 4, label_noise: 0}}",
        "{rising: [mixup, ERM], metric: train_error_real, by: -0.5}",
        "{lower: mixup, than: ERM, minus: {metric: test_error_best}}",
        "{lower: mixup, than: ERM, where: {label_noise: 0}, minus: {label_noise: lowest}}",
        "{higher: mixup, than: ERM, accuracy: true, times: 2.65}",
        "{lower: mixup, than: ERM, metric: test_error_best, times: 0.5}",
        "{rising: [ERM, mixup], accuracy: true, by: 1}",
        "{higher: mixup, than: ERM, accuracy: true, minus: {metric: test_error_best}}",
    ],
)
def test_it_takes(comparison: str, claiming: str, load: Loader) -> None:
    (claim,) = load(claiming.replace(ONE, comparison)).claims
    assert (claim.text, claim.section, len(claim.compare)) == ("A claim", "3.4", 1)


def test_an_arm_stands_for_its_selector_and_one_for_a_list(claiming: str, load: Loader) -> None:
    long = claiming.replace(ONE, "{lower: [{arm: mixup}], than: [{arm: ERM}]}")
    assert load(claiming).claims == load(long).claims


def test_a_profile_and_an_override_may_leave_out_what_a_claim_is_about(claiming: str, load: Loader) -> None:
    text = claiming.replace(ONE, "{lower: {arm: mixup, alpha: 2}, than: ERM, where: {epochs: 4}}")
    assert len(load(text, profile="short").claims) == 1
    assert len(load(text, "arms.mixup.alpha=8").claims) == 1
    assert len(load(text, "arms.mixup=null").claims) == 1


def test_claims_may_be_set_for_what_an_override_adds(claiming: str, load: Loader) -> None:
    added = '{text: B, section: "1", compare: [{lower: {arm: new, width: 4}, than: ERM}]}'
    found = load(claiming, "arms.new={width: 4}", f"claims=[{added}]").claims
    assert found == (
        Claim.model_validate(
            {"text": "B", "section": "1", "compare": [{"lower": {"arm": "new", "width": 4}, "than": "ERM"}]}
        ),
    )


BAD = {
    "unknown key": ("{lower: mixup, then: ERM}", ["compare.0.then: 'ERM': unknown key", "did you mean 'than'?"]),
    "unknown arm": ("{lower: mixpu, than: ERM}", ["lower: 'mixpu': expected an arm", "did you mean 'mixup'?"]),
    "unknown arm in a list": ("{rising: [ERM, mixpu]}", ["rising.1: 'mixpu': expected an arm"]),
    "others on the wrong side": ("{lower: others, than: ERM}", ["lower: 'others': expected an arm"]),
    "unknown metric": ("{lower: mixup, than: ERM, metric: test_error}", ["metric: 'test_error'", "test_error_best"]),
    "metric of another task": (
        "{lower: mixup, than: ERM, metric: modes_covered_last}",
        ["metric: 'modes_covered_last': the study's trials do not measure it; expected one of test_error_best"],
    ),
    "unknown metric taken": ("{rising: [mixup, ERM], minus: {metric: x}}", ["minus.metric: 'x': expected one of"]),
    "unknown field": ("{lower: {arm: mixup, alhpa: 2}, than: ERM}", ["lower.alhpa:", "did you mean 'alpha'?"]),
    "unknown field of where": ("{rising: [mixup, ERM], where: {nosie: 0}}", ["where.nosie: unknown key"]),
    "a value that no trial has": (
        "{lower: {arm: mixup, alpha: 3}, than: ERM}",
        ["lower.alpha: 3: no trial has it; expected one of 1, 2"],
    ),
    "a value out of range": ("{rising: [mixup, ERM], where: {label_noise: 2}}", ["where.label_noise: 2: expected a"]),
    "no number": ("{rising: [mixup, ERM], where: {dataset: lowest}}", ["where.dataset: 'lowest': the arm tries no"]),
    "a seed": ("{rising: [mixup, ERM], where: {seed: 0}}", ["where.seed: means are taken over the seeds"]),
    "nothing to take it from": ("{rising: [mixup, ERM], minus: {epochs: 4}}", ["minus.epochs: expected where to say"]),
    "two sides": ("{lower: mixup, higher: mixup, than: ERM}", ["compare.0:", "one of lower, higher and rising"]),
    "no side": ("{than: ERM}", ["expected one of lower, higher and rising"]),
    "no than": ("{lower: mixup}", ["expected than beside lower"]),
    "a than too many": ("{rising: [mixup, ERM], than: ERM}", ["rising stands alone; expected no than"]),
    "one arm rising": ("{rising: [mixup]}", ["rising: "]),
    "no arm": ("{lower: {alpha: 2}, than: ERM}", ["lower: {'alpha': 2}: expected an arm, or a mapping of arm"]),
    "a number for an arm": ("{lower: mixup, than: 5}", ["than: 5: expected an arm"]),
    "times beside a margin": (
        "{higher: mixup, than: ERM, times: 2, by: 0}",
        ["compare.0: ", "expected no by beside times"],
    ),
    "times beside what is taken": (
        "{higher: mixup, than: ERM, times: 2, minus: {metric: test_error_best}}",
        ["expected no minus beside times"],
    ),
    "times of an order": ("{rising: [mixup, ERM], times: 2}", ["expected no rising beside times"]),
    "zero times": ("{higher: mixup, than: ERM, times: 0}", ["times: 0: expected a value > 0"]),
    "fewer than zero times": ("{higher: mixup, than: ERM, times: -2.5}", ["times: -2.5: expected a value > 0"]),
    "infinitely many times": ("{higher: mixup, than: ERM, times: .inf}", ["times: inf: expected a finite number"]),
    "a text for times": ("{higher: mixup, than: ERM, times: twice}", ["times: 'twice': expected a number"]),
    "a text for accuracy": ("{higher: mixup, than: ERM, accuracy: test}", ["accuracy: 'test': expected true or false"]),
    "no number for a margin": ("{lower: mixup, than: ERM, by: .inf}", ["by: inf: expected a finite number"]),
}


GAN = """\
name: modes
trial: {task: gan, dataset: gaussian_ring, model: mlp, depth: 3, epochs: 2, batch_size: 128, optimizer: adam, lr: 1e-3}
grid: {weight_decay: 0, seed: [0, 1]}
arms: {ERM: {}, mixup: {method: mixup, alpha: 0.2}}
table: {title: T, rows: [arm], columns: [{title: modes, metric: modes_covered_last}]}
claims:
  - {text: A claim, compare: [{higher: mixup, than: ERM, COMPARE}]}
"""


def test_counts_have_no_accuracy(load: Loader) -> None:
    assert load(GAN.replace("COMPARE", "times: 2")).claims[0].compare[0].times == 2
    with pytest.raises(
        InputError, match=r"yaml:\d+: claims\.0\.compare\.0\.accuracy: True: modes_covered_last has no"
    ) as caught:
        load(GAN.replace("COMPARE", "accuracy: true, times: 2"))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("comparison", "parts"), BAD.values(), ids=BAD)
def test_a_mistake_is_one_line_that_says_where(comparison: str, parts: list[str], claiming: str, load: Loader) -> None:
    text = claiming.replace(ONE, comparison)
    with pytest.raises(InputError) as caught:
        load(text)
    message = str(caught.value)
    line = text.count("\n", 0, text.index(comparison)) + 1
    assert len(message.splitlines()) == 1
    assert f"small.yaml:{line}: claims.0.compare.0" in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        (
            "text: A claim",
            "txt: A claim",
            "claims.0.txt: 'A claim': unknown key; expected one of text, section, compare",
        ),
        ('"3.4"', "3.4", "claims.0.section: 3.4: expected text"),
        (f"- {ONE}", "[]", "claims.0.compare: []: expands to nothing"),
    ],
)
def test_a_mistake_in_a_claim_is_one_line(old: str, new: str, part: str, claiming: str, load: Loader) -> None:
    with pytest.raises(InputError, match=r"small\.yaml") as caught:
        load(claiming.replace(old, new))
    assert part in str(caught.value)
