"""Whatever lies in a results folder, a command answers or says in one line why not."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixup_study import models, plan, query, tables
from mixup_study.store.record import TrialRecord, epochs_schema, trials_schema
from mixup_study.store.store import ResultStore
from mixup_study.study.study import StudyFile
from tests.fixtures import PROVENANCE

STUDY = """\
name: tiny
trial: {dataset: digits, model: mlp, width: 8, epochs: 2, batch_size: 50, lr: 0.1}
grid: {label_noise: [0.5], seed: [0, 1]}
arms:
  ERM: {}
  mixup: {method: mixup, alpha: [1, 8]}
table:
  title: A tiny study
  rows: [label_noise, arm]
  columns: [{title: last, metric: test_error_last}]
  pick: {lowest: test_error_last}
profiles: {quick: {trial: {epochs: 1}}}
claims: [{text: mixup does better, section: "3.4", compare: [{lower: mixup, than: ERM}]}]
published: [{label_noise: 0.5, arm: ERM, test_error_last: 18.8}]
"""

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.sampled_from(["done", "failed", "started", "", "0123456789abcdef", "quick"]),
    st.binary(max_size=5),
)
COLUMNS = st.sampled_from([*trials_schema().names, *epochs_schema().names, "another"])


@st.composite
def tables_of_something(draw: st.DrawFn) -> bytes:
    """A Parquet file whose columns have the names of a record's and any values of any one type each."""
    rows = draw(st.integers(0, 3))
    columns = {}
    for name in draw(st.lists(COLUMNS, unique=True, max_size=8)):
        value = draw(VALUES)
        columns[name] = pa.array([value] * rows)
    for name in ("trial_id", "status"):
        if draw(st.booleans()):
            columns[name] = pa.array([draw(st.sampled_from(["done", "failed", "neither"]))] * rows, pa.string())
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


@st.composite
def damaged(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """What a bad disk does to a file."""
    start, length = draw(st.integers(0, 20_000)), draw(st.integers(0, 20_000))
    put = draw(st.binary(max_size=20))
    return lambda content: content[: start % (len(content) + 1)] + put + content[start % (len(content) + 1) + length :]


NAMES = st.sampled_from(
    [
        "trials/a.parquet",
        "trials/b.parquet",
        "epochs/a.parquet",
        "trials/.c.parquet",
        "trials/d",
        "trials/f/g.parquet",
        "models/0123456789abcdef",
        "models/h",
    ]
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (file := tmp_path_factory.mktemp("study") / "tiny.yaml").write_text(STUDY)
    return file


@pytest.fixture(scope="module")
def whole(study: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of one real record."""
    trial = next(iter(StudyFile(study).load("quick").trials.values()))
    folder = tmp_path_factory.mktemp("whole")
    ResultStore(str(folder)).write(TrialRecord(trial, "done", PROVENANCE, measurements={"test_error_last": 0.25}))
    (file,) = (folder / "trials").glob("*.parquet")
    return file.read_bytes()


@pytest.mark.slow
@given(
    files=st.dictionaries(NAMES, st.one_of(st.binary(max_size=50), tables_of_something(), damaged()), max_size=4),
    command=st.sampled_from(
        [
            lambda study, results: tables.main([study, "--results", results]),
            lambda study, results: tables.main([study, "--results", results, "--format", "csv"]),
            lambda study, results: plan.main([study, "--results", results]),
            lambda study, results: query.main(["select * from trials", "--results", results]),
            lambda study, results: query.main(["select count(*) from epochs", "--results", results]),
            lambda study, results: models.main(["--results", results]),
        ]
    ),
)
def test_any_files_are_read_or_named(
    study: Path, whole: bytes, files: dict[str, bytes | Callable[[bytes], bytes]], command: Callable[[str, str], int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content(whole))
        before = {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as warned:
            assert command(str(study), folder) == 0
        assert {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()} == before
        assert all("not a record" in line for line in warned.getvalue().splitlines())
