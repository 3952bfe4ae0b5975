"""Show one trial: its configuration, what it measured, its curve, its model and the end of its log."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mixup_study import cli
from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError, escape_controls
from mixup_study.store.checkpoints import list_checkpoints, read_entries
from mixup_study.store.logs import LogFile
from mixup_study.store.models import ModelFile
from mixup_study.store.store import ResultStore
from mixup_study.store.trial_ids import find_trial_id
from mixup_study.views.blocks import draw_curve
from mixup_study.views.trial_texts import list_fields, list_numbers, list_origins

LOG_LINES = 10


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    store = ResultStore(options.results)
    recorded = store.trials()["trial_id"].to_pylist()
    trial_id = find_trial_id(options.trial, {*recorded, *list_checkpoints(store.location)}, store.shown)
    log = LogFile(store.location, trial_id)
    if options.log:
        if not log.exists():
            raise InputError(f"trial {trial_id}: it has no log of its own; expected one that printed something")
        print("\n".join(_read_log(log)))
        return cli.DONE
    if trial_id in recorded:
        record = store.find_record(trial_id)
        lines = [*_describe(record, store.read_epochs(trial_id)), _describe_model(store, trial_id)]
        is_of_pack = (record["pack_size"] or 1) > 1
    else:
        lines, is_of_pack = [_describe_unfinished(store, trial_id)], False
    for line in [*lines, *_end_of_log(log, is_of_pack)]:
        print(line)
    return cli.DONE


def _describe_unfinished(store: ResultStore, trial_id: str) -> str:
    entry = read_entries(store.location, [trial_id]).get(trial_id)
    saved = "its checkpoint is of another version" if entry is None else entry.describe()
    return f"trial {trial_id}: not finished, {saved}; mixup-study watch shows it while it trains"


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


def _end_of_log(log: LogFile, is_of_pack: bool) -> list[str]:
    """Return the end of a trial's log, or why there is none."""
    if not log.exists():
        return [f"log: {'none of its own, its pack has one' if is_of_pack else 'none, it printed nothing'}"]
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
