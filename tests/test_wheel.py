"""The package as pip installs it: what is within, and that it does without the repository."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import distributions, packages_distributions, requires
from pathlib import Path

import pyarrow.parquet as pq
import pytest

REPOSITORY = Path(__file__).parent.parent
SMALLEST = [
    f"--set={value}"
    for value in ("trial.epochs=1", "grid.label_noise=[0.2]", "arms={ERM: {}}", "claims=[]", "figures=[]")
]


def build(target: str, source: Path, folder: Path) -> Path:
    """Build a wheel or an sdist of a source tree, without network, and return its file."""
    backend = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(backend, cwd=source, check=True, capture_output=True)
    (file,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist, as an installer does that finds no wheel."""
    folder = tmp_path_factory.mktemp("dist")
    with tarfile.open(build("sdist", REPOSITORY, folder)) as sdist:
        sdist.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    return build("wheel", source, folder)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip has installed the wheel in, without its dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--target", str(folder), str(wheel)], check=True, capture_output=True)
    return folder


@pytest.fixture
def environment(installed: Path) -> Mapping[str, str]:
    """The environment of a process that takes the package from that folder, and its dependencies from this Python."""
    return {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}


def call(environment: Mapping[str, str], folder: Path, *command: str) -> str:
    """Return what a command prints that runs in ``folder`` and succeeds."""
    ended = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_wheel_holds_the_package_the_studies_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    information = next(name for name in names if name.endswith(".dist-info/METADATA")).removesuffix("METADATA")
    package = {path.relative_to(REPOSITORY).as_posix() for path in list_files("mixup_study")}
    studies = {f"mixup_study/studies/{path.name}" for path in list_files("studies")}
    assert {name for name in names if not name.startswith(information)} == package | studies
    assert f"{information}licenses/LICENSE" in names


def list_files(folder: str) -> Iterator[Path]:
    """Yield the files below a folder of the repository that are no caches."""
    return (path for path in (REPOSITORY / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)


@pytest.mark.slow
def test_an_installed_package_runs_the_default_study_without_the_repository(
    environment: Mapping[str, str], installed: Path, tmp_path: Path
) -> None:
    script = str(installed / "bin" / "mixup-study")
    plan = call(environment, tmp_path, script, "plan", "corrupt_labels", "--profile", "quick")
    assert "corrupt_labels, profile quick" in plan
    python = (sys.executable, "-m", "mixup_study.run", "corrupt_labels", "--profile", "quick", "--local", *SMALLEST)
    table = call(environment, tmp_path, *python)
    assert re.search(r"20% +ERM .* 1/1\n", table)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    (record,) = pq.read_table(tmp_path / "results" / "trials").to_pylist()
    (version,) = (distribution.version for distribution in distributions(name="mixup_study", path=[str(installed)]))
    assert record["code_version"] == version  # of a checkout, it would end with the commit


def test_the_package_imports_only_what_it_depends_on_or_what_that_always_brings(installed: Path) -> None:
    (distribution,) = distributions(name="mixup_study", path=[str(installed)])
    declared = [line for line in distribution.requires or [] if "extra == 'dev'" not in line]
    brought = [line for name in required(declared) for line in requires(name) or [] if "extra ==" not in line]
    modules = {module for file in list_modules(installed) for module in imported(file)}
    providers = packages_distributions()
    for module in modules - sys.stdlib_module_names - {"mixup_study"}:
        assert required(providers[module]) & required(declared + brought), module


def list_modules(installed: Path) -> Iterator[Path]:
    """Yield the package's files of Python, but for what ``init`` writes into a folder of the user's."""
    return (file for file in (installed / "mixup_study").rglob("*.py") if "templates" not in file.parts)


def imported(file: Path) -> Iterator[str]:
    """Yield the top-level modules that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def required(lines: Iterable[str]) -> set[str]:
    """Return the distributions that requirements name, as indexes write them."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", line)[0]).lower() for line in lines}
