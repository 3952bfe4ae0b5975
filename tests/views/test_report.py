"""The report in a real browser: what a reader sees of it, and that nothing is asked of any network."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import fs
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from benchmarks.report import many
from mixup_study.analysis.curves import thin
from mixup_study.analysis.findings import Findings
from mixup_study.errors import InputError
from mixup_study.report import main
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.study.study import StudyFile
from mixup_study.views.report import write_report
from tests.analysis.test_findings import SEVERAL_TASKS
from tests.browser import Browser
from tests.fixtures import PROVENANCE
from tests.views.test_figures import GAN, PLANE, epochs_of, points_of

MARKUP = "<b>mix</b></script><script>alert(1)</script>"
"""A name that would do harm in a page that took it for more than a name."""
STUDY = f"""\
name: seen
paper: {{table: 2, section: "3.4", protocol: CIFAR-10 for 200 epochs}}
trial: {{dataset: digits, model: mlp, width: 8, epochs: 12, batch_size: 50, lr: 0.1}}
grid: {{label_noise: [0.2, 0.8], seed: [0, 1]}}
arms:
  ERM: {{}}
  "{MARKUP}": {{method: mixup, alpha: [2, 8, .inf]}}
  dropout: {{dropout: [0.1, 0.5]}}
table:
  title: A table
  rows: [label_noise, arm]
  columns: [{{title: best, metric: test_error_best}}, {{title: last, metric: test_error_last}}]
  pick: {{lowest: test_error_last}}
figures: [{{kind: curves, title: Errors over the epochs}}]
claims:
  - {{text: "mixup's error is below ERM's <i>", section: "3.4", compare: [{{lower: "{MARKUP}", than: ERM}}]}}
  - text: Dropout's error is above ERM's by 40 points
    section: "3.4"
    compare: [{{higher: dropout, than: ERM, by: 40}}]
published:
  - {{label_noise: 0.2, arm: ERM, test_error_best: 12.7, test_error_last: 16.6}}
"""
SECTIONS = ["table", "claims", "curves", "effects", "memorisation", "efficiency", "failed", "methods", "made"]
HEADING = "document.querySelector('#table h2').textContent"


def recorded(text: str, folder: Path, profile: str = "paper") -> tuple[Path, ResultStore]:
    """Return a study's file, and its results: two slots, a day's pause, two failures, and the last trial not run."""
    file = folder / "study.yaml"
    file.write_text(text, encoding="utf-8")
    store = ResultStore(str(folder / "results"))
    trials = list(StudyFile(file).load(profile).trials.values())
    for number, trial in enumerate(trials[:-1]):
        pause = timedelta(days=number // (len(trials) // 2))
        started_at = PROVENANCE.started_at + timedelta(seconds=60 * (number // 2)) + pause
        provenance = replace(PROVENANCE, started_at=started_at)
        if number % 10 == 9:
            store.write(
                TrialRecord(trial, "failed", provenance, 5.0, error=f"ValueError: {MARKUP}", traceback="Traceback …")
            )
            continue
        rows = epochs_of(trial.model_copy(update={"alpha": min(trial.alpha or 0, 32)}))
        last = rows[-1].get("test_error")
        measured = dict.fromkeys(("test_error_best", "test_error_last", "train_error_real"), last)
        measured |= {"train_error_corrupted": 0.7 if trial.label_noise else None}
        if trial.task == "gan":
            measured = dict.fromkeys(("modes_covered_last", "modes_covered_lowest"), rows[-1]["modes_covered"])
        store.write(TrialRecord(trial, "done", provenance, 50.0, measured, rows, points_of(trial)))
    return file, store


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ResultStore]:
    return recorded(STUDY, tmp_path_factory.mktemp("seen"))


@pytest.fixture(scope="module")
def report(study: tuple[Path, ResultStore]) -> Path:
    file, store = study
    assert main([str(file), "--results", store.location]) == 0
    return Path(store.location, "reports", "seen.html")


@pytest.fixture
def opened(report: Path, browser: Browser) -> Callable[..., Browser]:
    """Opens the report, all its figures drawn."""

    def shown(path: Path = report, width: int = 1280, scheme: str = "light", *, phone: bool = False) -> Browser:
        browser.resize(width, phone=phone)
        browser.prefer(scheme)
        browser.open(path.as_uri())
        browser.wait("document.documentElement.dataset.drawn")
        return browser

    return shown


def sections(browser: Browser) -> list[str]:
    return list(browser.evaluate("[...document.querySelectorAll('main > section')].map((one) => one.id)"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["wide", "phone"])
def test_opens_whole_without_a_network(opened: Any, report: Path, scheme: str, phone: bool) -> None:
    browser = opened(width=390 if phone else 1280, scheme=scheme, phone=phone)
    assert browser.problems() == []
    assert browser.requests() == [report.as_uri()]
    assert sections(browser) == SECTIONS
    views = "[...document.querySelectorAll('.view')]"
    assert browser.evaluate(f"{views}.length") == 2 + 2 + 2 + 1 + 2 + 1
    assert browser.evaluate(f"{views}.every((one) => one.querySelector('svg path[d][stroke], svg path[d][fill]'))")
    fits = f"{views}.every((one) => one.querySelector('svg').getBoundingClientRect().right <= innerWidth)"
    assert browser.evaluate(fits)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    light, dark = browser.evaluate(
        "['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name].match(/\\d+/g)[1] > 128)"
    )
    assert (light, dark) == ((True, False) if scheme == "dark" else (False, True))
    line = "getComputedStyle(document.querySelector('#curves .mark-line path')).stroke"
    assert browser.evaluate(line) == ("rgb(242, 242, 240)" if scheme == "dark" else "rgb(0, 0, 0)")


def test_a_phone_keeps_the_rows_names_in_sight_while_the_numbers_scroll(opened: Any) -> None:
    names = "[...document.querySelectorAll('#table tbody .name')]"
    outer = "getComputedStyle(document.querySelector('#table .outer')).display"
    first = f"getComputedStyle({names}[0], '::before').content"
    browser = opened()
    assert (browser.evaluate(outer), browser.evaluate(first)) == ("table-cell", "none")
    browser = opened(width=390, phone=True)
    assert browser.evaluate(outer) == "none"
    assert browser.evaluate(first) == f'"{browser.evaluate(f"{names}[0].dataset.outer")}"'
    box = "document.querySelector('#table .scroll')"
    assert browser.evaluate(f"{box}.scrollWidth > {box}.clientWidth")
    browser.evaluate(f"{box}.scrollLeft = {box}.scrollWidth")
    browser.settle()
    assert browser.evaluate(
        f"{names}.every((one) => one.getBoundingClientRect().left >= {box}.getBoundingClientRect().left)"
    )
    last = "document.querySelector('#table tbody td:last-child').getBoundingClientRect().right"
    assert browser.evaluate(f"{last} <= innerWidth")


def test_a_report_says_how_far_the_study_is(opened: Any) -> None:
    browser = opened()
    assert browser.evaluate("document.querySelector('.progress p').textContent") == (
        "21 of 24 trials done, 2 failed, 1 left: this is what is there so far."
    )
    assert "profile paper" in browser.evaluate("document.querySelector('h1').textContent")
    assert "In brackets, the paper's own numbers" in browser.evaluate("document.getElementById('table').innerText")


def test_the_table_stands_measured_beside_published(opened: Any) -> None:
    cells = "[...document.querySelectorAll('#table tbody tr:first-child td')].map((one) => one.textContent)"
    browser = opened()
    assert browser.evaluate(cells) == ["20%", "ERM", "", "4.6 ± 0.6 (12.7)", "4.6 ± 0.6 (16.6)", "2/2"]
    assert browser.evaluate(HEADING) == "Measured beside published"


def test_the_claims_stand_with_verdict_effect_interval_and_section(opened: Any) -> None:
    browser = opened()
    signs = "[...document.querySelectorAll('#claims .claim .sign')].map((one) => one.getAttribute('aria-label'))"
    assert browser.evaluate(signs) == ["contradicted", "contradicted"]
    first, _ = browser.evaluate("[...document.querySelectorAll('.claims li')].map((one) => one.innerText)")
    assert "mixup's error is below ERM's <i> section 3.4" in first
    assert re.search(r"20% \+\d\.\d \[", first)
    assert (
        browser.evaluate("document.querySelector('.counts').innerText").split("\n")[0].startswith("The paper's claims")
    )


def test_a_claim_of_a_ratio_stands_in_the_report(tmp_path: Path, browser: Browser) -> None:
    compare = "{higher: dropout, than: ERM, by: 40}"
    ratio = "{higher: dropout, than: ERM, accuracy: true, times: 2.65}"
    assert compare in STUDY
    file, store = recorded(STUDY.replace(compare, ratio), tmp_path)
    assert main([str(file), "--results", store.location]) == 0
    browser.open(Path(store.location, "reports", "seen.html").as_uri())
    browser.wait("document.documentElement.dataset.drawn")
    assert browser.problems() == []
    assert sections(browser) == SECTIONS
    claims = browser.evaluate("document.getElementById('claims').textContent")
    assert "at least 2.65 times ERM" in claims
    assert re.search(r"×\d\.\d\d \[\d\.\d\d, \d\.\d\d\]", claims)
    assert "ratios of means" in claims
    assert "test accuracy last" in claims
    headings = browser.evaluate("[...document.querySelectorAll('#claims th')].map((one) => one.textContent)")
    assert ("difference" in headings, "ratio" in headings) == (True, True)


def test_names_and_errors_are_texts_whatever_they_hold(opened: Any) -> None:
    browser = opened()
    assert browser.evaluate("document.querySelectorAll('main b').length") == 0
    assert browser.evaluate("document.querySelectorAll('script').length") == 3
    assert f"ValueError: {MARKUP}" in browser.evaluate("document.getElementById('failed').innerText")
    assert MARKUP in browser.evaluate("document.querySelector('#curves .key').textContent")
    assert MARKUP[:14] in browser.evaluate("document.querySelector('#memorisation .view svg').textContent")
    assert f"{MARKUP} (α=2) lower than ERM" in browser.evaluate("document.querySelector('#claims').textContent")


def test_pointing_at_a_figure_tells_its_numbers(opened: Any) -> None:
    browser = opened()
    browser.evaluate("document.getElementById('curves').scrollIntoView({behavior: 'instant'})")
    x, y = browser.evaluate(
        "(({left, top, width, height}) => [left + width / 2, top + height / 2])"
        "(document.querySelector('#curves .view').getBoundingClientRect())"
    )
    browser.point(x, y)
    told = browser.wait("!document.getElementById('tooltip').hidden && document.getElementById('tooltip').innerText")
    assert told.startswith("epoch 6\n")
    assert f"{MARKUP} (α=2)" in told
    assert " ± " in told
    browser.point(1, 1)
    browser.wait("document.getElementById('tooltip').hidden")


def test_keys_and_buttons_zoom_and_show_all_again(opened: Any) -> None:
    browser = opened()
    ticks = "[...document.querySelectorAll('#curves .view svg')[0].querySelectorAll('.role-axis-label text')]"
    texts = f"{ticks}.map((one) => one.textContent).sort().join()"
    whole = browser.evaluate(texts)
    view = browser.driver.find_element(By.CSS_SELECTOR, "#curves .view")
    view.send_keys("+")
    browser.wait(f"{texts} !== arguments[0]", whole)
    view.send_keys(Keys.ARROW_RIGHT)
    view.send_keys("0")
    browser.wait(f"{texts} === arguments[0]", whole)
    browser.driver.find_element(By.CSS_SELECTOR, "#curves [data-zoom=in]").click()
    browser.wait(f"{texts} !== arguments[0]", whole)
    browser.driver.find_element(By.CSS_SELECTOR, "#curves [data-zoom=reset]").click()
    browser.wait(f"{texts} === arguments[0]", whole)


def test_the_key_hides_arms_and_shows_them_again(opened: Any) -> None:
    browser = opened()
    lines = "document.querySelector('#curves .view').querySelectorAll('.mark-line path').length"
    assert browser.evaluate(lines) == 3
    button = browser.driver.find_element(By.CSS_SELECTOR, "#curves [data-arm='0']")
    button.click()
    browser.wait(f"{lines} === 2")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    browser.wait(f"{lines} === 3")


def test_time_without_training_is_cut_out_of_the_timeline(opened: Any) -> None:
    text = opened().evaluate("document.getElementById('efficiency').innerText")
    assert "17 min 40 s of training in 2 slots x " in text
    assert "At 1 dashed line time is cut out in which nothing trained" in text


def test_the_same_results_give_the_same_bytes(report: Path, study: tuple[Path, ResultStore]) -> None:
    file, store = study
    out = report.with_name("again.html")
    code = "import sys; from mixup_study.report import main; sys.exit(main(sys.argv[1:]))"
    again = [sys.executable, "-c", code, file, "--results", store.location, "--out", out]
    subprocess.run(again, check=True, env={"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)})
    assert out.read_bytes() == report.read_bytes()


def test_a_study_of_which_nothing_has_run(opened: Any, tmp_path: Path) -> None:
    (file := tmp_path / "study.yaml").write_text(STUDY)
    assert main([str(file), "--results", str(tmp_path), "--profile", "paper"]) == 0
    browser = opened(tmp_path / "reports" / "seen.html")
    assert sections(browser) == ["table", "claims", "methods", "made"]
    assert "2 undecided" in browser.evaluate("document.querySelector('.counts').innerText")
    assert "0 of 24 trials done, 24 left" in browser.evaluate("document.body.innerText")
    assert browser.problems() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GAN, ["table", "curves", "drawings", "efficiency", "methods", "made"]),
        (PLANE, ["table", "curves", "drawings", "efficiency", "methods", "made"]),
    ],
    ids=["gan", "plane"],
)
def test_other_tasks_have_the_sections_that_they_have_data_for(
    opened: Any, tmp_path: Path, text: str, expected: list[str]
) -> None:
    file, store = recorded(text, tmp_path)
    out = tmp_path / "report.html"
    assert main([str(file), "--results", store.location, "--out", str(out)]) == 0
    browser = opened(out)
    assert sections(browser) == expected
    assert browser.evaluate(HEADING) == "Measured"
    assert browser.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 300)")
    assert browser.problems() == []
    assert browser.requests() == [out.as_uri()]


def test_each_task_has_learning_curves_of_its_own(opened: Any, tmp_path: Path) -> None:
    file, store = recorded(SEVERAL_TASKS, tmp_path, "full")
    assert main([str(file), "--results", store.location]) == 0
    browser = opened(Path(store.location, "reports", "several.html"))
    titles = "[...document.querySelectorAll('#curves h3')].map((one) => one.textContent)"
    assert browser.evaluate(titles) == ["test error (%)", "modes covered"]
    assert browser.evaluate("document.querySelectorAll('#curves .view svg').length") == 2
    assert browser.problems() == []


def test_it_imports_matplotlib_for_drawn_figures_alone() -> None:
    code = "import sys, mixup_study.views.report; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_thousand_trials_fit_into_five_megabytes(opened: Any, tmp_path: Path) -> None:
    study, store = many(tmp_path, 1000, 200)
    path = Path(write_report(Findings.read(study, store, "for a test")))
    assert path.stat().st_size < 5e6
    browser = opened(path)
    assert browser.evaluate("document.querySelectorAll('.view svg').length") == 2 + 2 + 2 + 1 + 2 + 1
    assert browser.problems() == []


def test_thinning_keeps_the_ends_the_lowest_and_the_highest() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    places = thin(values, 200)
    assert len(places) <= 200
    assert {0, 4999, values.argmin(), values.argmax()} <= set(places.tolist())
    assert (np.diff(places) > 0).all()


def test_it_goes_to_the_bucket_of_the_results_but_cannot_be_opened_there(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "study.yaml").write_text(STUDY)
    arguments = [str(file), "--results", bucket, "--profile", "paper"]
    assert main(arguments) == 0
    shown = bucket.partition("?")[0].replace("key:secret", "…")
    assert capsys.readouterr().out == f"{shown}/reports/seen.html\n"
    system, root = fs.FileSystem.from_uri(bucket)
    with system.open_input_stream(f"{root}/reports/seen.html") as stream:
        assert stream.read(15) == b"<!DOCTYPE html>"
    with pytest.raises(InputError, match=rf"^--open: the report would go to {shown}"):
        main([*arguments, "--open"])


def test_a_place_that_cannot_be_written_is_one_line(study: tuple[Path, ResultStore]) -> None:
    file, store = study
    with pytest.raises(InputError, match=rf"^--out {file}/below: cannot be written to: "):
        main([str(file), "--results", store.location, "--out", f"{file}/below"])
