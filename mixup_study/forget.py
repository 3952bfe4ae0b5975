"""Remove what the results hold of some of a study's trials, so that the next run trains them anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mixup_study import cli
from mixup_study.analysis.findings import Findings
from mixup_study.completion import complete_with, list_arms
from mixup_study.errors import InputError, nearest
from mixup_study.store.checkpoints import list_checkpoints, remove_checkpoints
from mixup_study.store.logs import LogFile, list_logs
from mixup_study.store.models import ModelFile, list_models
from mixup_study.store.runs import list_runs
from mixup_study.store.store import ResultStore
from mixup_study.study.labels import count_text
from mixup_study.study.plan import GridPlan
from mixup_study.study.study import Study, StudyFile


@dataclass(frozen=True)
class Remains:
    """What the results hold of some trials, by trial_id."""

    records: Collection[str]
    models: Collection[str]
    checkpoints: Collection[str]
    logs: Collection[str]

    @classmethod
    def find(cls, store: ResultStore, trial_ids: Collection[str]) -> Remains:
        """Return what ``store`` holds of some trials. Raises StorageError."""
        wanted = set(trial_ids)
        return cls(
            wanted.intersection(store.trials()["trial_id"].to_pylist()),
            wanted.intersection(model.trial_id for model in list_models(store.location)),
            wanted.intersection(list_checkpoints(store.location)),
            wanted.intersection(list_logs(store.location)),
        )

    def __str__(self) -> str:
        parts = {"record": self.records, "model": self.models, "checkpoint": self.checkpoints, "log": self.logs}
        return ", ".join(count_text(len(ids), noun) for noun, ids in parts.items() if ids)

    def remove(self, store: ResultStore) -> None:
        """Remove all of it, the records first. Raises StorageError."""
        store.forget(self.records)
        for trial_id in self.models:
            ModelFile(store.location, trial_id).remove()
        remove_checkpoints(store.location, self.checkpoints)
        for trial_id in self.logs:
            LogFile(store.location, trial_id).remove()


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    store = ResultStore(options.results)
    file = cli.study_file(options)
    study, reason = cli.load_study(file, options.profile, store)
    findings = Findings.read(study, store, reason)
    trial_ids = _choose_trials(options, findings)
    remains = Remains.find(store, trial_ids)
    if not str(remains):
        print(f"nothing to forget: the results hold none of {count_text(len(trial_ids), 'trial')}")
        return cli.DONE
    _refuse_while_running(store)
    print(f"{study.name}, profile {study.profile}: {remains} in {store.shown}")
    for name, count in _count_shared(file, findings.study, remains.records):
        print(f"{count_text(count, 'record')} of them {'is' if count == 1 else 'are'} also of {name}")
    if not (options.yes or _confirm()):
        print("nothing removed")
        return cli.DONE
    _refuse_while_running(store)
    remains.remove(store)
    print(f"removed: {remains}")
    return cli.DONE


def _choose_trials(options: argparse.Namespace, findings: Findings) -> list[str]:
    """Return the trial_ids that the options name. Raises InputError for an arm that the study does not have."""
    study = findings.study
    if options.arm is not None and options.arm not in findings.arms:
        expected = f"expected an arm of the study: {', '.join(findings.arms)}{nearest(options.arm, findings.arms)}"
        raise InputError(f"--arm {options.arm}: {expected}")
    if options.arm is None:
        chosen = list(GridPlan(study, 1).trials)
    else:
        chosen = [cell.trial.trial_id for cell in study.every_cell if cell.arm == options.arm]
    if not options.failed:
        return list(dict.fromkeys(chosen))
    records: Mapping[str, Mapping[str, object]] = findings.records
    return [trial_id for trial_id in dict.fromkeys(chosen) if records.get(trial_id, {}).get("status") == "failed"]


def _count_shared(file: StudyFile, study: Study, trial_ids: Collection[str]) -> Iterator[tuple[str, int]]:
    """Yield the other studies beside the file, and other profiles, that have some of the trials, and how many."""
    for path in sorted({*file.path.parent.glob("*.yaml"), file.path}):
        is_same = path.resolve() == file.path.resolve()
        other = file if is_same else StudyFile(path, files=file.files)
        try:
            profiles = {profile: other.load(profile) for profile in other.profiles}
        except InputError:  # no study, or a broken one
            continue
        for profile, loaded in profiles.items():
            if is_same and profile == study.profile:
                continue
            if count := len(set(trial_ids).intersection(GridPlan(loaded, 1).trials)):
                yield f"{loaded.name}, profile {profile}", count


def _refuse_while_running(store: ResultStore) -> None:
    """Raise InputError while a run writes to the results."""
    for run in list_runs(store.location):
        raise InputError(f"a run is under way on {store.shown} ({run}); stop it first: mixup-study stop")


def _confirm() -> bool:
    """Return whether the user wants it. Raises InputError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise InputError("nobody can be asked whether to remove it; expected --yes")
    return input("remove it? [y/N] ").strip().lower() in ("y", "yes")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "forget",
        "Remove what the results hold of some of a study's trials (records, models, checkpoints, logs), so that the"
        " next run trains them anew. Asks first.",
        "forget studies/corrupt_labels.yaml --failed",
        "forget studies/corrupt_labels.yaml --profile quick --arm mixup",
        "forget studies/corrupt_labels.yaml --profile quick --yes",
    )
    cli.add_study(parser)
    cli.add_results(parser)
    arm = parser.add_argument("--arm", metavar="NAME", help="the trials of this arm alone")
    complete_with(arm, list_arms)
    parser.add_argument("--failed", action="store_true", help="the failed trials alone")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(arguments)
    if options.arm is None and not options.failed and options.profile is None:
        raise InputError("expected what to forget: --arm NAME, --failed, or --profile NAME for all of a profile")
    return options


if __name__ == "__main__":
    cli.command(main)
