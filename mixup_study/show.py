"""Show one trial: its configuration, what it measured, its curve, its model and the end of its log."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mixup_study import cli
from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError, escape_controls
from mixup_study.store.logs import LogFile
from mixup_study.store.models import ModelFile
from mixup_study.store.store import ResultStore
from mixup_study.views.blocks import draw_curve
from mixup_study.views.trial_texts import list_fields, list_numbers, list_origins

LOG_LINES = 10


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    store = ResultStore(options.results)
    record = store.find_record(options.trial)
    log = LogFile(store.location, record["trial_id"])
    if options.log:
        if not log.exists():
            raise InputError(
                f"trial {record['trial_id']}: it has no log of its own; expected one that printed something"
            )
        print("\n".join(_read_log(log)))
        return cli.DONE
    for line in _describe(record, store.read_epochs(record["trial_id"])):
        print(line)
    print(_describe_model(store, record["trial_id"]))
    for line in _end_of_log(log, record):
        print(line)
    return cli.DONE


def _describe(record: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines that say what a trial is, what it measured, and how its curves went."""
    yield f"trial {record['trial_id']}: {record['status']}"
    if record["error"] is not None:
        yield f"error: {escape_controls(record['error'])}"
    sections = {
        "configuration": list_fields(record),
        "numbers": list_numbers(record),
        "origin": list_origins(record),
    }
    width = max(len(name) for entries in sections.values() for name in entries)
    for title, entries in sections.items():
        if entries:
            yield f"\n{title}"
            yield from (f"  {name:{width}}  {escape_controls(text)}" for name, text in entries.items())
    for curve in CATALOGUE.curves.values():
        values = [row[curve.name] for row in epochs if row[curve.name] is not None]
        if values:
            yield f"\n{curve.title}: {curve.unit.text(values[-1])} after epoch {epochs[-1]['epoch']}"
            yield from (f"  {line}" for line in draw_curve(values, curve.unit.text))
    yield ""


def _describe_model(store: ResultStore, trial_id: str) -> str:
    file = ModelFile(store.location, trial_id)
    return f"model: {file.shown if file.exists() else 'none'}"


def _end_of_log(log: LogFile, record: Mapping[str, Any]) -> list[str]:
    """Return the end of a trial's log, or why there is none."""
    if not log.exists():
        of_pack = (record["pack_size"] or 1) > 1
        return [f"log: {'none of its own, its pack has one' if of_pack else 'none, it printed nothing'}"]
    lines = _read_log(log)
    left_out = f", the last {LOG_LINES} of {len(lines)} lines" if len(lines) > LOG_LINES else ""
    return [f"log: {log.shown}{left_out}", *(f"  {line}" for line in lines[-LOG_LINES:])]


def _read_log(log: LogFile) -> list[str]:
    return [escape_controls(line) for line in log.read().decode(errors="replace").splitlines()]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "show",
        "Show one trial: its configuration, what it measured, its curves, its model and the end of its log.",
        "show 3f2a",
        "show 3f2a91c04d5e6b78 --log",
    )
    cli.add_trial(parser, "trial")
    cli.add_results(parser)
    parser.add_argument("--log", action="store_true", help="print its whole log, and nothing else")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.command(main)
