"""What the commands share: their common arguments, and how they end."""

from __future__ import annotations

import argparse
import io
import math
import os
import signal
import sys
import threading
import webbrowser
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from mixup_study import completion
from mixup_study.catalogue import load_plugins
from mixup_study.errors import CLUSTER_LOST, ClusterLost, InputError, Interrupted, one_line
from mixup_study.files import LossyStream
from mixup_study.store.place import Place, absolute_folder, without_secrets
from mixup_study.study.data_files import DEFAULT_FOLDER, FILE_DIGEST, DataFiles
from mixup_study.study.profile import choose_profile
from mixup_study.study.shipped import find_study
from mixup_study.study.study import Study, StudyFile
from mixup_study.study.trial import Trial

if TYPE_CHECKING:
    from mixup_study.analysis.findings import Findings
    from mixup_study.store.store import ResultStore

DONE, SOME_FAILED, BAD_INPUT = 0, 1, 2
"""Exit statuses."""

DEFAULT_RESULTS = "results"


class _HelpFormatter(argparse.HelpFormatter):
    """Leaves the lines of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and that loads the plugins named."""

    def parse_args(self, arguments: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]  # always given
        """Return the options, once the catalogue holds what the plugins add. Raises InputError for a bad plugin."""
        if completion.is_asked():
            completion.complete_arguments(self)
        options = super().parse_args(arguments)
        load_plugins_here(options.plugins)
        return options

    def error(self, message: str) -> NoReturn:
        """Print ``message`` and leave with exit status 2."""
        self.exit(BAD_INPUT, f"error: {one_line(message)}; see {self.prog} --help\n")


def load_plugins_here(modules: Sequence[str]) -> None:
    """Add what plugins declare to the catalogue; they may lie in this folder. Raises InputError for a bad plugin."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:  # the console script, unlike python -m, leaves it out
        sys.path.insert(0, here)
    load_plugins(modules)


def parser(command: str, description: str, *examples: str) -> Parser:
    """Return the parser of ``python -m mixup_study.<command>``; its help ends in ``examples``, without the program."""
    lines = "".join(f"\n  mixup-study {example}" for example in examples)
    arguments = Parser(
        prog=f"python -m mixup_study.{command}",
        description=description,
        epilog=f"examples:{lines}" if examples else None,
        formatter_class=_HelpFormatter,
    )
    arguments.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE",
        dest="plugins",
        help="Python module whose ENTRIES add data sets, networks, methods, optimizers or tasks; repeatable",
    )
    return arguments


def add_study(arguments: argparse.ArgumentParser, optional: str = "") -> None:
    """Add the study, the profile and the overrides; ``optional`` says which study is meant where none is named."""
    described = "study file, or the name of a study, such as corrupt_labels"
    if optional:
        file = arguments.add_argument("study", type=find_study, nargs="?", help=f"{described} (default: {optional})")
    else:
        file = arguments.add_argument("study", type=find_study, help=described)
    completion.complete_with(file, completion.list_study_files)
    profile = arguments.add_argument(
        "--profile", help="size to run at, such as paper or quick; chosen by the hardware if left out"
    )
    completion.complete_with(profile, completion.list_profiles)
    add_overrides(arguments)


def add_studies(arguments: argparse.ArgumentParser) -> None:
    """Add any number of study files, their profiles and the overrides."""
    file = arguments.add_argument(
        "--study",
        action="append",
        type=find_study,
        default=[],
        metavar="FILE",
        dest="studies",
        help="study file, or the name of a study; repeatable",
    )
    completion.complete_with(file, completion.list_study_files)
    profile = arguments.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="PROFILE",
        dest="profiles",
        help="profile of the studies, such as paper or quick; repeatable (default: of each study that of which the"
        " results hold most)",
    )
    completion.complete_with(profile, completion.list_profiles)
    add_overrides(arguments)


def add_overrides(arguments: argparse.ArgumentParser) -> None:
    """Add the overrides of a study's keys."""
    arguments.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a key of the study, as in --set trial.epochs=5; repeatable",
    )


def add_trial(arguments: argparse.ArgumentParser, name: str, optional: str = "") -> None:
    """Add a trial of the results as the argument ``name``; ``optional`` says what is meant without one."""
    described = "trial_id, or the beginning of one that no other begins with"
    if optional:
        trial = arguments.add_argument(name, metavar="TRIAL", nargs="?", help=f"{described} (default: {optional})")
    else:
        trial = arguments.add_argument(name, metavar="TRIAL", help=described)
    completion.complete_with(trial, completion.list_trial_ids)


def add_results(arguments: argparse.ArgumentParser) -> None:
    """Add the place of the results."""
    arguments.add_argument(
        "--results", default=DEFAULT_RESULTS, metavar="DIR", help="folder or URL of the results (default: %(default)s)"
    )


def add_data(arguments: argparse.ArgumentParser) -> None:
    """Add the folder of the data sets."""
    arguments.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help=f"folder of the data sets (default: the study's key data, or {DEFAULT_FOLDER})",
    )


def resolve_data(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options with the folder of the data sets as an absolute path; InputError for one that is none."""
    options.data = None if options.data is None else data_folder(options.data)
    return options


def data_folder(path: Path) -> Path:
    """Return the folder of the data sets as an absolute path. Raises InputError for one that is none."""
    try:
        return absolute_folder(path)
    except RuntimeError as error:  # of ~someone whom nobody knows
        raise InputError(f"--data {path}: {error}; expected a folder") from None


def list_missing(trials: Iterable[Trial], folder: Path) -> list[str]:
    """Return the names of the data sets that ``trials`` train on and ``folder`` does not hold."""
    chosen = dict.fromkeys(trial.components.dataset for trial in trials)
    return [
        dataset.name
        for dataset in chosen
        if dataset is not None and dataset.files and not any((folder / name).exists() for name in dataset.files)
    ]


def add_open(arguments: argparse.ArgumentParser) -> None:
    """Add the wish to see the report."""
    arguments.add_argument("--open", action="store_true", help="open the report in the browser")


def check_opens(location: str) -> None:
    """Raise InputError where a report in ``location`` could not be opened: it is not on this machine."""
    if not Place.of(location).local:
        raise InputError(
            f"--open: the report would go to {without_secrets(location)}; expected a file or folder of this machine"
        )


def open_file(path: str) -> None:
    """Open a file in the user's browser, or say that there is none."""
    if not webbrowser.open(Path(path).as_uri()):
        print("no browser found to open it in")


def at_least(least: int) -> Callable[[str], int]:
    """Return an argument type: a whole number of ``least`` or more."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of {least} or more")
        return int(text)

    return number


def positive(text: str) -> float:
    """Be an argument type: a number above zero."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return number


def study_file(options: argparse.Namespace, path: Path | None = None) -> StudyFile:
    """Return the study file at ``path``, or that which the options name, with their overrides and data folder."""
    results = options.results if "results" in options else None
    files = data_files(options.data if "data" in options else None, results)
    return StudyFile(path or options.study, tuple(options.overrides), files=files)


def data_files(folder: Path | None, results: str | None) -> DataFiles:
    """Return the data folder as whoever reads a study sees it; None is the study's own.

    What recorded trials in ``results`` read is looked up there, and differences are told on standard error.
    """

    def read_recorded(columns: Sequence[str]) -> list[dict[str, Any]]:
        from mixup_study.store.store import ResultStore  # imports what --help does without

        if results is None:
            return []
        trials = ResultStore(results).trials()
        recorded: list[dict[str, Any]] = trials.filter(trials[FILE_DIGEST].is_valid()).select(columns).to_pylist()
        return recorded

    def warn(line: str) -> None:
        print(line, file=sys.stderr)

    return DataFiles(folder, read_recorded, warn)


def local_gpus() -> int:
    """Return the number of NVIDIA GPUs of this machine, by their device files."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def load_study(file: StudyFile, named: str | None, store: ResultStore) -> tuple[Study, str]:
    """Return a study and why its profile was taken, for a command that reads results and starts no Ray.

    Without ``named``, that is the profile of which ``store`` holds the most trials and proposals; with none there, the
    one that ``run`` would take on this machine alone.
    """
    if named is None:
        studies = [file.load(profile) for profile in file.profiles]
        recorded = set(store.trials()["trial_id"].to_pylist())
        proposed = Counter(store.proposals()["search_id"].to_pylist()) if any(s.searches for s in studies) else {}
        counts = [
            sum(trial_id in recorded for trial_id in study.trials)
            + sum(proposed.get(search.search_id, 0) for search in study.searches)
            for study in studies
        ]
        if max(counts) > 0:
            return studies[counts.index(max(counts))], "what the results hold"
    profile, reason = choose_profile(file, named, local_gpus(), "this machine")
    return file.load(profile), reason


def read_findings(options: argparse.Namespace) -> Findings:
    """Return what the results say of the study that the options name; the profile is that of ``load_study``."""
    from mixup_study.analysis.findings import Findings  # imports numpy, which --help does without
    from mixup_study.store.store import ResultStore

    store = ResultStore(options.results)
    study, reason = load_study(study_file(options), options.profile, store)
    return Findings.read(study, store, reason)


def command(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run a command on this process's arguments and leave with its exit status.

    Bad input is one line on standard error and status 2; a bug keeps its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # α on a terminal that lacks it
    if sys.stdout is not None and sys.stderr is not None:
        sys.stdout, sys.stderr = LossyStream(sys.stdout), LossyStream(sys.stderr)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL and threading.current_thread() is threading.main_thread():
            signal.signal(number, _interrupt)
    try:
        status = main(sys.argv[1:])
        if sys.stdout is not None:  # it is closed by >&-
            sys.stdout.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = BAD_INPUT
    except ClusterLost as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(CLUSTER_LOST)  # what Ray does at exit waits for the cluster
    except KeyboardInterrupt as error:
        print("interrupted; the same command goes on where this one was", file=sys.stderr)
        status = error.status if isinstance(error, Interrupted) else Interrupted(signal.SIGINT).status
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = DONE
    sys.exit(status)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)
