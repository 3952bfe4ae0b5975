"""The commands, called in this process: what they print and how they end is what a process of their own would."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from mixup_study import cli

REPOSITORY = Path(__file__).parent.parent


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
