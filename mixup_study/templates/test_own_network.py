"""Tests of your own network: ``python -m pytest test_own_network.py`` runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from own_network import OwnNetworkFields, build_own_network


def test_it_returns_a_logit_for_each_class() -> None:
    network = build_own_network(OwnNetworkFields(filters=4), (1, 16, 16), 3)
    assert network(torch.zeros(2, 1, 16, 16)).shape == (2, 3)


def test_an_epoch_of_the_study_trains(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mixup_study", "run", "study.yaml", "--plugin", "own_network", "--local"]
    command += ["--results", str(tmp_path), "--set", "trial.epochs=1", "--set", "trial.milestones=[]"]
    command += ["--set", "grid.seed=[0]"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 trials done" in " ".join(done.stdout.split())
