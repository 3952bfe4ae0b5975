"""The commands, called in this process: what they print and how they end is what a process of their own would."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from mixup_study import cli

REPOSITORY = Path(__file__).parent.parent
HEAVY = ("torch", "torchvision", "ray", "sklearn", "matplotlib")
"""Packages that take seconds to import."""


def call_command(name: str, *arguments: str | Path) -> CompletedProcess[str]:
    """Run ``python -m mixup_study.<name>`` from the repository, as on a terminal of 160 columns, and return its end.

    A bug raises its own exception here.
    """
    module = importlib.import_module(f"mixup_study.{name}")
    command = [str(module.__file__), *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as process, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        process.chdir(REPOSITORY)
        process.setenv("COLUMNS", "160")
        process.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            cli.command(module.main)
    assert isinstance(ended.value.code, int)
    return CompletedProcess(command, ended.value.code, out.getvalue(), err.getvalue())


_LIST_HEAVY = f"""\
import json, runpy, sys

for name, *arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        runpy.run_module(f"mixup_study.{{name}}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code, end.code
print("imported:", *(name for name in {HEAVY} if name in sys.modules))
"""


def list_heavy_modules(*commands: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> list[str]:
    """Return which of HEAVY a process has imported that calls commands, each with its arguments.

    What it printed is printed.
    """
    calls = json.dumps([list(map(str, command)) for command in commands])
    command = [sys.executable, "-c", _LIST_HEAVY, calls]
    ended = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stderr
    printed, _, imported = ended.stdout.rpartition("imported:")
    print(printed, end="")
    return imported.split()
