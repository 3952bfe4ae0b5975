"""On which kinds of machine trials ran, and where a table mixes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixup_study.analysis.machines import describe_machine, find_mixed_rows
from mixup_study.analysis.table import Records
from mixup_study.cluster.assignment import Assignment, RunSettings
from mixup_study.cluster.records import build_provenance, describe_instruction_set, read_cpu_model
from mixup_study.store.record import trials_schema
from mixup_study.study.expand import Cell
from mixup_study.study.plan import GridPlan
from mixup_study.study.study import Study
from mixup_study.views.study_table import study_sheet
from tests.fixtures import findings_of

Measure = Callable[[Study, Callable[[Cell], Any]], Records]


@pytest.fixture
def measured(load: Callable[[str], Study], small_study: str, measure: Measure) -> tuple[Study, Records]:
    study = load(small_study)
    return study, measure(study, lambda cell: 0.1)


def run_on(records: Records, *machines: dict[str, Any]) -> Records:
    """Return the records as if the trials of each seed had run on a machine of its own."""
    return {
        trial_id: {**{name: record[name] for name in trials_schema().names}, **machines[record["seed"]]}
        for trial_id, record in records.items()
    }


AVX2 = {"device": "cpu (x86_64)", "cpu_model": "AMD EPYC", "instruction_set": "AVX2", "torch_version": "2.14"}


@pytest.mark.parametrize(
    "other",
    [
        {"instruction_set": "AVX512"},
        {"instruction_set": "AVX2, MKL_CBWR=COMPATIBLE"},
        {"cpu_model": "Intel Xeon"},
        {"torch_version": "2.13"},
        {"device": "NVIDIA H100"},
    ],
    ids=str,
)
def test_rows_whose_seeds_ran_on_several_kinds_are_told(other: dict[str, str], measured: tuple[Study, Records]) -> None:
    study, records = measured
    findings = findings_of(study, run_on(records, AVX2, AVX2 | other))
    assert len(find_mixed_rows(findings.rows, findings.records)) == len(findings.rows)
    caption = study_sheet(findings).caption
    assert f"{len(findings.rows)} rows of trials from several kinds of machine" in caption
    assert "AMD EPYC (AVX2), PyTorch 2.14" in caption
    assert str(next(iter(other.values()))) in caption


@pytest.mark.parametrize("other", [AVX2, {"instruction_set": None, "device": None}], ids=["the same", "not recorded"])
def test_one_kind_is_no_matter(other: dict[str, Any], measured: tuple[Study, Records]) -> None:
    study, records = measured
    assert "kinds of machine" not in study_sheet(findings_of(study, run_on(records, AVX2, other))).caption


def test_of_a_gpu_the_cpu_beside_it_does_not_count() -> None:
    gpu = {**AVX2, "device": "NVIDIA H100"}
    assert describe_machine(gpu) == describe_machine({**gpu, "cpu_model": "Intel Xeon", "instruction_set": "AVX512"})


def test_records_name_the_machine(load: Callable[[str], Study], small_study: str, tmp_path: Path) -> None:
    study = load(small_study)
    plan = GridPlan(study, 1)
    jobs = plan.next({}, ())
    assert isinstance(jobs, tuple)
    settings = RunSettings.from_study(study, str(tmp_path), tmp_path, "1")
    assignment = Assignment.from_job(jobs[0], plan, settings)
    provenance = build_provenance(assignment, datetime.now(UTC), torch.device("cpu"), None)
    assert provenance.instruction_set is not None
    assert provenance.instruction_set.startswith(torch.backends.cpu.get_cpu_capability())
    assert provenance.cpu_model == read_cpu_model() != ""
    assert provenance.numpy_version == np.__version__
    unknown = build_provenance(assignment, datetime.now(UTC), None, None)
    assert (unknown.cpu_model, unknown.instruction_set, unknown.numpy_version) == (None, None, None)


def test_variables_that_choose_other_instructions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS"):
        monkeypatch.delenv(name, raising=False)
    assert describe_instruction_set("AVX512") == "AVX512"
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert describe_instruction_set("AVX512") == "AVX512, ONEDNN_MAX_CPU_ISA=AVX2, MKL_CBWR=AVX2"
