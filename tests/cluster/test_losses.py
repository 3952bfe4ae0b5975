"""What ended a process that trained is told with what to set, and the run goes on."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import psutil
import pytest
import torch
from ray._common.utils import get_system_memory
from ray._private.utils import get_used_memory
from ray.exceptions import ActorDiedError, OutOfMemoryError

from mixup_study.cluster.losses import describe_loss
from mixup_study.cluster.records import LESS_MEMORY, describe_error
from mixup_study.store.logs import LogFile
from tests.cluster.support import records
from tests.cluster.test_logs import run
from tests.conftest import run_command


def log_of(folder: Path, *lines: str) -> LogFile:
    """Return the log of a process that ran lines of Python, after that of one before it."""
    run(folder, "print('Fatal Python error: of the one before')")
    run(folder, "import faulthandler", "faulthandler.enable()", *lines)
    return LogFile(str(folder), "a trial")


def test_a_process_that_a_signal_ended_is_told_with_its_last_line(tmp_path: Path) -> None:
    log = log_of(tmp_path, "print('epoch 3', flush=True)", "os.kill(os.getpid(), 11)")
    assert describe_loss(ActorDiedError(), log) == "its process died: Segmentation fault; its last line: 'epoch 3'"


def test_a_process_that_was_killed_is_told_as_one_without_a_word(tmp_path: Path) -> None:
    silent = "its process died without a word, perhaps killed by the system for want of memory"
    log = log_of(tmp_path, "print('epoch 3', flush=True)", "os.kill(os.getpid(), 9)")
    assert describe_loss(ActorDiedError(), log) == f"{silent}; its last line: 'epoch 3'"
    assert describe_loss(ActorDiedError(), LogFile(str(tmp_path), "none")) == silent


def test_a_full_node_is_told_with_how_much_of_how_much(tmp_path: Path) -> None:
    error = OutOfMemoryError(
        "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 10.0.0.7, ID: 448df7)"
        " was 12.84GB used / 23.54GB limit (0.545335)\nOOM kill reason: …\nRefer to the documentation"
    )
    assert describe_loss(error, LogFile(str(tmp_path), "none")) == (
        f"its process was killed: the node ran out of memory, 12.84 of 23.54 GB on 10.0.0.7; {LESS_MEMORY}"
    )


def test_an_allocation_that_failed_says_what_to_set() -> None:
    assert describe_error(MemoryError()) == f"MemoryError; {LESS_MEMORY}"
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert describe_error(caught.value).endswith(f"; {LESS_MEMORY}")
    on_a_gpu = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. " + 500 * "GPU 0 has … ")
    assert describe_error(on_a_gpu).endswith(f"; {LESS_MEMORY}")
    assert len(describe_error(on_a_gpu)) == 500
    assert describe_error(RuntimeError("mat1 and mat2")) == "RuntimeError: mat1 and mat2"


HUNGRY = """\
from pydantic import Field
from torch import nn
from mixup_study.catalogue import Fields, Network

class HungryFields(Fields):
    megabytes: int = Field(default=0, ge=0, description="Taken.")

def build(trial, shape, classes):
    taken = [b"1" * 2**20 for _ in range(trial.megabytes)]
    while taken:
        pass
    return nn.Linear(shape[0], classes)

ENTRIES = [Network("hungry", "hungry:build", HungryFields)]
"""
HUNGRY_STUDY = """\
name: hungry
trial: {dataset: iris, model: hungry, epochs: 1, batch_size: 16, lr: 0.1}
arms: {large: {megabytes: 9000}, small: {}}
retries: 0
table: {title: Hungry, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""


@pytest.mark.slow
@pytest.mark.long
def test_a_run_outlives_a_process_that_ray_ends_for_want_of_memory(tmp_path: Path) -> None:
    (tmp_path / "hungry.py").write_text(HUNGRY)
    (tmp_path / "hungry.yaml").write_text(HUNGRY_STUDY)
    command = [sys.executable, "-m", "mixup_study.run", str(tmp_path / "hungry.yaml"), "--plugin", "hungry"]
    memory = psutil.virtual_memory()
    if memory.available < 12 * 2**30:
        pytest.skip("a process that takes 9 GB, more than others take or free meanwhile, needs 12 GB")
    limit = (max(get_used_memory(), memory.total - memory.available) + 5 * 2**30) / get_system_memory()
    few = {"RAY_memory_usage_threshold": str(limit), "RAY_memory_monitor_refresh_ms": "100"}
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ended = run_command(
        [*command, "--results", str(tmp_path / "results"), "--cpus", "1"], {**os.environ, **few, "PYTHONPATH": path}
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert re.search(r"large, .*: failed: its process was killed: the node ran out of memory, [\d.]+ of ", ended.stdout)
    assert "Traceback" not in ended.stdout + ended.stderr
    assert sorted(records(tmp_path / "results")["status"]) == ["done", "failed"]
