"""Stop a run, or a trial of it, from another terminal or machine, as Ctrl-C stops it in its own."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from mixup_study import cli
from mixup_study.errors import InputError, nearest, shown
from mixup_study.store.place import Place
from mixup_study.store.runs import BUCKET_POLL_SECONDS, POLL_SECONDS, RunEntry, list_runs, request_stop
from mixup_study.store.store import ResultStore
from mixup_study.store.trial_ids import find_trial_id
from mixup_study.study.plan import GridPlan
from mixup_study.study.study import StudyFile


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    store = ResultStore(options.results)
    chosen = _choose_runs(list_runs(store.location), options.run, store.shown)
    if options.trial is not None:
        _stop_trial(options.trial, chosen[0], store)
        return cli.DONE
    for run in chosen:
        request_stop(store.location, run)
        print(f"asked to end: {run}", flush=True)
    interval = POLL_SECONDS if Place.of(store.location).local else BUCKET_POLL_SECONDS
    waiting = {run.name for run in chosen}
    while waiting:
        time.sleep(interval)
        ended = waiting - {run.name for run in list_runs(store.location)}
        for name in sorted(ended):
            print(f"ended: {name}", flush=True)
        waiting -= ended
    return cli.DONE


def _stop_trial(text: str, run: RunEntry, store: ResultStore) -> None:
    """Ask a run to stop the trial whose trial_id begins with ``text``. Raises InputError for one that it has not."""
    if run.is_search:
        raise InputError(
            f"{run.study} searches, and what it proposes may depend on no clock; expected stop without TRIAL"
        )
    study = StudyFile(Path(run.file), tuple(run.overrides)).load(run.profile)
    trial_id = find_trial_id(text, GridPlan(study, 1).trials, f"{study.name}, profile {study.profile}")
    if trial_id in store.done():
        raise InputError(f"trial {trial_id} is done; expected one that is not")
    request_stop(store.location, run, trial_id)
    print(f"asked to stop trial {trial_id}: it saves, and the run goes on with the others")


def _choose_runs(runs: Sequence[RunEntry], named: str | None, place: str) -> Sequence[RunEntry]:
    """Return the run that is ``named``, or the only one. Raises InputError where there is none, or a choice."""
    if not runs:
        raise InputError(f"no run is under way on {place}")
    names = [run.name for run in runs]
    if named is not None:
        if named not in names:
            expected = f"expected one of {', '.join(names)}{nearest(named, names)}"
            raise InputError(f"--run {shown(named)}: no such run on {place}; {expected}")
        return [runs[names.index(named)]]
    if len(runs) > 1:
        raise InputError(f"{len(runs)} runs are under way on {place}; expected --run with one of {', '.join(names)}")
    return runs


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "stop",
        "Stop the run that is under way on the results, or one trial of it, from another terminal or machine: what is"
        " stopped saves, and the same command goes on from there. Waits until a run has ended.",
        "stop",
        "stop 3f2a",
        "stop --results s3://bucket/folder",
    )
    cli.add_trial(parser, "trial", optional="the whole run")
    cli.add_results(parser)
    parser.add_argument("--run", metavar="NAME", help="the one to stop of several: its host and process")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.command(main)
