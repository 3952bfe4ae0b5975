"""Write the JSON Schema of study files, for editors to complete and check them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mixup_study import cli
from mixup_study.errors import InputError
from mixup_study.study.json_schema import study_schema


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    parser = cli.parser("schema", "Write the JSON Schema of study files, for editors to complete and check them.")
    parser.add_argument("file", type=Path, nargs="?", help="file to write (default: standard output)")
    options = parser.parse_args(arguments)
    text = json.dumps(study_schema(), indent=2, ensure_ascii=False) + "\n"
    if options.file is None:
        print(text, end="")
        return cli.DONE
    try:
        options.file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{options.file}: cannot be written: {error.strerror}") from None
    return cli.DONE


if __name__ == "__main__":
    cli.command(main)
