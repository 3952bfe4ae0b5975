"""Studies found by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixup_study.errors import InputError, shown
from mixup_study.study import shipped
from mixup_study.study.shipped import find_study, list_shipped
from tests.commands import REPOSITORY, call_command


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_repository_ships_the_studies_at_its_top() -> None:
    assert list(list_shipped().values()) == sorted((REPOSITORY / "studies").glob("*.yaml"))
    assert find_study("toy").samefile(REPOSITORY / "studies" / "toy.yaml")


def test_an_installed_package_ships_those_within_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder / "site-packages" / "mixup_study"
    for place in (package / "studies", package.parent / "studies"):  # the latter is somebody else's
        place.mkdir(parents=True)
        (place / "own.yaml").write_text("name: own")
    monkeypatch.setattr(shipped, "_PACKAGE", package)
    assert list_shipped() == {"own": package / "studies" / "own.yaml"}


def test_a_file_of_the_current_folder_wins_over_a_shipped_study(folder: Path) -> None:
    Path("toy").mkdir()  # results, say
    assert find_study("toy").is_absolute()
    Path("toy.yaml").touch()
    assert find_study("toy") == Path("toy.yaml")
    Path("toy").rmdir()
    Path("toy").touch()
    assert find_study("toy") == Path("toy")


@pytest.mark.parametrize("path", ["toy.yaml", "./toy", "studies/toy.yml", "/toy", "."])
def test_a_path_stays_a_path(path: str) -> None:
    assert find_study(path) == Path(path)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("corupt_labels", "; did you mean 'corrupt_labels'?"),
        ("my_alpa", "; did you mean 'my_alphas'?"),
        ("x" * 300, ""),
    ],
)
def test_a_name_of_no_study_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    Path("my_alphas.yaml").touch()
    with pytest.raises(InputError) as refused:
        find_study(name)
    assert (
        str(refused.value) == f"no study {shown(name)}: expected a file, or one of {', '.join(list_shipped())}{nearest}"
    )


@pytest.mark.parametrize("arguments", [("plan", "taboo"), ("query", "select 1", "--study", "taboo")])
def test_commands_find_a_study_by_its_name(arguments: tuple[str, ...]) -> None:
    ended = call_command(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: no study 'taboo': expected a file, or one of ablation, ")
    assert call_command(*(argument.replace("taboo", "toy") for argument in arguments)).returncode == 0
