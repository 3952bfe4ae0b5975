from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.table import Records, records_by_id
from mixup_study.catalogue import CATALOGUE
from mixup_study.store.record import Provenance, Status, TrialRecord, trials_schema
from mixup_study.store.store import ResultStore
from mixup_study.study.expand import Cell
from mixup_study.study.study import Study, StudyFile
from mixup_study.study.trial import Trial
from mixup_study.views.study_table import study_sheet

PROVENANCE = Provenance(
    pack_size=1,
    started_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    device="a CPU",
    code_version="0.1.0",
    python_version="3.11.0",
    torch_version="2.7.0",
    ray_version="2.60.0",
)

RecordMaker: TypeAlias = Callable[..., TrialRecord]
Measured: TypeAlias = Mapping[str, float | None] | float | str | None
"""What became of a cell: its measurements, a number for its last test error, "failed", or None where it was not run.

A number's half stands for the best test error.
"""
Measure: TypeAlias = Callable[[Study, Callable[[Cell], Measured]], Records]

SMALL_STUDY = """\
name: small
trial:
  dataset: digits
  model: preact_resnet18
  epochs: 4
  batch_size: 50
  lr: 0.1
grid:
  seed: [0, 1]
arms:
  ERM: {}
  mixup: {method: mixup, alpha: [1, 2]}
profiles:
  short:
    trial: {epochs: 1}
resources: {cpus: 1}
table:
  title: Small
  rows: [label_noise, arm]
  columns:
    - {title: last, metric: test_error_last}
  pick: {lowest: test_error_last}
published:
  - {label_noise: 0.0, arm: ERM, test_error_last: 5.0}
"""

PAPER_STUDY = """\
name: small
paper: {table: 9, protocol: CIFAR-10 for 200 epochs}
trial: {dataset: digits, model: preact_resnet18, width: 8, epochs: 4, batch_size: 50, lr: 0.1}
grid: {label_noise: [0.8, 0.2], seed: [0, 1]}
arms:
  mixup: {method: mixup, alpha: [2, 8]}
  ERM: {}
table:
  title: Small results
  rows: [label_noise, arm]
  columns:
    - {group: Test error, title: best, metric: test_error_best}
    - {group: Test error, title: last, metric: test_error_last, decimals: 2}
  pick: {lowest: test_error_last}
published:
  - {label_noise: 0.2, arm: ERM, test_error_best: 12.7, test_error_last: 19.70}
  - {label_noise: 0.2, arm: mixup, alpha: 8, test_error_best: 5, test_error_last: 6.125}
  - {label_noise: 0.8, arm: mixup, alpha: 32, test_error_last: 30.9}
"""


def make_trial(**fields: Any) -> Trial:
    shared: dict[str, Any] = {"dataset": "digits", "model": "preact_resnet18", "epochs": 2, "batch_size": 50, "lr": 0.1}
    return Trial(**shared | fields)


def make_record(
    trial: Trial | None = None,
    status: Status = "done",
    train_seconds: float = 12.5,
    measurements: Mapping[str, float | None] | None = None,
    **fields: Any,
) -> TrialRecord:
    """Return a finished or failed record of ``trial``, or of the trial with these fields."""
    found = make_trial(**fields) if trial is None else trial
    if status == "failed":
        return TrialRecord(
            found, status, PROVENANCE, train_seconds, error="RuntimeError: diverged", traceback="Traceback …"
        )
    epochs = [
        {"epoch": epoch, "lr": found.lr, "train_loss": 1 / epoch, "test_error": 0.5 / epoch, "seconds": 1.5}
        for epoch in range(1, found.trained_epochs + 1)
    ]
    given = dict.fromkeys(CATALOGUE.metrics, 0.25) if measurements is None else measurements
    return TrialRecord(found, status, PROVENANCE, train_seconds, given, epochs)


@pytest.fixture(scope="session")
def trial() -> Callable[..., Trial]:
    """Makes a trial of digits with these fields."""
    return make_trial


@pytest.fixture(scope="session")
def record() -> RecordMaker:
    """Makes a record of a trial, or of the trial with these fields."""
    return make_record


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The options of a URL that lead to a server of the S3 protocol on this machine; it has the bucket ``bucket``."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "key")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        options = f"scheme=http&endpoint_override={host}%3A{port}&region=us-east-1"
        system, _ = fs.FileSystem.from_uri(f"s3://bucket/?{options}&allow_bucket_creation=true")
        system.create_dir("bucket")
        yield options
        server.stop()


@pytest.fixture
def bucket(endpoint: str, request: pytest.FixtureRequest) -> str:
    """The URL of results in a bucket, of a folder for the test alone."""
    return f"s3://key:secret@bucket/{request.node.originalname}/results?{endpoint}"


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(str(tmp_path / "results"))


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Study]:
    """Loads a study's text under a profile and overrides."""

    def loaded(text: str, *overrides: str, profile: str | None = None) -> Study:
        path = tmp_path / "small.yaml"
        path.write_text(text, encoding="utf-8")
        file = StudyFile(path, overrides)
        return file.load(file.base_profile if profile is None else profile)

    return loaded


@pytest.fixture(scope="session")
def paper_study() -> str:
    """The text of a study of two arms at two label noises, with numbers of a paper."""
    return PAPER_STUDY


@pytest.fixture(scope="session")
def one_arm() -> str:
    """The text of a study of one arm that tries two settings, without published numbers."""
    unpublished = PAPER_STUDY.split("published:")[0]
    return unpublished.replace("label_noise: [0.8, 0.2], ", "").replace("  ERM: {}\n", "")


@pytest.fixture(scope="session")
def measure(record: RecordMaker) -> Measure:
    """Makes the records of a study from what became of each cell."""

    def measured(study: Study, became: Callable[[Cell], Measured]) -> Records:
        tables = []
        for cell in study.cells:
            found = became(cell)
            if found == "failed":
                tables.append(record(cell.trial, status="failed").trials_table())
                continue
            if isinstance(found, float):
                found = {"test_error_best": found / 2, "test_error_last": found}
            if isinstance(found, Mapping):
                tables.append(
                    record(cell.trial, measurements={**dict.fromkeys(CATALOGUE.metrics), **found}).trials_table()
                )
        return records_by_id(pa.concat_tables(tables) if tables else trials_schema().empty_table())

    return measured


def findings_of(study: Study, records: Records, reason: str = "for a test") -> Findings:
    """Return the findings of records alone: their trials kept no epochs and no points."""
    return Findings(study, ResultStore("nowhere"), reason, records)


@pytest.fixture(scope="session")
def entries() -> Callable[..., list[dict[str, str]]]:
    """Returns the rows of a study's sheet by heading; headings lose their ``(paper)``."""

    def shown(study: Study, records: Records, **options: bool) -> list[dict[str, str]]:
        sheet = study_sheet(findings_of(study, records), **options)
        headings = [heading.removesuffix(" (paper)") for heading in sheet.headings]
        return [dict(zip(headings, row, strict=True)) for row in sheet.texts()]

    return shown


@pytest.fixture(scope="session")
def small_study() -> str:
    """The text of a study of six trials, one key a line where its line matters."""
    return SMALL_STUDY
