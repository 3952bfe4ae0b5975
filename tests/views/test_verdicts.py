from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from mixup_study.analysis.table import Records
from mixup_study.study.expand import Cell
from mixup_study.study.study import Study
from mixup_study.views.verdicts import verdict_lines
from tests.fixtures import findings_of

Loader = Callable[..., Study]
Measure = Callable[[Study, Callable[[Cell], Any]], Records]

CLAIMS = """\
claims:
  - {text: mixup is better, section: "3.4", compare: [{lower: mixup, than: ERM}]}
"""


@pytest.fixture
def claiming(paper_study: str) -> str:
    return paper_study + CLAIMS


def lines(study: Study, records: Records) -> list[str]:
    """The claims, each on one line."""
    return verdict_lines(findings_of(study, records), "markdown").splitlines()[2:]


def test_a_claim_shows_its_verdict_its_section_its_effects_and_how_many_seeds(
    claiming: str, load: Loader, measure: Measure
) -> None:
    study = load(claiming)
    records = measure(
        study, lambda cell: 0.5 - 0.1 * (cell.arm == "mixup") - 0.05 * (cell.arm == "mixup") * cell.trial.seed
    )
    assert lines(study, records) == [
        "- ✓ mixup is better (3.4): 80% −12.50 [−15.00, −10.00]; 20% −12.50 [−15.00, −10.00] · 2 seeds · †"
    ]
    shown = " ".join(verdict_lines(findings_of(study, records), "text").split())
    assert "Intervals of fewer than 6 seeds are too narrow. † Hyper-parameters picked by test_error_last" in shown
    assert "profile paper:" in shown


def test_claims_of_a_study_that_is_not_the_papers_are_its_own(claiming: str, load: Loader, measure: Measure) -> None:
    own = re.sub("paper: .*\n", "", claiming).replace(', section: "3.4"', "")
    study = load(own)
    shown = verdict_lines(findings_of(study, measure(study, lambda cell: 0.5)), "markdown")
    assert shown.startswith("The study's claims, judged by the results of profile full: ✓ supported")
    assert "- ? mixup is better: " in shown


def test_one_seed_is_marked_and_decides_nothing(claiming: str, load: Loader, measure: Measure) -> None:
    study = load(claiming, "grid.seed=0")
    records = measure(study, lambda cell: 0.4 if cell.arm == "mixup" and cell.trial.label_noise == 0.2 else 0.5)
    shown = verdict_lines(findings_of(study, records), "markdown")
    assert "- ? mixup is better (3.4): 80% +0.00; 20% −10.00 · one seed · †" in shown
    assert "over the seeds. One seed decides nothing. † Hyper-parameters" in shown
    assert "profile paper:" in shown  # of the seeds the paper says nothing


def test_signs_stand_by_each_effect_where_they_differ(claiming: str, load: Loader, measure: Measure) -> None:
    study = load(claiming)
    records = measure(study, lambda cell: 0.4 if cell.arm == "mixup" and cell.trial.label_noise == 0.2 else 0.5)
    shown = verdict_lines(findings_of(study, records), "markdown")
    effects = "? 80% +0.00 [+0.00, +0.00]; ✓ 20% −10.00 [−10.00, −10.00]"
    assert f"- ? mixup is better (3.4): {effects} · 2 seeds · †" in shown
    assert "One seed" not in shown


def test_a_ratio_stands_with_its_interval(claiming: str, load: Loader, measure: Measure) -> None:
    study = load(
        claiming.replace("{lower: mixup, than: ERM}", "{higher: mixup, than: ERM, accuracy: true, times: 1.9}")
    )
    records = measure(study, lambda cell: (0.6 if cell.arm == "mixup" else 0.8) + 0.1 * cell.trial.seed)
    ratio = "×2.33 [2.00, 3.00]"
    assert lines(study, records) == [f"- ✓ mixup is better (3.4): 80% {ratio}; 20% {ratio} · 2 seeds · †"]
    shown = verdict_lines(findings_of(study, records), "markdown")
    assert "? undecided. Effects are ratios of means (×), with their 95 % bootstrap interval over the seeds." in shown


def test_ratios_stand_beside_differences(claiming: str, load: Loader, measure: Measure) -> None:
    ratio = "{lower: mixup, than: ERM, times: 0.5, where: {label_noise: 0.2}}"
    study = load(claiming.replace("than: ERM}", f"than: ERM}}, {ratio}"), "grid.seed=0")
    shown = verdict_lines(
        findings_of(study, measure(study, lambda cell: 0.2 if cell.arm == "mixup" else 0.5)), "markdown"
    )
    assert "80% −30.00; 20% −30.00; 20% ×0.40 · one seed" in shown
    assert "Differences of means in points of percent or ratios of means (×), with their 95 %" in shown
    assert "over the seeds. One seed decides nothing." in shown


def test_a_ratio_to_zero_is_undecided(claiming: str, load: Loader, measure: Measure) -> None:
    study = load(claiming.replace("than: ERM", "than: ERM, times: 0.5"))
    shown = lines(study, measure(study, lambda cell: 0.2 if cell.arm == "mixup" else 0.0))
    assert shown == [
        "- ? mixup is better (3.4): 80% second mean not above 0; 20% second mean not above 0 · 2 seeds · †"
    ]
    shown = lines(study, measure(study, lambda cell: 0.2 if cell.arm == "mixup" or cell.trial.seed else 0.0))
    assert "×2.00 [1.00, ∞]" in shown[0]


def test_of_many_ratios_those_least_supported_are_shown(claiming: str, load: Loader, measure: Measure) -> None:
    text = claiming.replace("than: ERM", "than: ERM, times: 0.5")
    study = load(text, "grid.label_noise=[0, 0.1, 0.2, 0.3, 0.4]", "grid.seed=[0, 1]")
    records = measure(study, lambda cell: cell.trial.label_noise + 0.1 if cell.arm == "mixup" else 0.5)
    least = "✗ 40% ×1.00 [1.00, 1.00]; ✗ 30% ×0.80 [0.80, 0.80]"
    assert f"2 ✓, 3 ✗ of 5, least supported: {least} · 2 seeds" in lines(study, records)[0]


def test_of_many_ratios_of_one_seed_those_least_supported_are_shown(
    claiming: str, load: Loader, measure: Measure
) -> None:
    text = claiming.replace("than: ERM", "than: ERM, times: 0.5")
    study = load(text, "grid.label_noise=[0, 0.1, 0.2, 0.3, 0.4]", "grid.seed=0")
    records = measure(study, lambda cell: cell.trial.label_noise + 0.1 if cell.arm == "mixup" else 0.5)
    assert "5 ? of 5, least supported: 40% ×1.00; 30% ×0.80 · one seed" in lines(study, records)[0]


def test_seeds_stand_by_each_effect_where_they_differ(claiming: str, load: Loader, measure: Measure) -> None:
    study = load(claiming)
    records = measure(study, lambda cell: None if cell.trial.label_noise == 0.2 and cell.trial.seed else 0.5)
    (shown,) = lines(study, records)
    assert "80% +0.00 [+0.00, +0.00] (2 seeds); 20% +0.00 (one seed)" in shown


def test_what_is_not_run_says_so_once(claiming: str, load: Loader, measure: Measure) -> None:
    study = load(claiming)
    assert lines(study, measure(study, lambda cell: None)) == ["- ? mixup is better (3.4): not run"]
    without = load(claiming, "arms.ERM=null", "arms.mixup=null", "arms.other={}")
    assert lines(without, measure(without, lambda cell: 0.5)) == ["- ? mixup is better (3.4): not run"]


BETTER = {0: 0.1, 0.1: 0.2, 0.2: -0.1, 0.3: 0.3, 0.4: 0, 0.5: 0.4}
"""By label noise, by how much mixup's error is below ERM's."""


def test_of_many_comparisons_those_least_supported_are_shown(claiming: str, load: Loader, measure: Measure) -> None:
    study = load(claiming, f"grid.label_noise={list(BETTER)}", "grid.seed=[0, 1]")
    records = measure(study, lambda cell: 0.5 - BETTER[cell.trial.label_noise] * (cell.arm == "mixup"))
    assert lines(study, records) == [
        "- ✗ mixup is better (3.4): 4 ✓, 1 ✗, 1 ? of 6, least supported: ✗ 20% +10.00 [+10.00, +10.00];"
        " ? 40% +0.00 [+0.00, +0.00] · 2 seeds · †"
    ]


def test_of_many_comparisons_of_one_seed_those_least_supported_are_shown(
    claiming: str, load: Loader, measure: Measure
) -> None:
    study = load(claiming, f"grid.label_noise={list(BETTER)}", "grid.seed=0")
    records = measure(study, lambda cell: 0.5 - BETTER[cell.trial.label_noise] * (cell.arm == "mixup"))
    assert lines(study, records) == [
        "- ? mixup is better (3.4): 6 ? of 6, least supported: 20% +10.00; 40% +0.00 · one seed · †"
    ]


def test_what_falls_short_of_a_margin_is_least_supported(claiming: str, load: Loader, measure: Measure) -> None:
    margins = ", ".join(
        f"{{lower: mixup, than: ERM, by: {10 * number}, where: {{label_noise: {noise}}}}}"
        for number, noise in enumerate(BETTER)
    )
    study = load(
        claiming.replace("{lower: mixup, than: ERM}", margins), f"grid.label_noise={list(BETTER)}", "grid.seed=0"
    )
    records = measure(study, lambda cell: 0.5 - BETTER[cell.trial.label_noise] * (cell.arm == "mixup"))
    # Measured less claimed, in points: 10, 10, −30, 0, −40 and −10.
    assert "6 ? of 6, least supported: 40% +0.00; 20% +10.00 · one seed" in lines(study, records)[0]


def test_of_a_claim_that_needs_some_comparisons_it_is_said_how_many(
    claiming: str, load: Loader, measure: Measure
) -> None:
    study = load(claiming.replace("than: ERM}]", "than: ERM}], at_least: 1"))
    records = measure(study, lambda cell: 0.4 if cell.arm == "mixup" and cell.trial.label_noise == 0.2 else 0.5)
    effects = "? 80% +0.00 [+0.00, +0.00]; ✓ 20% −10.00 [−10.00, −10.00]"
    assert lines(study, records) == [f"- ✓ mixup is better (3.4): 1 ✓, 1 ? of 2, 1 needed: {effects} · 2 seeds · †"]


def test_a_study_without_claims_prints_nothing(paper_study: str, load: Loader, measure: Measure) -> None:
    study = load(paper_study)
    assert verdict_lines(findings_of(study, measure(study, lambda cell: 0.5)), "text") == ""
