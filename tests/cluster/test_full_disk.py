"""A run whose disk is full at one write: it ends in a line or goes on without, and the same command does the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.studies import Expected, ResultChecker, read_numbers, read_proposals
from tests.cluster.support import Run
from tests.store.full_disk import FullDisk

STUDY = """\
name: full_disk
checkpoint_seconds: 0
trial: {dataset: digits, train_size: 100, augment: false, model: mlp, width: 8, epochs: 2, batch_size: 50, lr: 0.1}
models: {mixup: {method: mixup, alpha: 1}}
arms:
  attacked: {task: attack, source: mixup, epsilon: 16, steps: 2}
  packed: {dataset: two_moons, train_size: null, augment: true, method: mixup, alpha: [0.2, 1]}
  searched: {method: mixup, validation: 0.2}
search:
  proposals: 2
  window: 1
  space: {searched: {alpha: {log: [0.1, 10]}}}
  minimise: validation_error_last
  confirm: {seed: [7]}
table:
  {title: Full disk, rows: [arm], columns: [{title: last, metric: test_error_last}], pick: {lowest: test_error_last}}
"""
FOLDERS = {"trials", "epochs", "points", "proposals", "models", "checkpoints", "logs", "runs"}
"""What such a study writes into."""


@pytest.mark.slow
def test_a_run_whose_disk_is_full_goes_on_with_the_same_command_whatever_it_wrote(
    run_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file := tmp_path / "full_disk.yaml").write_text(STUDY)
    disk = FullDisk(monkeypatch)
    undisturbed = run_here(file, "--results", tmp_path / "undisturbed")
    assert undisturbed.returncode == 0, undisturbed.stdout + undisturbed.stderr
    calls = list(disk.calls)
    folders = [call.split()[1] for call in calls]
    assert set(folders) >= FOLDERS
    expected = Expected(read_numbers(tmp_path / "undisturbed"), read_proposals(tmp_path / "undisturbed"))
    firsts = {folders.index(folder) for folder in folders}
    lasts = {len(folders) - 1 - folders[::-1].index(folder) for folder in folders}
    for number in sorted(firsts | lasts):
        results = tmp_path / str(number)
        checker = ResultChecker(results, expected)
        disk.fill_at(number)
        ended = run_here(file, "--results", results)
        assert ended.returncode in (0, 2), (calls[number], ended)
        assert len(ended.stderr.splitlines()) <= 1, (calls[number], ended.stderr)
        assert checker.check(is_done=ended.returncode == 0).lines() == [], calls[number]
        disk.fill_at(None)
        again = run_here(file, "--results", results)
        assert again.returncode == 0, (calls[number], again)
        assert checker.check(is_done=True).lines() == [], calls[number]
