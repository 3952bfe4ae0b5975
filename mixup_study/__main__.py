"""One command for all: ``mixup-study run STUDY`` and ``python -m mixup_study run STUDY`` call ``mixup_study.run``."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

from mixup_study import cli, completion
from mixup_study.errors import nearest, one_line

COMMANDS = {
    "init": "write a study, a network, images and a test to begin with",
    "run": "train what the results do not hold yet, then print the study's table",
    "plan": "show a study's trials, which of them are left, and how long those may take",
    "list": "list the studies of a folder, and how far each is",
    "fetch": "bring a study's data sets to this machine",
    "watch": "show how a study is trained, from another terminal",
    "stop": "stop a run, or one trial of it, from another terminal",
    "tables": "print a study's table from its results, measured beside published",
    "figures": "draw a study's figures from its results",
    "report": "write a study's report from its results, as one HTML file",
    "query": "ask the results in SQL",
    "show": "show one trial: configuration, numbers, curves, model, log",
    "diff": "compare two trials",
    "forget": "remove the records of an arm, of a profile, or of failed trials",
    "models": "list the models that trials left, and export one",
    "export": "write a study's trials for MLflow, TensorBoard, W&B or Optuna, or as CSV",
    "schema": "write the JSON Schema of study files, for editors",
}


def main() -> NoReturn:
    """Run the command that the first argument names on the rest of them, and leave with its exit status."""
    if completion.is_asked():
        completion.complete_line(COMMANDS)
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        lines = [f"  {command:8} {description}" for command, description in COMMANDS.items()]
        print(
            "usage: mixup-study COMMAND …\n\n"
            + "\n".join(lines)
            + "\n\nEach takes --help. For completion of words: docs/operating.md."
        )
        sys.exit(cli.DONE)
    if name not in COMMANDS:
        expected = f"expected one of {', '.join(COMMANDS)}{nearest(name, COMMANDS)}"
        print(f"error: {one_line(name)!r}: no such command; {expected}", file=sys.stderr)
        sys.exit(cli.BAD_INPUT)
    del sys.argv[1]
    cli.command(importlib.import_module(f"mixup_study.{name}").main)


if __name__ == "__main__":
    main()
