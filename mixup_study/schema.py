"""Write the JSON Schema of study files, for editors to complete and check them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixup_study import cli
from mixup_study.errors import InputError
from mixup_study.study.json_schema import study_schema

LINE = 120
"""Characters of a line at most, where its content can be broken."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    text = _format_json(study_schema()) + "\n"
    if options.file is None:
        print(text, end="")
        return cli.DONE
    try:
        options.file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{options.file}: cannot be written: {error.strerror}") from None
    return cli.DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "schema",
        "Write the JSON Schema of study files, for editors to complete and check them.",
        "schema docs/study.schema.json",
    )
    parser.add_argument("file", type=Path, nargs="?", help="file to write (default: standard output)")
    return parser.parse_args(arguments)


def _format_json(value: Any, indent: int = 0) -> str:
    """Return ``value`` as JSON in which what fits on a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, dict | list) or indent + len(line) <= LINE:
        return line
    inner = " " * (indent + 2)
    if isinstance(value, list):
        parts = [f"{inner}{_format_json(item, indent + 2)}" for item in value]
        return "[\n" + ",\n".join(parts) + f"\n{' ' * indent}]"
    parts = [f"{inner}{json.dumps(key)}: {_format_json(item, indent + 2)}" for key, item in value.items()]
    return "{\n" + ",\n".join(parts) + f"\n{' ' * indent}}}"


if __name__ == "__main__":
    cli.command(main)
