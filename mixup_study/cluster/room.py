"""Whether there is room for what Ray writes beside the results."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ray._common.utils import get_default_ray_temp_dir

from mixup_study.errors import InputError

ROOM = 100 * 2**20
"""Bytes that Ray's logs and sockets, and Tune's state, may take."""


def check_room() -> None:
    """Raise InputError where the folders of temporary files have no room for a run: Ray would wait, then fail."""
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError:
        raise InputError(
            "no folder for temporary files can be written to: they are full, or read-only; free space, or set TMPDIR to"
            " a folder that can"
        ) from None
    for folder, variable in (
        (temporary, "TMPDIR"),
        (_find_existing(get_default_ray_temp_dir()), "RAY_TMPDIR"),
    ):
        free = shutil.disk_usage(folder).free
        if free < ROOM:
            raise InputError(
                f"{folder} has {free / 2**20:.0f} MB free, and Ray needs {ROOM / 2**20:.0f} MB there for a run; free"
                f" space, or set {variable} to a folder with more"
            )


def _find_existing(folder: str) -> str:
    return next(str(path) for path in (Path(folder), *Path(folder).parents) if path.exists())
