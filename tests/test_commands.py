"""The commands as a user runs them: what they print, what they refuse, how they end."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from mixup_study.__main__ import COMMANDS
from mixup_study.catalogue import CATALOGUE
from mixup_study.store import sql as store_sql
from mixup_study.store.checkpoints import CheckpointEntry, CheckpointFile, seal_checkpoint
from mixup_study.store.models import ModelFile, seal_model
from mixup_study.store.record import TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.study.json_schema import study_schema
from mixup_study.study.study import StudyFile
from tests.commands import REPOSITORY, call_command, list_heavy_modules
from tests.fixtures import PROVENANCE

CORRUPT_LABELS = "studies/corrupt_labels.yaml"
ABLATION = "studies/ablation.yaml"


def printed(name: str, *arguments: str | Path) -> str:
    """Return what a command prints that has nothing to complain about."""
    ended = call_command(name, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.fixture
def results(tiny_study: Path) -> Path:
    """Results of the tiny study: of its three trials, ERM and mixup of alpha 1 are done, alpha 8 has failed."""
    store = ResultStore(str(tiny_study.parent / "results"))
    for cell in StudyFile(tiny_study).load("full").cells:
        if cell.trial.alpha == 8:
            store.write(
                TrialRecord(cell.trial, "failed", PROVENANCE, 1.0, error="RuntimeError: diverged", traceback="…")
            )
            continue
        epochs = [
            {"epoch": epoch, "lr": 0.1, "train_loss": 1.0, "test_error": 0.5, "seconds": 30.0} for epoch in (1, 2)
        ]
        error = 0.4 if cell.arm == "ERM" else 0.3
        store.write(TrialRecord(cell.trial, "done", PROVENANCE, 60.0, dict.fromkeys(CATALOGUE.metrics, error), epochs))
    ModelFile(store.location, cell.trial.trial_id).write(seal_model(cell.trial.trial_id, b"weights"))
    return tiny_study.parent / "results"


# Help, and what it costs.


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_how_to_call_a_command(name: str) -> None:
    shown = printed(name, "--help")
    assert shown.startswith(f"usage: python -m mixup_study.{name} [-h]")


def test_help_imports_nothing_heavy() -> None:
    assert list_heavy_modules(*([name, "--help"] for name in COMMANDS)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plan", "tables", "query", "models"])
def test_asking_imports_nothing_heavy(name: str, tiny_study: Path, results: Path) -> None:
    asked = {"query": ["select * from trials join epochs using (trial_id)"], "models": []}.get(name, [tiny_study])
    assert list_heavy_modules([name, *asked, "--results", results]) == []
    if name == "query":
        assert list_heavy_modules([name, *asked, "--results", results, "--study", tiny_study]) == []


@pytest.mark.slow
def test_a_run_in_this_process_does_without_ray(tiny_study: Path) -> None:
    imported = list_heavy_modules(["run", tiny_study, "--results", tiny_study.parent / "results", "--local"])
    assert "torch" in imported
    assert "ray" not in imported
    assert len(ResultStore(str(tiny_study.parent / "results")).done()) == len(StudyFile(tiny_study).load("full").trials)


def test_the_rooms_import_only_downwards() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run(
        [linter, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout


# Bad input.


@pytest.mark.parametrize(
    ("name", "arguments", "parts"),
    [
        ("plan", [], ["the following arguments are required: study", "see python -m mixup_study.plan --help"]),
        ("plan", ["studies/corupt_labels.yaml"], ["no such file", "did you mean 'corrupt_labels.yaml'?"]),
        ("plan", [CORRUPT_LABELS, "another"], ["unrecognized arguments: another"]),
        ("plan", [CORRUPT_LABELS, "--slots", "0"], ["--slots", "'0'", "expected a whole number of 1 or more"]),
        ("plan", [CORRUPT_LABELS, "--profile", "quik"], ["no profile 'quik'", "did you mean 'quick'?"]),
        ("plan", [CORRUPT_LABELS, "--set", "trial.dropout=1.0"], ["--set trial.dropout=1.0: trial.dropout", "[0, 1)"]),
        (
            "plan",
            [ABLATION, "--set", "grid.lr=[0.1, 0.2]"],
            ["studies/ablation.yaml:", "arms.ERM: has lr 0.1 and 0.2 in one cell of the table", "table.pick to choose"],
        ),
        (
            "tables",
            [ABLATION, "--set", "trial.model=mlp"],
            ["layer 4.layer: 4: expected one of 1, 2, 3, the layers of mlp"],
        ),
        ("tables", ["pyproject.toml"], ["pyproject.toml"]),
        ("tables", [CORRUPT_LABELS, "--format", "html"], ["--format", "'html'", "'markdown'"]),
        ("tables", [CORRUPT_LABELS, "--results", "~no-one/x"], ["--results ~no-one/x", "expected a folder or URL"]),
        ("figures", ["studies/toy.yaml", "--out", "~no-one/x"], ["--out ~no-one/x", "expected a folder or URL"]),
        ("run", [CORRUPT_LABELS, "--data", "~no-one/x"], ["--data ~no-one/x", "expected a folder"]),
        ("query", ["select [date 'infinity']", "--results", "nowhere"], ["a date within a list", "as varchar"]),
        ("tables", [CORRUPT_LABELS, "--results", "foo://bar"], ["--results foo://bar", "expected a folder or URL"]),
        (
            "query",
            ["drop view trials", "--results", "nowhere"],
            ["expected one SELECT over trials, epochs, "],
        ),
        ("query", ["select alhpa from trials", "--results", "nowhere"], ["alhpa", "alpha"]),
        ("query", ["select arm from trials", "--results", "nowhere"], ['"arm" not found', "expected --study FILE"]),
        ("query", ["select 1", "--profile", "quick"], ["--profile: expected --study FILE beside it"]),
        ("query", ["select 1", "--set", "trial.lr=1"], ["--set: expected --study FILE beside it"]),
        ("query", ["select 1", "--study", "studies/tyo.yaml"], ["no such file", "did you mean 'toy.yaml'?"]),
        ("query", ["select 1", "--study", CORRUPT_LABELS, "--profile", "quik"], ["did you mean 'quick'?"]),
        ("query", ["select 1", "--vertical", "--format", "csv"], ["--format: not allowed with", "--vertical"]),
        ("schema", ["nowhere/study.schema.json"], ["nowhere/study.schema.json: cannot be written"]),
        ("run", [CORRUPT_LABELS, "--cpus", "0"], ["--cpus", "'0'", "expected a whole number of 1 or more"]),
        ("run", [CORRUPT_LABELS, "--gpus", "-1"], ["--gpus"]),
        ("run", [CORRUPT_LABELS, "--address", "here:1", "--cpus", "2"], ["--address", "without --cpus and --gpus"]),
        ("run", [CORRUPT_LABELS, "--local", "--cpus", "2"], ["--local", "without --address, --cpus and --gpus"]),
        ("run", [CORRUPT_LABELS, "--set", "trial.epochs=0"], ["--set trial.epochs=0: trial.epochs: 0:", "≥ 1"]),
        (
            "run",
            [CORRUPT_LABELS, "--results", "pyproject.toml/below"],
            ["pyproject.toml/below", "cannot be written to"],
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else " ".join(given),
)
def test_bad_input_is_one_line_and_status_2(name: str, arguments: list[str], parts: list[str]) -> None:
    ended = call_command(name, *arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert part in line


def test_bad_input_ends_a_process_without_a_traceback() -> None:
    command = [sys.executable, "-m", "mixup_study.plan", CORRUPT_LABELS, "--set", "trial.epochs=0"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(r"error: --set trial\.epochs=0: trial\.epochs: 0: .*\n", ended.stderr)


# run, where nothing is left.


def test_run_of_a_finished_study_shows_it_without_a_cluster(tiny_study: Path, results: Path) -> None:
    options = (tiny_study, "--results", results, "--set", "arms.mixup.alpha=1")
    shown = printed("run", *options, "--address", "127.0.0.1:1")  # where nothing answers
    assert shown.splitlines()[1] == "2 trials: 2 done already, 0 to run"
    assert ["mixup", "α=1", "30.0", "30.0", "1/1"] in [line.split() for line in shown.splitlines()]
    assert list_heavy_modules(["run", *options, "--address", "127.0.0.1:1"]) == []


def test_run_asks_the_cluster_where_its_gpus_decide_what_is_left(tiny_study: Path, results: Path) -> None:
    tiny_study.write_text(f"{tiny_study.read_text()}profiles: {{quick: {{trial: {{epochs: 2}}}}}}\n")
    options = (tiny_study, "--results", results, "--set", "arms.mixup.alpha=1")
    command = [sys.executable, "-m", "mixup_study.run", *options, "--address", "127.0.0.1:1"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (2, "tiny: joining the Ray cluster at 127.0.0.1:1 …\n")
    assert "--address 127.0.0.1:1: nothing answers there" in ended.stderr
    shown = printed("run", *options, "--address", "127.0.0.1:1", "--profile", "quick")
    assert "2 trials: 2 done already, 0 to run" in shown


# plan.


def test_plan_counts_what_is_done_and_what_is_left(tiny_study: Path, results: Path) -> None:
    lines = printed("plan", tiny_study, "--results", results, "--slots", "2").splitlines()
    assert lines[-3:] == [
        "tiny, profile full: what the results hold",
        "3 trials: 2 done already, 1 to run",
        "estimate: 1 min 0 s of training, 30 s on 2 slots, going by trials on a CPU",
    ]
    states = [line.split()[-2:] for line in lines if line.split()[1:2] in (["ERM"], ["mixup"])]
    assert states == [["done", "60.0"], ["done", "60.0"], ["failed", "1.0"]]


def test_plan_says_how_far_the_checkpoints_are(tiny_study: Path, tmp_path: Path) -> None:
    erm, *others = StudyFile(tiny_study).load("full").trials
    for entry in (CheckpointEntry(erm, 1, False), *(CheckpointEntry(trial_id, 0, True) for trial_id in others)):
        CheckpointFile(str(tmp_path), entry.trial_id).write(seal_checkpoint(entry, b"state"))
    rows = list(csv.DictReader(io.StringIO(printed("plan", tiny_study, "--results", tmp_path, "--format", "csv"))))
    assert [row["state"] for row in rows] == ["epoch 1 of 2 saved", *["part of epoch 1 of 2 saved"] * 2]


def test_plan_of_nothing_run_yet_has_everything_left(tmp_path: Path) -> None:
    shown = printed("plan", CORRUPT_LABELS, "--profile", "paper", "--results", tmp_path / "none")
    assert "63 trials: 0 done already, 63 to run" in shown
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("profile", "count"), [("paper", 44), ("quick", 176)])
def test_plan_of_table_5(profile: str, count: int, tmp_path: Path) -> None:
    shown = printed("plan", ABLATION, "--profile", profile, "--results", tmp_path / "none")
    assert f"{count} trials: 0 done already, {count} to run" in shown


def test_plan_names_the_data_sets_that_are_not_there(tmp_path: Path) -> None:
    asked = ["studies/cifar.yaml", "--profile", "paper", "--results", tmp_path / "results", "--data", tmp_path]
    assert f"not in {tmp_path} yet: cifar10, cifar100; " in call_command("plan", *asked).stdout
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert f"not in {tmp_path} yet: cifar100; " in call_command("plan", *asked).stdout
    (tmp_path / "cifar-100-python").mkdir()
    assert "yet: " not in call_command("plan", *asked).stdout


def test_plan_follows_the_overrides(tiny_study: Path, results: Path) -> None:
    shown = printed("plan", tiny_study, "--results", results, "--set", "grid.seed=[0, 1]", "--set", "arms.ERM=null")
    assert "4 trials: 1 done already, 3 to run" in shown


def test_plan_as_csv_is_the_trials_alone(tiny_study: Path, results: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(printed("plan", tiny_study, "--results", results, "--format", "csv"))))
    assert [(row["arm"], row["alpha"], row["state"]) for row in rows] == [
        ("ERM", "", "done"),
        ("mixup", "1", "done"),
        ("mixup", "8", "failed"),
    ]
    assert [row["trial_id"] for row in rows] == list(StudyFile(tiny_study).load("full").trials)


# tables.


def test_tables_prints_the_table_and_its_caption(tiny_study: Path, results: Path) -> None:
    shown = printed("tables", tiny_study, "--results", results)
    assert "Table: A tiny study. Profile full (what the results hold): data set digits" in shown
    assert "2 of 3 trials done" in " ".join(shown.split())
    rows = [line.split() for line in shown.splitlines()]
    assert ["50%", "ERM", "40.0", "40.0", "1/1"] in rows
    assert ["mixup", "α=1", "30.0", "30.0", "1/2,", "1", "failed"] in rows


@pytest.mark.parametrize(
    ("format", "row"),
    [
        ("markdown", "|  | mixup | α=1 | 30.0 | 30.0 | 1/2, 1 failed |"),
        ("latex", r"     & mixup & $\alpha$=1 & 30.0 & 30.0 & 1/2, 1 failed \\"),
        ("csv", "0.5,mixup,1,30,,,30,,,1,1,2"),
    ],
)
def test_tables_prints_other_formats(format: str, row: str, tiny_study: Path, results: Path) -> None:
    assert row in printed("tables", tiny_study, "--results", results, "--format", format).splitlines()


@pytest.mark.parametrize(("format", "point"), [("text", "?"), ("markdown", "- ?"), ("latex", None), ("csv", None)])
def test_tables_prints_the_papers_claims_below_the_table(format: str, point: str | None, tmp_path: Path) -> None:
    lines = printed("tables", CORRUPT_LABELS, "--results", tmp_path, "--format", format).splitlines()
    claim = "mixup's test error after the last epoch is below ERM's at every level of label noise (3.4): not run"
    assert [line for line in lines if claim in line] == ([] if point is None else [f"{point} {claim}"])


def test_tables_takes_the_profile_that_the_results_hold(tmp_path: Path) -> None:
    study = StudyFile(REPOSITORY / CORRUPT_LABELS).load("quick")
    ResultStore(str(tmp_path)).write(
        TrialRecord(study.cells[0].trial, "done", PROVENANCE, 1.0, dict.fromkeys(CATALOGUE.metrics, 0.25))
    )
    shown = " ".join(printed("tables", CORRUPT_LABELS, "--results", tmp_path).split())
    assert "Profile quick (what the results hold)" in shown
    assert "1 of 24 trials done" in shown
    assert "25.0 (12.7)" in shown


@pytest.mark.parametrize(
    ("format", "rows"),
    [
        ("text", ["ERM ✗ ✗ – (5.53) – (5.18) 0/2", "mixup AC + RP ✓ ✓ * 3.25 (4.24) – (4.68) 1/2"]),
        (
            "markdown",
            [
                "| ERM | | ✗ | ✗ | – (5.53) | – (5.18) | 0/2 |",
                "| mixup | AC + RP | ✓ | ✓ | **3.25 (4.24)** | – (4.68) | 1/2 |",
            ],
        ),
        (
            "latex",
            [
                r"ERM & & $\times$ & $\times$ & -- & (5.53) & -- & (5.18) & 0/2 \\",
                r"mixup & AC + RP & $\checkmark$ & $\checkmark$ & \textbf{3.25} & (4.24) & -- & (4.68) & 1/2 \\",
            ],
        ),
        (
            "csv",
            [
                "ERM,0.0001,,,,5.53,0,0,1",
                "mixup / AC + RP,0.0001,1,3.25,,4.24,1,0,1",
                "mixup / AC + RP,0.0005,,,,4.68,0,0,1",
            ],
        ),
    ],
)
def test_tables_prints_table_5(format: str, rows: list[str], tmp_path: Path) -> None:
    study = StudyFile(REPOSITORY / ABLATION).load("paper")
    (cell,) = (cell for cell in study.cells if cell.arm == "mixup / AC + RP" and cell.trial.weight_decay == 1e-4)
    ResultStore(str(tmp_path)).write(
        TrialRecord(cell.trial, "done", PROVENANCE, 1.0, dict.fromkeys(CATALOGUE.metrics, 0.0325))
    )
    shown = printed("tables", ABLATION, "--results", tmp_path, "--format", format)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert [line for line in lines if line in rows] == rows
    assert ("Profile paper (what the results hold)" in " ".join(lines)) == (format != "csv")


def test_an_infinite_alpha_is_planned_recorded_shown_and_asked_for(tiny_study: Path, tmp_path: Path) -> None:
    override = ("--set", "arms.mixup.alpha=.inf")
    study = StudyFile(tiny_study, (override[1],)).load("full")
    results = tmp_path / "infinite"
    store = ResultStore(str(results))
    for cell in study.cells:
        store.write(TrialRecord(cell.trial, "done", PROVENANCE, 1.0, dict.fromkeys(CATALOGUE.metrics, 0.25)))
    assert "2 trials: 2 done already, 0 to run" in printed("plan", tiny_study, *override, "--results", results)
    rows = [line.split() for line in printed("tables", tiny_study, *override, "--results", results).splitlines()]
    assert ["mixup", "α=∞", "25.0", "25.0", "1/1"] in rows
    sql = "select alpha, isinf(alpha) as infinite from trials where method = 'mixup'"
    assert printed("query", sql, "--results", results, "--format", "csv") == "alpha,infinite\ninf,True\n"


def test_tables_reads_a_url(tiny_study: Path, results: Path) -> None:
    assert "2 of 3 trials done" in printed("tables", tiny_study, "--results", f"file://{results}", "--format", "latex")


def test_a_file_that_is_no_record_is_a_line_of_warning(tiny_study: Path, results: Path) -> None:
    (results / "trials" / "spoilt.parquet").write_text("nothing")
    ended = call_command("tables", tiny_study, "--results", results)
    assert ended.returncode == 0
    (line,) = ended.stderr.splitlines()
    assert "spoilt.parquet: not a record, skipped" in line
    assert "2 of 3 trials done" in " ".join(ended.stdout.split())


# query.


def test_query_prints_rows(results: Path) -> None:
    sql = "select method, alpha, test_error_last from trials where status = 'done' order by alpha nulls first"
    rows = [line.split() for line in printed("query", sql, "--results", results).splitlines()]
    assert rows[0] == ["method", "alpha", "test_error_last"]
    assert ["erm", "0.4"] in rows
    assert ["mixup", "1.0", "0.3"] in rows


def test_query_prints_every_kind_of_column_there_is(results: Path) -> None:
    shown = printed("query", "select * from trials order by status, alpha", "--results", results, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(shown)))
    assert [row["status"] for row in rows] == ["done", "done", "failed"]
    assert rows[0]["started_at"].startswith("2026-01-0")
    assert (rows[2]["test_error_last"], rows[2]["error"]) == ("", "RuntimeError: diverged")


def test_query_counts_epochs_as_markdown(results: Path) -> None:
    sql = "select method, count(*) as n from trials join epochs using (trial_id) group by method order by method"
    lines = printed("query", sql, "--results", results, "--format", "markdown").splitlines()
    assert lines == ["| method | n |", "| --- | ---: |", "| erm | 2 |", "| mixup | 2 |"]


def test_query_of_no_results_prints_the_headings(tmp_path: Path) -> None:
    assert printed("query", "select seed from trials", "--results", tmp_path, "--format", "csv") == "seed\n"


def test_query_knows_the_arms_of_a_study(tiny_study: Path, results: Path) -> None:
    other = ResultStore(str(results))
    for cell in StudyFile(REPOSITORY / "studies" / "toy.yaml").load("paper").cells:
        other.write(TrialRecord(cell.trial, "done", PROVENANCE, 1.0))
    sql = "select arm, avg(test_error_last) as error, count(*) as n from trials group by arm order by arm"
    shown = printed("query", sql, "--results", results, "--study", tiny_study, "--format", "csv")
    assert shown == "arm,error,n\nERM,0.4,1\nmixup,0.3,2\n"
    sql = "select study, profile, count(status) as n from arms left join trials using (trial_id) group by all"
    both = ("--study", tiny_study, "--study", "studies/toy.yaml")
    shown = printed("query", f"{sql} order by study", "--results", results, *both, "--format", "csv")
    assert shown == "study,profile,n\ntiny,full,3\ntoy,paper,4\n"


def test_query_knows_the_models_that_trials_of_a_study_need(tmp_path: Path) -> None:
    sql = "select arm is null as needed, count(*) as n from arms group by all order by all"
    study = ("--study", "studies/in_between.yaml", "--profile", "quick")
    shown = printed("query", sql, "--results", tmp_path, *study, "--format", "csv")
    assert shown == "needed,n\nFalse,6\nTrue,6\n"


def test_query_applies_profiles_and_overrides_to_its_studies(tmp_path: Path) -> None:
    sql = "select profile, count(*) as n from arms group by all order by all"
    study = ("--study", CORRUPT_LABELS, "--profile", "paper", "--profile", "quick", "--set", "grid.label_noise=[0.5]")
    shown = printed("query", sql, "--results", tmp_path, *study, "--format", "csv")
    assert shown == "profile,n\npaper,21\nquick,8\n"


def test_query_rounds_numbers_for_people_alone(tmp_path: Path) -> None:
    sql = "select 2 / 3 as part, 123456.78::double as many, [1 / 3] as list, 7 as n, 1 / 30000 as few"
    text = printed("query", sql, "--results", tmp_path).splitlines()[2]
    assert text.split() == ["0.6667", "123457", "[0.3333]", "7", "3.333e-05"]
    exact = printed("query", sql, "--results", tmp_path, "--format", "csv").splitlines()[1]
    assert exact == "0.6666666666666666,123456.78,[0.3333333333333333],7,3.3333333333333335e-05"


def test_query_prints_a_column_a_line(results: Path) -> None:
    sql = "select status, error, 'one' || chr(10) || 'two' || chr(27) as note from trials order by alpha nulls first"
    shown = printed("query", sql, "--results", results, "--vertical")
    assert shown.startswith("row 1\n  status  done\n  error\n  note    one\n          two\\x1b\n\nrow 2\n")
    assert shown.count("row ") == 3
    assert printed("query", "select seed from trials where seed < 0", "--results", results, "--vertical") == "no rows\n"


TELLING_QUERY = """
from mixup_study import cli, query
from mixup_study.store import sql

run = sql._run

def tell(*arguments):
    print("asked", flush=True)
    return run(*arguments)

sql._run = tell
cli.command(query.main)
"""
ENDLESS = "with recursive endless(n) as (select 1 union all select n + 1 from endless) select count(*) from endless"


def test_query_gives_up_after_its_timeout(tmp_path: Path) -> None:
    ended = call_command("query", ENDLESS, "--results", tmp_path, "--timeout", "1")
    assert ended.returncode == 2
    assert ended.stderr == "error: SQL: no answer within 1 s; expected a shorter query, or a longer --timeout\n"


def test_a_query_whose_time_is_over_before_it_starts_ends_too() -> None:
    with duckdb.connect(":memory:") as connection:

        class Late:
            interrupt = staticmethod(connection.interrupt)

            def sql(self, statement: str) -> duckdb.DuckDBPyRelation:
                time.sleep(0.3)
                return connection.sql(statement)

        with pytest.raises(TimeoutError):
            store_sql._run(Late(), ENDLESS, 0.01)


def test_query_that_takes_too_much_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(store_sql._CONFIG, "memory_limit", "100MB")
    ended = call_command("query", "select list(r) from range(1000000000) t(r)", "--results", tmp_path)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: SQL: Out of Memory Error: ")
    assert line.endswith("; expected a query that takes less than half of this machine's memory")


def test_ctrl_c_ends_a_query(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TELLING_QUERY, ENDLESS, "--results", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130


# fetch.


@pytest.mark.slow
def test_fetch_checks_that_every_image_can_be_read(tmp_path: Path) -> None:
    arguments = ("studies/imagenet.yaml", "--profile", "quick", "--data", tmp_path, "--check-data")
    checked = call_command("fetch", *arguments)  # which tells on standard error how far it is, if that takes long
    assert checked.returncode == 0
    assert checked.stdout.splitlines()[-1] == "patches_jpeg: every image can be read"
    damaged = next((tmp_path / "patches_jpeg" / "val").rglob("*.jpeg"))
    damaged.write_bytes(b"")
    ended = call_command("fetch", *arguments)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith(f"error: {damaged}: it cannot be decoded: ")


def test_fetch_reads_each_data_set_once_and_tells_its_size(tmp_path: Path) -> None:
    lines = printed("fetch", "studies/cifar.yaml", "--profile", "quick", "--data", tmp_path).splitlines()
    assert lines[1:] == [
        "digits: 1,437 training, 360 test examples of 1x8x8, 10 classes",
        "patches: 1,000 training, 500 test examples of 3x32x32, 10 classes",
    ]
    assert len(printed("fetch", "studies/tabular.yaml", "--profile", "quick", "--data", tmp_path).splitlines()) == 5
    assert len(printed("fetch", "studies/gan.yaml", "--profile", "quick", "--data", tmp_path).splitlines()) == 1


# schema.


def test_schema_prints_or_writes_the_schema(tmp_path: Path) -> None:
    shown = printed("schema")
    assert json.loads(shown) == study_schema()
    assert printed("schema", tmp_path / "schema.json") == ""
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == shown


# Pipes.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("schema", []),
        ("plan", [CORRUPT_LABELS, "--profile", "paper", "--results", "nowhere"]),
        ("query", ["select * from range(100000)", "--results", "nowhere", "--format", "csv"]),
        ("tables", ["--help"]),
    ],
    ids=["schema", "plan", "query", "help"],
)
def test_a_reader_that_has_seen_enough_is_no_error(name: str, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", f"mixup_study.{name}", *arguments],
        cwd=REPOSITORY,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(writing)
        os.close(reading)
        _, complaints = process.communicate(timeout=120)
    assert (process.returncode, complaints) == (0, "")


def test_head_shows_the_first_line() -> None:
    ended = subprocess.run(
        ["bash", "-c", '"$0" -m mixup_study.schema | head -n 1; exit ${PIPESTATUS[0]}', sys.executable],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "{\n", "")


@pytest.mark.parametrize(
    "sql", ["select date '10000-01-01'", "select 'infinity'::timestamp", "select [1, 2], {'a': 1}"]
)
def test_query_shows_values_that_python_has_no_type_for(sql: str, tmp_path: Path) -> None:
    shown = call_command("query", sql, "--results", tmp_path)
    assert shown.returncode == 0, shown.stderr


def test_signs_that_the_output_lacks_are_no_error(tmp_path: Path) -> None:
    arguments = ["studies/corrupt_labels.yaml", "--profile", "quick", "--results", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-m", "mixup_study.tables", *arguments],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_a_record_that_does_not_say_how_long_it_took_can_be_planned_with(tmp_path: Path) -> None:
    study = StudyFile(REPOSITORY / "studies" / "corrupt_labels.yaml").load("quick")
    store = ResultStore(str(tmp_path))
    store.write(TrialRecord(study.cells[0].trial, "done", PROVENANCE))
    (file,) = (tmp_path / "trials").glob("*.parquet")
    pq.write_table(pq.read_table(file).drop_columns(["train_seconds"]), file)
    ended = call_command("plan", "studies/corrupt_labels.yaml", "--results", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "24 trials: 1 done already, 23 to run" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        ((), 0, "usage: mixup-study COMMAND"),
        (("plan", "--help"), 0, "usage: python -m mixup_study.plan"),
        (("tabels",), 2, "did you mean 'tables'?"),
        (("plan", "nowhere.yaml"), 2, "nowhere.yaml: no such file"),
    ],
    ids=["a list", "help", "a misspelt command", "bad input"],
)
def test_one_command_stands_for_all(arguments: tuple[str, ...], status: int, expected: str) -> None:
    command = [sys.executable, "-m", "mixup_study", *arguments]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == status, ended.stderr
    assert expected in ended.stdout + ended.stderr
    assert ended.stderr.count("\n") == (status == 2)
