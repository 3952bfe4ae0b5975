"""A user's own data set, network, method and task, each from one entry of a module outside the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import RunningRay

TRAINING = """\
name: own
data: .
trial: {dataset: stripes, model: one_hidden, hidden: 8, epochs: 3, batch_size: 16, lr: 0.1}
grid: {seed: [0, 1]}
arms:
  ERM: {}
  cutout: {method: cutout, side: 3}
  mixup: {method: mixup, alpha: 1}
table:
  title: Own parts
  rows: [arm]
  columns: [{title: test error, metric: test_error_last}]
"""
PROBING = """\
name: probing
data: .
trial: {task: probe, noise: 0.5}
arms:
  ERM:
    source: &source {dataset: stripes, model: one_hidden, hidden: 8, epochs: 3, batch_size: 16, lr: 0.1}
  cutout:
    source: {<<: *source, method: cutout, side: 3}
table:
  title: Accuracy under noise
  rows: [arm]
  columns: [{title: accuracy, metric: probe_accuracy, mark_highest: true}]
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user's own: the plugin, two studies and a data set in a file."""
    folder = tmp_path_factory.mktemp("workplace")
    shutil.copy(Path(__file__).with_name("own_parts.py"), folder)
    (folder / "own.yaml").write_text(TRAINING)
    (folder / "probing.yaml").write_text(PROBING)
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=120)
    images = generator.integers(100, size=(120, 6, 6, 1), dtype=np.uint8)
    images[labels == 1, ::2] += 120
    np.savez(folder / "stripes.npz", images=images, labels=labels)
    return folder


def run(
    workplace: Path,
    command: str,
    *arguments: str,
    plugin: tuple[str, ...] = ("--plugin", "own_parts"),
    environment: Mapping[str, str] = os.environ,
) -> subprocess.CompletedProcess[str]:
    """Run a command with the plugin in a process of its own, whose catalogue nobody else shares."""
    return subprocess.run(
        [sys.executable, "-m", f"mixup_study.{command}", *arguments, *plugin],
        cwd=workplace,
        env={**environment, "COLUMNS": "160", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


SESSION = """
import contextlib, importlib, io, json, sys
from mixup_study import cli

for line in sys.stdin:
    command, *arguments = json.loads(line)
    sys.argv = [command, *arguments, "--plugin", "own_parts"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.command(importlib.import_module(f"mixup_study.{command}").main)
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""


class Session:
    """Runs commands with the plugin one after the other in one process, which imports PyTorch once."""

    def __init__(self, workplace: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SESSION],
            cwd=workplace,
            env={**os.environ, "COLUMNS": "160", "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, as ``run`` does."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([command, *arguments]), file=self.process.stdin, flush=True)
        status, out, err = json.loads(self.process.stdout.readline())
        return subprocess.CompletedProcess(arguments, status, out, err)


def trials(workplace: Path, results: str) -> pd.DataFrame:
    return pd.read_parquet(workplace / results / "trials").set_index("trial_id").sort_index()


@pytest.fixture(scope="module")
def session(workplace: Path) -> Iterator[Session]:
    """A process in the workplace that runs commands."""
    started = Session(workplace)
    with started.process:
        yield started
        started.process.kill()


@pytest.fixture(scope="module")
def trained(workplace: Path, session: Session) -> Path:
    """The workplace once its first study has run in one process."""
    done = session.run("run", "own.yaml", "--local", "--data", ".", "--results", "results")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "data set stripes, one_hidden, epochs 3, seed 0, 1; 6 of 6 trials done" in " ".join(done.stdout.split())
    return workplace


@pytest.mark.slow
def test_a_study_trains_with_parts_of_the_users_own(trained: Path) -> None:
    recorded = trials(trained, "results")
    assert set(recorded["status"]) == {"done"}
    assert set(recorded["hidden"]) == {8}
    assert recorded.loc[recorded["method"] == "cutout", "side"].tolist() == [3, 3]
    assert recorded.loc[recorded["method"] != "cutout", "side"].isna().all()
    assert recorded["test_error_last"].max() < 0.3


@pytest.mark.slow
def test_a_change_of_their_code_trains_anew_what_chooses_them(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    unchanged = run(tmp_path, "plan", "own.yaml", "--results", "results")
    assert "6 trials: 6 done already, 0 to run" in unchanged.stdout
    source = tmp_path / "own_parts.py"
    source.write_text(f"{source.read_text()}\n# another line\n")
    changed = run(tmp_path, "plan", "own.yaml", "--results", "results")
    assert "6 trials: 0 done already, 6 to run" in changed.stdout
    ours = str(Path(__file__).parents[2] / "studies" / "toy.yaml")
    ids = [run(place, "plan", ours, "--format", "csv").stdout for place in (trained, tmp_path)]
    assert ids[0] == ids[1] != ""  # of trials that choose nothing of the plugin's


def test_a_change_of_their_files_trains_anew_what_reads_them(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    with np.load(tmp_path / "stripes.npz") as file:
        images, labels = file["images"], file["labels"]
    np.savez(tmp_path / "stripes.npz", images=images, labels=1 - labels)
    changed = run(tmp_path, "plan", "own.yaml", "--results", "results")
    assert "6 trials: 0 done already, 6 to run" in changed.stdout
    assert "stripes.npz has changed: " in changed.stderr


def test_ray_trains_the_same_with_them(ray_cluster: RunningRay, trained: Path) -> None:
    options = ("--address", ray_cluster.address, "--set", "resources.cpus=2", "--set", "grid.seed=[0]")
    arguments = ("own.yaml", "--data", ".", "--results", "ray", *options)
    done = run(trained, "run", *arguments, environment=ray_cluster.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    there, here = trials(trained, "ray"), trials(trained, "results")
    assert len(there) == 3
    measured = ["test_error_best", "test_error_last", "train_error_real"]
    pd.testing.assert_frame_equal(there[measured], here.loc[there.index, measured], check_exact=True)


def test_an_evaluation_has_the_models_that_it_needs_trained_once(trained: Path, session: Session) -> None:
    first = session.run("run", "probing.yaml", "--local", "--data", ".", "--results", "results")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "4 trials: 0 done already, 4 to run: 2 models to train, 2 evaluations; 2 finished trials kept no models" in (
        first.stdout
    )
    assert "[4/4]" in first.stdout
    assert "otherwise than its record" not in first.stdout
    assert "data set stripes, one_hidden, epochs 3, seed 0; 2 of 2 trials done" in " ".join(first.stdout.split())
    recorded = trials(trained, "results")
    probes = recorded[recorded["task"] == "probe"]
    assert set(probes["source"]) <= set(recorded.index)
    assert probes["epochs"].isna().all()
    assert probes["probe_accuracy"].between(0.5, 1).all()
    listed = session.run("models", "--results", "results", "--format", "csv")
    models = {line.split(",")[0]: line.split(",")[-1] for line in listed.stdout.splitlines()[1:]}
    assert list(models) == sorted(probes["source"])
    assert [list(digests) for digests in probes["model_digests"]] == [[models[source]] for source in probes["source"]]

    again = session.run("run", "probing.yaml", "--local", "--data", ".", "--results", "fresh")
    assert again.returncode == 0, again.stdout + again.stderr
    pd.testing.assert_series_equal(
        trials(trained, "fresh").loc[probes.index, "probe_accuracy"], probes["probe_accuracy"]
    )

    shown = session.run("run", "probing.yaml", "--local", "--data", ".", "--results", "results")
    assert "4 trials: 4 done already, 0 to run" in shown.stdout


def test_an_installed_package_announces_its_module(workplace: Path, tmp_path: Path) -> None:
    for name in ("own_parts.py", "own.yaml", "stripes.npz"):
        shutil.copy(workplace / name, tmp_path)
    (installed := tmp_path / "own_parts-1.0.dist-info").mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: own_parts\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[mixup_study]\nown = own_parts\n")
    planned = run(tmp_path, "plan", "own.yaml", plugin=())
    assert planned.returncode == 0, planned.stderr
    assert "6 trials: 0 done already, 6 to run" in planned.stdout


@pytest.mark.slow
def test_the_manuals_example_runs_as_it_stands(workplace: Path, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
    for name, language in (("own_parts.py", "python"), ("own.yaml", "yaml")):
        (block,) = re.findall(rf"```{language}\n(# {name}\n.*?)```", page, re.DOTALL)
        (tmp_path / name).write_text(block, encoding="utf-8")
    shutil.copy(workplace / "stripes.npz", tmp_path)
    done = run(tmp_path, "run", "own.yaml", "--local", "--results", "results")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 trials done" in " ".join(done.stdout.split())


def test_a_damaged_model_is_told_and_trained_again(trained: Path, session: Session) -> None:
    arguments = ("probing.yaml", "--local", "--data", ".", "--results", "results", "--set", "trial.noise=0.25")
    file = next((trained / "results" / "models").iterdir())
    file.write_bytes(file.read_bytes()[:-1])
    told = f"models/{file.name}: the model cannot be used: it is damaged; its trial is trained again"
    planned = session.run("run", *arguments, "--dry-run")
    assert told in planned.stderr
    assert "4 trials: 1 done already, 3 to run: 1 model to train, 2 evaluations; 1 finished trial" in planned.stdout
    done = session.run("run", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert told in done.stderr
    assert "otherwise than its record" not in done.stdout
    assert file.exists()
    again = session.run("run", *arguments)
    assert (again.stderr, "4 done already" in again.stdout) == ("", True)


WRONG = {
    "own.yaml --set trial.model=one_hiden": "did you mean 'one_hidden'?",
    "own.yaml --set trial.hiden=3": "did you mean 'hidden'?",
    "own.yaml --set trial.side=3": "trial.side: 3: method erm does not take it",
    "probing.yaml --set arms.ERM.source=5": "expected the name of a model, or its fields",
    "probing.yaml --set trial.epohcs=5": "did you mean 'epochs'?",
    "own.yaml --plugin json": "--plugin json: it has no ENTRIES",
    "own.yaml --plugin nowhere": "--plugin nowhere: no such module",
}
"""Arguments of the command plan, and what it says of them."""


def test_what_is_wrong_with_them_is_one_line(session: Session) -> None:
    for line, expected in WRONG.items():
        refused = session.run("plan", *line.split())
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert refused.stderr.startswith("error: ")
        assert expected in refused.stderr
