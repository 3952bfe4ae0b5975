from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixup_study.errors import InputError
from mixup_study.store.record import PROPOSALS, TrialRecord, epochs_schema, trials_schema
from mixup_study.store.sql import StudyTrials, query
from mixup_study.store.store import ResultStore


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., TrialRecord]) -> ResultStore:
    """Three finished trials of two epochs each, and a failed one."""
    store = ResultStore(str(tmp_path_factory.mktemp("results")))
    for seed in range(2):
        store.write(record(seed=seed, measurements={"test_error_last": 0.1 * (seed + 1)}))
    store.write(record(method="mixup", alpha=8, milestones=[1], measurements={"test_error_last": 0.05}))
    store.write(record(seed=9, status="failed"))
    return store


def refusal(store: ResultStore, sql: str) -> str:
    with pytest.raises(InputError) as caught:
        query(store, sql)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_trials_can_be_selected(results: ResultStore) -> None:
    sql = (
        "select method, avg(test_error_last) as error from trials where status = 'done' group by method order by method"
    )
    assert query(results, sql).to_pylist() == [
        {"method": "erm", "error": pytest.approx(0.15)},
        {"method": "mixup", "error": pytest.approx(0.05)},
    ]


def test_every_column_is_there(results: ResultStore) -> None:
    assert query(results, "select * from trials").column_names == trials_schema().names
    assert query(results, "select * from epochs").column_names == epochs_schema().names


def test_trials_and_epochs_can_be_joined(results: ResultStore) -> None:
    sql = (
        "select alpha, epoch, test_error, milestones from trials join epochs using (trial_id)"
        " where method = 'mixup' order by epoch"
    )
    assert query(results, sql).to_pylist() == [
        {"alpha": 8.0, "epoch": 1, "test_error": 0.5, "milestones": [1]},
        {"alpha": 8.0, "epoch": 2, "test_error": 0.25, "milestones": [1]},
    ]


def test_a_missing_measurement_is_null(results: ResultStore) -> None:
    sql = "select count(*) as n from trials where test_error_last is null and status = 'failed'"
    assert query(results, sql).to_pylist() == [{"n": 1}]


@pytest.fixture(scope="module")
def trial_ids(record: Callable[..., TrialRecord]) -> list[str]:
    """The trial_ids of the finished trials, mixup's last, and of one that is not recorded."""
    records = [record(seed=0), record(seed=1), record(method="mixup", alpha=8, milestones=[1]), record(seed=77)]
    return [each.trial.trial_id for each in records]


def test_the_trials_of_a_study_have_its_arms(results: ResultStore, trial_ids: list[str]) -> None:
    erm, _, mixup, missing = trial_ids
    study = StudyTrials("mine", "quick", [("ERM", erm), ("mixup", mixup), ("ERM", missing)])
    sql = "select study, profile, arm, avg(test_error_last) as error from trials group by all order by arm"
    assert query(results, sql, studies=[study]).to_pylist() == [
        {"study": "mine", "profile": "quick", "arm": "ERM", "error": pytest.approx(0.1)},
        {"study": "mine", "profile": "quick", "arm": "mixup", "error": pytest.approx(0.05)},
    ]
    names = [*trials_schema().names[:1], "study", "profile", "arm", *trials_schema().names[1:]]
    assert query(results, "select * from trials", studies=[study]).column_names == names
    assert query(results, "select distinct trial_id from epochs", studies=[study]).num_rows == 2
    missed = "select arms.arm from arms left join trials using (trial_id) where status is null"
    assert query(results, missed, studies=[study]).to_pylist() == [{"arm": "ERM"}]


def test_a_trial_of_two_arms_is_one_trial(results: ResultStore, trial_ids: list[str]) -> None:
    erm, model, mixup, _ = trial_ids
    study = StudyTrials("mine", "full", [("ERM", erm), ("A", mixup), ("B", mixup), (None, model)])
    once = "select arm from trials order by arm nulls last"
    assert query(results, once, studies=[study])["arm"].to_pylist() == ["A; B", "ERM", None]
    each = "select arms.arm from arms join trials using (trial_id) where method = 'mixup' order by 1"
    assert query(results, each, studies=[study, study])["arm"].to_pylist() == ["A", "B"]


def test_the_trials_that_studies_share_are_counted_once_unless_arms_is_joined(
    results: ResultStore, trial_ids: list[str]
) -> None:
    erm, _, mixup, _ = trial_ids
    studies = [StudyTrials("mine", "full", [("ERM", erm)]), StudyTrials("yours", "full", [("none", erm), ("m", mixup)])]
    assert query(results, "select count(*) as n from trials", studies=studies).to_pylist() == [{"n": 2}]
    sql = "select study, arm from trials join arms using (trial_id) where seed = 0 and method = 'erm' order by study"
    assert query(results, sql, studies=studies).to_pylist() == [
        {"study": "mine", "arm": "ERM"},
        {"study": "yours", "arm": "none"},
    ]
    assert "study" not in query(results, "from trials", studies=studies).column_names


def test_the_proposals_of_a_study_are_those_of_its_searches(tmp_path: Path) -> None:
    store = ResultStore(str(tmp_path))
    for search_id in ("a", "b"):
        row = {"proposal_id": f"{search_id}-0", "search_id": search_id, "number": 0, "arm": search_id.upper()}
        store.write_proposal(pa.Table.from_pylist([row], schema=PROPOSALS))
    study = StudyTrials("search", "full", [], {"b"})
    assert query(store, "select arm from proposals", studies=[study]).to_pylist() == [{"arm": "B"}]
    assert query(store, "select count(*) as n from proposals").to_pylist() == [{"n": 2}]


def test_a_study_of_which_nothing_is_known_has_the_columns(results: ResultStore) -> None:
    study = StudyTrials("search", "full", [])
    assert query(results, "select study, arm from trials", studies=[study]).num_rows == 0
    assert query(results, "select * from arms", studies=[study]).num_rows == 0


@pytest.mark.parametrize(
    "sql", ["select arm from trials", "select t.profile from trials t", "select study from epochs", "from arms"]
)
def test_what_is_asked_of_arms_without_a_study_says_how_to_have_them(results: ResultStore, sql: str) -> None:
    assert refusal(results, sql).endswith("; expected --study FILE, which adds study, profile and arm")


def test_of_several_studies_arms_is_to_be_joined(results: ResultStore, trial_ids: list[str]) -> None:
    studies = [StudyTrials("mine", profile, [("ERM", trial_ids[0])]) for profile in ("full", "quick")]
    with pytest.raises(InputError, match=r"from trials join arms using \(trial_id\)$"):
        query(results, "select arm from trials", studies=studies)
    with pytest.raises(InputError, match=r"alhpa(?!.*join)"):
        query(results, "select alhpa from trials", studies=studies)


def test_results_that_hold_nothing_have_no_rows(tmp_path: Path) -> None:
    store = ResultStore(str(tmp_path / "none"))
    assert len(query(store, "select seed from trials join epochs using (trial_id)")) == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "select 1;",
        "from trials",
        "values (1)",
        "with best as (select min(test_error_last) as e from trials) select e from best",
        "describe trials",
        "summarize trials",
        "explain select * from trials",
    ],
)
def test_other_statements_that_read_are_answered(results: ResultStore, sql: str) -> None:
    assert len(query(results, sql)) > 0


@pytest.mark.parametrize(
    "sql",
    [
        *("", "   ", ";", "-- nothing"),
        *("select 1; select 2", "select 1; drop view trials"),
        *("insert into trials values (1)", "delete from trials", "update trials set seed = 1", "drop view trials"),
        *("create table mine as select 1", "create or replace view trials as select 1", "create macro one() as 1"),
        *("set threads = 3", "set enable_external_access = true", "reset enable_external_access", "pragma version"),
        *("install httpfs", "load httpfs", "call pragma_version()", "begin", "checkpoint", "use memory"),
        *("prepare p as select 1", "execute p"),
    ],
)
def test_anything_but_one_statement_that_reads_is_refused(results: ResultStore, sql: str) -> None:
    assert refusal(results, sql).endswith(": expected one SELECT over trials, epochs, points and proposals")


@pytest.mark.parametrize(
    "sql",
    [
        "select * from '/etc/passwd'",
        "select * from '{file}'",
        "select * from read_csv('/etc/passwd')",
        "select * from read_csv('{file}')",
        "select * from read_text('{file}')",
        "select * from read_blob('{file}')",
        "select * from read_parquet('{file}')",
        "select * from read_json('{file}')",
        "select * from sniff_csv('{file}')",
        "select * from glob('{folder}/*')",
        "select * from parquet_metadata('{file}')",
        "select * from query('select * from read_csv(''{file}'')')",
        "select * from 'https://example.org/x.parquet'",
        "copy (select 1) to '{folder}/out.csv'",
        "copy trials to '{folder}/out.parquet' (format parquet)",
        "explain analyze copy (select 1) to '{folder}/out.csv'",
        "export database '{folder}/out'",
        "import database '{folder}/out'",
        "attach '{folder}/out.db'",
        "attach '{folder}/out.db' as mine (type sqlite)",
    ],
)
def test_files_are_out_of_reach(results: ResultStore, tmp_path: Path, sql: str) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("name,word\nsomeone,secret\n")
    assert "someone" not in refusal(results, sql.replace("{file}", str(file)).replace("{folder}", str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("name", ["store", "sql", "statements", "connection", "pa", "results"])
def test_only_the_two_views_are_tables(results: ResultStore, name: str) -> None:
    assert refusal(results, f"select * from {name}").startswith("SQL: ")


def test_a_mistake_is_explained_in_duckdbs_words(results: ResultStore) -> None:
    assert "alhpa" in refusal(results, "select alhpa from trials")
    assert "trails" in refusal(results, "select * from trails")
    assert "boom boom" in refusal(results, "select error('boom\nboom')")
    assert refusal(results, "selec 1").startswith("SQL: Parser Error")
    assert refusal(results, "select ?").startswith("SQL: ")


SQL = """
select from where group by order limit join using with as union all distinct having over unnest pivot case when then end
trials epochs trial_id seed alpha epoch milestones[1] * ( ) , = < + - / 1 0 2.5 'x' null is not count(*) min max date ::
list array[1] {'a':1} $1 ? " ' . ; -- /* */ insert into create table drop set copy to attach explain describe pragma
values (1) read_csv('/etc/passwd') '/etc/passwd' cast
"""
WORDS = st.sampled_from(SQL.split())


def answered_or_refused(store: ResultStore, sql: str) -> None:
    try:
        answer: pa.Table | str = query(store, sql)
    except InputError as error:
        answer = str(error)
    assert isinstance(answer, pa.Table) or len(answer.splitlines()) == 1


@settings(max_examples=60)
@given(sql=st.text(max_size=80))
def test_any_text_is_answered_or_refused(results: ResultStore, sql: str) -> None:
    answered_or_refused(results, sql)


@settings(max_examples=60)
@given(words=st.lists(WORDS, max_size=10))
def test_any_words_of_sql_are_answered_or_refused(results: ResultStore, words: list[str]) -> None:
    answered_or_refused(results, " ".join(words))


@settings(max_examples=60)
@given(words=st.lists(WORDS, min_size=1, max_size=4))
def test_any_expression_is_answered_or_refused(results: ResultStore, words: list[str]) -> None:
    answered_or_refused(results, f"select {' '.join(words)} from trials join epochs using (trial_id)")


def test_sql_that_is_no_text_is_refused(results: ResultStore) -> None:
    with pytest.raises(InputError, match="UTF-8"):
        query(results, "select '\udcff'")
