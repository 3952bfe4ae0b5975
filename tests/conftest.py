from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

from tests.browser import Browser, chromium

pytest_plugins = ["tests.fixtures"]

SLOW_FIXTURES = {"ray_cluster", "ray", "browser", "recordings"}
"""What takes many seconds to start."""

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

REPOSITORY = Path(__file__).parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test as slow that asks for a cluster or a browser."""
    for item in items:
        if isinstance(item, pytest.Function) and SLOW_FIXTURES.intersection(item.fixturenames):
            item.add_marker(pytest.mark.slow)


TINY_STUDY = """\
name: tiny
trial:
  {dataset: digits, train_size: 100, augment: false, model: preact_resnet18, width: 2, epochs: 2, batch_size: 50,
   lr: 0.1}
grid: {label_noise: [0.5], seed: [0]}
arms:
  ERM: {}
  mixup: {method: mixup, alpha: [1, 8]}
table:
  title: A tiny study
  rows: [label_noise, arm]
  columns: [{title: best, metric: test_error_best}, {title: last, metric: test_error_last}]
  pick: {lowest: test_error_last}
"""


@pytest.fixture
def tiny_study(tmp_path: Path) -> Path:
    """A study file of three trials that train in a second."""
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY_STUDY)
    return file


@dataclass(frozen=True)
class RunningRay:
    """A Ray cluster of this machine, started as a user starts one, and the environment to join it from."""

    address: str
    environment: Mapping[str, str]
    pid: int
    """Of the process that started it, and that all others descend from."""
    folder: Path
    """Where it keeps its sessions, ``/tmp/ray`` by default."""

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "mixup_study.run", *map(str, arguments), "--address", self.address]

    def training(self, name: str = "ImplicitFunc") -> list[psutil.Process]:
        """The processes that train: Tune's actors, or the workers of a group by the name ``RayTrainWorker``."""
        return [process for process in psutil.Process(self.pid).children(recursive=True) if _is_named(process, name)]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run_command(self.command(*arguments), self.environment)


def _is_named(process: psutil.Process, name: str) -> bool:
    try:
        return name in " ".join(process.cmdline())
    except psutil.Error:
        return False


def run_command(
    command: Sequence[str], environment: Mapping[str, str], folder: Path = REPOSITORY
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )


@contextmanager
def running_ray(*options: str, **variables: str) -> Iterator[RunningRay]:
    """Start a head node with two CPUs that asks for a token and whose workers reach no network."""
    folder = Path(
        "/tmp", f"mixup_study-{os.getpid()}-{len(options)}"
    )  # a socket's path below has 107 characters at most
    nowhere = "http://127.0.0.1:9"
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "localhost,127.0.0.1",
        **variables,
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port=0", "--num-cpus=2"]
    command += ["--num-gpus=0", "--disable-usage-stats", f"--temp-dir={folder}", *options]
    head = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert head.stdout is not None
        printed = []
        for line in head.stdout:
            printed.append(line)
            if "This command will now block" in line:
                break
        else:
            pytest.fail("".join(printed))
        yield RunningRay((folder / "ray_current_cluster").read_text().strip(), environment, head.pid, folder)
    finally:
        _kill_tree(head)
        shutil.rmtree(folder, ignore_errors=True)


def _kill_tree(process: subprocess.Popen[str]) -> None:
    """Kill a process and all that descend from it: asked to end, Ray waits for half a minute at times."""
    processes = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    for child in processes:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(processes, timeout=30)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RunningRay]:
    """A Ray cluster without a dashboard, which would take seconds to start."""
    with running_ray("--include-dashboard=false") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium; tests that ask for it fail in one line where it is missing."""
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started
