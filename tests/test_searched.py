"""What commands show of a study that has searched, and what Optuna and its dashboard read of it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener
from wsgiref.simple_server import make_server

import optuna
import optuna_dashboard
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.browser import Browser
from tests.cluster.support import SEARCHING
from tests.commands import call_command


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of two searches, one of which diverged throughout, and its results."""
    folder = tmp_path_factory.mktemp("searched")
    text = SEARCHING.replace("proposals: 13", "proposals: 9").replace("confirm: {seed: [100, 101]}", "")
    text = text.replace("arms:\n", "arms:\n  diverging: {method: mixup, alpha: 1, lr: 1e+30, optimizer: sgd}\n")
    text = text.replace("  space:\n", "  space:\n    diverging: {weight_decay: {log: [1e-5, 1e-2]}}\n")
    (folder / "searching.yaml").write_text(text)
    ended = call_command("run", folder / "searching.yaml", "--local", "--results", folder / "results")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def export(folder: Path, *arguments: str) -> Path:
    journal = folder / "journal.log"
    study = folder / "searching.yaml"
    ended = call_command("export", study, "--results", folder / "results", "--optuna", journal, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{journal}: 2 studies of Optuna, 18 trials\n"
    return journal


@pytest.mark.slow
def test_optuna_reads_the_searches_back(searched: Path) -> None:
    export(searched)
    storage = JournalStorage(JournalFileBackend(str(export(searched))))  # the second in place of the first
    assert optuna.get_all_study_names(storage) == ["searching: diverging", "searching: mixup"]
    diverging, mixup = (
        optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)
    )
    assert Counter(trial.state.name for trial in diverging.trials) == {"FAIL": 9}
    assert Counter(trial.state.name for trial in mixup.trials) == {"COMPLETE": 9}
    assert mixup.trials[0].params == {"alpha": 0.2, "weight_decay": 1e-4}
    assert mixup.metric_names == ["validation_error_last"]
    ids = tuple(mixup.best_trial.user_attrs["trial_ids"])
    sql = f"select avg(validation_error_last) from trials where trial_id in {ids}"
    asked = call_command("query", sql, "--results", searched / "results", "--format", "csv")
    assert float(asked.stdout.splitlines()[1]) == pytest.approx(mixup.best_value)


def test_optunas_dashboard_serves_them(searched: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(export(searched))))
    server = make_server("127.0.0.1", 0, optuna_dashboard.wsgi(storage))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/api/studies"
        studies = ask(url)["study_summaries"]
        assert [study["study_name"] for study in studies] == ["searching: diverging", "searching: mixup"]
        shown = ask(f"{url}/{studies[1]['study_id']}")
        assert Counter(trial["state"] for trial in shown["trials"]) == {"Complete": 9}
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def ask(url: str) -> Any:
    """Return what a server of this machine answers."""
    with build_opener(ProxyHandler({})).open(url, timeout=60) as answer:
        assert answer.status == 200
        return json.load(answer)


def test_the_proposals_can_be_asked_in_sql(searched: Path) -> None:
    sql = "select arm, count(*) n, max(number) last from proposals group by arm order by arm"
    asked = call_command("query", sql, "--results", searched / "results", "--format", "csv")
    assert asked.stdout == "arm,n,last\ndiverging,9,8\nmixup,9,8\n"


def test_plan_tells_how_far_the_searches_are(searched: Path) -> None:
    shown = call_command("plan", searched / "searching.yaml", "--results", searched / "results").stdout
    assert "38 trials: 38 done already, 0 to run" in shown
    assert "search: diverging: 9/9 proposals, best so far 100.0%: weight_decay=0.0001" in shown
    assert "search: mixup: 9/9 proposals, best so far" in shown


def test_a_sampler_that_will_be_slow_says_so(tmp_path: Path) -> None:
    study = ("studies/search_corrupt_labels.yaml", "--profile", "quick", "--results", tmp_path)
    slow = call_command("plan", *study, "--set", "search.sampler=gp", "--set", "search.proposals=501").stdout
    assert "search: gp takes seconds for each proposal beyond 500 of 501, more with each" in slow
    for options in (["search.proposals=501"], ["search.sampler=gp", "search.proposals=500"]):
        sets = [part for option in options for part in ("--set", option)]
        assert "takes seconds" not in call_command("plan", *study, *sets).stdout


def test_a_study_without_a_search_has_nothing_to_export(tmp_path: Path) -> None:
    ended = call_command("export", "studies/toy.yaml", "--optuna", tmp_path / "journal", "--results", tmp_path)
    assert (ended.returncode, ended.stderr) == (
        2,
        "error: --optuna: toy has no search; expected a study with one\n",
    )
    assert not list(tmp_path.iterdir())


def test_a_journal_that_cannot_be_written_is_one_line(searched: Path) -> None:
    nowhere = searched / "nowhere" / "journal"
    results = searched / "results"
    ended = call_command("export", searched / "searching.yaml", "--results", results, "--optuna", nowhere)
    assert (ended.returncode, ended.stderr) == (
        2,
        f"error: --optuna {nowhere}: cannot be written: No such file or directory\n",
    )


def test_the_report_draws_the_searches(searched: Path, browser: Browser) -> None:
    page = searched / "report.html"
    study = searched / "searching.yaml"
    written = call_command("report", study, "--results", searched / "results", "--out", page)
    assert (written.returncode, written.stderr) == (0, "")
    browser.resize(1200, 900)
    browser.open(page.as_uri())
    browser.wait("document.documentElement.dataset.drawn")
    drawn = browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#search .chart')].map("
        "(chart) => [chart.dataset.chart, chart.querySelectorAll('.view svg').length]))"
    )
    assert drawn == {
        "search-history": 1,
        "search-slice-weight_decay": 1,
        "search-slice-alpha": 1,
        "search-parallel": 1,
        "search-contour": 1,
    }
    rows = browser.evaluate(
        "[...document.querySelectorAll('#search > .scroll tbody')].map((body) => [...body.rows].map("
        "(row) => [...row.cells].map((cell) => cell.innerText)))"
    )
    picked, importances = rows
    assert [row[:2] for row in picked] == [["diverging", "9/9"], ["mixup", "9/9"]]
    assert picked[0][3:5] == ["100.00", ""]
    assert float(picked[1][3]) <= 100
    assert float(picked[1][6]) <= float(picked[1][4])  # the test set's own pick is never worse on it
    assert [row[0] for row in importances] == ["mixup"]
    assert abs(sum(float(share.rstrip("%")) for share in importances[0][1:]) - 100) <= 1


def test_the_report_draws_what_two_measurements_leave_open(searched: Path, browser: Browser) -> None:
    options = ["--set", "search.minimise=[validation_error_last, train_error_real]", "--set", "arms.diverging=null"]
    options += ["--set", "search.space.diverging=null", "--set", "search.at_most={validation_error_best: 90}"]
    page, study = searched / "front.html", searched / "searching.yaml"
    ended = call_command("run", study, "--local", "--results", searched / "results", *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "where validation error best is at most 90.0%" in " ".join(ended.stdout.split())
    written = call_command("report", study, "--results", searched / "results", "--out", page, *options)
    assert (written.returncode, written.stderr) == (0, "")
    browser.resize(1200, 900)
    browser.open(page.as_uri())
    browser.wait("document.documentElement.dataset.drawn")
    assert browser.evaluate("document.querySelectorAll('[data-chart=search-front] .view svg').length") == 1
    tables = browser.evaluate(
        "[...document.querySelectorAll('#search > .scroll tbody')].map((body) => [...body.rows].map("
        "(row) => [...row.cells].map((cell) => cell.innerText)))"
    )
    picked, front = tables[:2]
    assert [row[2] for row in front][:1] == [row[2] for row in picked]
    errors = [(float(row[3]), float(row[4])) for row in front]
    assert errors == sorted(errors)
    assert [second for _, second in errors] == sorted((second for _, second in errors), reverse=True)


def test_arms_picked_on_the_test_set_are_marked(searched: Path) -> None:
    options = ["--set", "search.minimise=test_error_last", "--set", "search.on_test_set=true"]
    shown = call_command("tables", searched / "searching.yaml", "--results", searched / "results", *options).stdout
    assert "† Picked on the test set, on which its errors are too low for that." in " ".join(shown.split())
    rows = [line.split("  ")[0].strip() for line in shown.splitlines() if line.endswith(("0/2", "2/2"))]
    assert rows == ["diverging †", "ERM", "mixup †"]
