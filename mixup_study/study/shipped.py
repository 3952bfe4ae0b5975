"""Studies found by name: those of the current folder, and those that come with the package."""

from __future__ import annotations

import os
from pathlib import Path

from mixup_study.errors import InputError, nearest, shown

_PACKAGE = Path(__file__).parent.parent


def list_shipped() -> dict[str, Path]:
    """Return the files of the studies that come with the package, by name, in alphabetical order."""
    installed = _PACKAGE / "studies"
    folder = installed if installed.is_dir() else _PACKAGE.parent / "studies"  # a repository holds them at its top
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def find_study(name: str, folder: Path = Path()) -> Path:
    """Return the study file that ``name`` means: a path, or a study's name.

    A name is first a file of ``folder``, then NAME.yaml there, then a study that comes with the package. Raises
    InputError for a name of none of them; a path is returned as it is from ``folder``.
    """
    if Path(name).name != name or name.endswith((".yaml", ".yml")):
        return folder / name
    for file in (folder / name, folder / f"{name}.yaml"):
        if os.path.exists(file) and not os.path.isdir(file):
            return file
    studies = list_shipped()
    if name in studies:
        return studies[name]
    here = [file.stem for file in sorted(folder.glob("*.yaml"))]
    expected = f"expected a file, or one of {', '.join(studies)}"
    raise InputError(f"no study {shown(name)}: {expected}{nearest(name, [*here, *studies])}")
