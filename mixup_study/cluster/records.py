"""The records of trials that ended, well or not."""

from __future__ import annotations

import os
import platform
import traceback
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mixup_study.analysis.table import records_by_id
from mixup_study.cluster.assignment import Assignment
from mixup_study.errors import escape_controls
from mixup_study.store.models import ModelFile
from mixup_study.store.record import Provenance, TrialRecord
from mixup_study.store.store import ResultStore
from mixup_study.study.trial import Trial

if TYPE_CHECKING:
    import torch

    from mixup_study.training.task import StoppedTrial, TrialResult


CHOOSING = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")
"""Variables by which oneDNN and MKL use other instructions than the CPU's best, so that sums are rounded otherwise."""
LESS_MEMORY = "a smaller batch_size takes less, and so do fewer trials side by side (--set resources.cpus=N or gpus=N)"
"""What to set where memory was short."""


def find_headlines(results: str, trials: Mapping[str, Trial], keep_models: Collection[str] = ()) -> dict[str, float]:
    """Return the headline of each of these trials that the results hold as finished by now, by trial_id.

    Left out are those among ``keep_models`` whose models the results lack.
    """
    store = ResultStore(results)
    done = {
        trial_id
        for trial_id in store.done_among(trials)
        if trial_id not in keep_models or ModelFile(results, trial_id).exists()
    }
    if not done:
        return {}
    records = records_by_id(store.trials())
    return {
        trial_id: records[trial_id][trial.components.task.headline_metric.name]
        for trial_id, trial in trials.items()
        if trial_id in done
    }


def build_stopped_record(trial: Trial, provenance: Provenance, measured: StoppedTrial) -> TrialRecord:
    """Return the record of a trial that was stopped after some of its epochs."""
    return TrialRecord(
        trial,
        "stopped",
        provenance,
        train_seconds=measured.seconds,
        resumed_seconds=measured.resumed_seconds,
        epochs=measured.epochs,
    )


def build_record(
    trial: Trial, provenance: Provenance, measured: TrialResult, model_digests: Mapping[str, str]
) -> TrialRecord:
    """Return the record of a trial that finished; ``model_digests`` are those of the models used, by trial_id."""
    return TrialRecord(
        trial,
        "done",
        provenance,
        train_seconds=measured.seconds,
        resumed_seconds=measured.resumed_seconds,
        measurements=measured.measurements,
        epochs=measured.epochs,
        points=measured.points,
        data_digest=measured.data_digest,
        model_digests=[model_digests[needed.trial_id] for needed in trial.needs] or None,
    )


def build_failure_record(
    trial: Trial, provenance: Provenance, error: Exception, reason: str | None = None, trace: str | None = None
) -> TrialRecord:
    """Return the record of a trial that ``error`` ended.

    ``reason`` is the error in one line, and ``trace`` its traceback, where another process raised it.
    """
    seconds = (datetime.now(UTC) - provenance.started_at).total_seconds()
    return TrialRecord(
        trial,
        "failed",
        provenance,
        train_seconds=seconds / provenance.pack_size,
        error=reason or describe_error(error),
        traceback=trace or "".join(traceback.format_exception(error)),
    )


def describe_change(results: str, record: TrialRecord) -> str | None:
    """Return in one line how a finished trial differs from the record that the results hold of it.

    None where there is no such record; empty where it measured the same. What was not measured then, by an older
    version, does not count.
    """
    store = ResultStore(results)
    trial_id = record.trial.trial_id
    if not store.done_among([trial_id]):
        return None
    earlier = records_by_id(store.trials())[trial_id]
    changed = [
        f"{name} {value} (recorded: {earlier[name]})"
        for name, value in record.measurements.items()
        if earlier[name] is not None and earlier[name] != value
    ]
    if not changed:
        return ""
    return (
        f"trained again for its model, on {record.provenance.device}, it measures otherwise than its record, made on"
        f" {earlier['device']}, which stays: {', '.join(changed)}"
    )


def describe_error(error: Exception) -> str:
    """Return what went wrong in one line of at most 500 characters, and what to set where memory was short."""
    line = escape_controls(" ".join(f"{type(error).__name__}: {error}".split()))
    advice = f"; {LESS_MEMORY}" if _is_memory_error(error) else ""
    return f"{line[: 500 - len(advice)].rstrip(': ')}{advice}"


def _is_memory_error(error: Exception) -> bool:
    """Return whether memory was short: this machine's by Python or PyTorch's allocator, or a GPU's."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # PyTorch's, which this process may not have imported
        or "memory: you tried to allocate" in str(error)
    )


def build_provenance(
    assignment: Assignment, started_at: datetime, device: torch.device | None, ray_version: str | None
) -> Provenance:
    """Return how records of an assignment are made; ``device`` is None in a process that does not train."""
    device_name = torch_version = instruction_set = numpy_version = None
    if device is not None:
        import numpy as np
        import torch

        instruction_set = describe_instruction_set(torch.backends.cpu.get_cpu_capability())
        numpy_version = np.__version__
        device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
        torch_version = str(torch.__version__)
    return Provenance(
        pack_size=len(assignment.trials),
        started_at=started_at,
        device=device_name,
        code_version=assignment.settings.code_version,
        python_version=platform.python_version(),
        torch_version=torch_version,
        ray_version=ray_version,
        cpu_model=None if device is None else read_cpu_model(),
        instruction_set=instruction_set,
        numpy_version=numpy_version,
    )


def describe_instruction_set(capability: str) -> str:
    """Return PyTorch's ``capability`` of this CPU, with the variables that have oneDNN or MKL use another one."""
    chosen = (f"{name}={os.environ[name]}" for name in CHOOSING if os.environ.get(name))
    return ", ".join([capability, *chosen])


@cache
def read_cpu_model() -> str:
    """Return what the CPU calls itself, as ``AMD EPYC 7763 64-Core Processor``."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return " ".join(value.split())
    return platform.processor() or platform.machine()
