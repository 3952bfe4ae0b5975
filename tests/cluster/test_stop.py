"""One trial of a run on Ray is stopped from elsewhere, and the run goes on with the others."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cluster.support import records, wait_for_checkpoint
from tests.commands import call_command
from tests.conftest import RunningRay


def test_a_trial_on_ray_is_stopped_and_makes_room_for_the_next(ray_cluster: RunningRay, tiny_study: Path) -> None:
    results = tiny_study.parent / "results"
    two = ["--set", "arms={long: {epochs: 5000}, short: {epochs: 1}}", "--set", "checkpoint_seconds=0"]
    command = ray_cluster.command(tiny_study, "--results", results, "--set", "resources.cpus=2", *two)
    running = subprocess.Popen(
        command, env=ray_cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for_checkpoint(running, results)
    (checkpoint,) = (results / "checkpoints").glob("*.checkpoint")
    asked = call_command("stop", checkpoint.stem, "--results", results)
    assert asked.returncode == 0, asked.stderr
    said = running.communicate(timeout=120)[0]
    assert running.returncode == 1, said
    assert f"failed: {checkpoint.stem} label noise 50%, long, epochs=5000: stopped on request; " in said
    assert records(results)["epochs"].tolist() == [1]
    assert checkpoint.exists()
