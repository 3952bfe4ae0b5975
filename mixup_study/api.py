"""Studies from Python: what the commands do, as functions; ``import mixup_study as ms`` offers them."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixup_study import cli
from mixup_study.errors import InputError
from mixup_study.study.data_files import DEFAULT_FOLDER
from mixup_study.study.study import Study as LoadedStudy
from mixup_study.study.study import StudyFile

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from mixup_study.analysis.findings import Findings, Progress


@dataclass(frozen=True, eq=False)
class Study:
    """A study file under one profile, and where its results are; a notebook shows its table as it is by now."""

    file: StudyFile
    content: LoadedStudy
    """What the file says under the profile, with all overrides applied."""
    reason: str
    """Why this profile was taken."""
    results: str
    """Folder or URL of the results."""

    @property
    def name(self) -> str:
        """Return its name."""
        return self.content.name

    @property
    def profile(self) -> str:
        """Return the name of its profile."""
        return self.content.profile

    @property
    def progress(self) -> Progress:
        """Return how many of its trials are done, have failed and are left. Raises InputError."""
        return self._findings().progress

    def __repr__(self) -> str:
        return f"Study({self.name!r}, profile={self.profile!r})"

    def _repr_html_(self) -> str:
        from html import escape

        from mixup_study.views.captions import marked_text
        from mixup_study.views.html import render_html
        from mixup_study.views.study_table import study_sheet

        findings = self._findings()
        progress = findings.progress
        counts = f"{progress.done} of {progress.total} trials done"
        for number, state in (
            (progress.failed, "failed"),
            (progress.stopped, "stopped early"),
            (progress.left, "left"),
        ):
            counts += f", {number} {state}" if number else ""
        title = f"<strong>{escape(self.name)}</strong>, profile {escape(self.profile)}"
        return f"<p>{title}: {counts}</p>\n{render_html(study_sheet(findings), marked_text(self.content))}"

    def _findings(self) -> Findings:
        from mixup_study.analysis.findings import Findings
        from mixup_study.store.store import ResultStore

        return Findings.read(self.content, ResultStore(self.results), self.reason)


@dataclass(frozen=True)
class RunSummary:
    """How a run went."""

    trained: int
    """Trials that it trained and recorded."""
    reused: int
    """Trials that were recorded before."""
    failed: int
    """Trials that failed; the next run tries them again."""
    failures: tuple[str, ...]
    """A line for each trial that is missing: what ended it and where its log is, or what it waits for."""
    seconds: float
    """Wall time of the training; 0 where nothing was left."""

    def __str__(self) -> str:
        counts = f"{self.trained} trained in {self.seconds:.0f} s, {self.reused} recorded before, {self.failed} failed"
        return "\n".join([counts, *self.failures])


def load(
    path: str | Path,
    profile: str | None = None,
    *,
    results: str | Path = cli.DEFAULT_RESULTS,
    data: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
    plugins: Sequence[str] = (),
) -> Study:
    """Return the study of a file, or of a name such as ``corrupt_labels`` that comes with the package.

    Without ``profile``, that is the one of which ``results`` holds the most, or that suits this machine. ``data`` is
    the folder of the data sets, by default that which the study names, or ``~/.cache/mixup_study``. ``set`` overrides
    keys of the study, as ``{"trial.epochs": 5}``; None removes a key. ``plugins`` names modules that add to the
    catalogue. Raises InputError for anything that cannot be run.
    """
    from mixup_study.store.store import ResultStore
    from mixup_study.study.shipped import find_study

    cli.load_plugins_here(plugins)
    overrides = tuple(f"{key}={_to_yaml(value)}" for key, value in (set or {}).items())
    store = ResultStore(str(results))
    folder = None if data is None else cli.data_folder(Path(data))
    file = StudyFile(find_study(str(path)), overrides, files=cli.data_files(folder, store.location))
    content, reason = cli.load_study(file, profile, store)
    return Study(file, content, reason if profile is None else "chosen by the caller", store.location)


def _to_yaml(value: Any) -> str:
    """Return a value on one line, as ``--set`` takes it. Raises InputError for one that YAML has no word for."""
    import yaml

    try:
        text = yaml.safe_dump(value, default_flow_style=True, width=sys.maxsize, allow_unicode=True)
    except yaml.YAMLError as error:
        raise InputError(f"set: {error}; expected numbers, text, lists and mappings") from None
    return text.strip().removesuffix("...").strip()


def run(
    study: Study,
    *,
    local: bool = False,
    cpus: int | None = None,
    gpus: int | None = None,
    address: str | None = None,
    progress: bool = False,
) -> RunSummary:
    """Train what the results do not hold yet, and return how that went.

    On a Ray cluster of this machine with ``cpus`` and ``gpus``, by default all there are; on the one at ``address``;
    or, where ``local``, one trial after the other in this process. ``progress`` prints what the command prints while it
    trains. Raises InputError where the study cannot be run, and KeyboardInterrupt after Ctrl-C, once the trials under
    way have saved.
    """
    from mixup_study.errors import Interrupted
    from mixup_study.store.store import ResultStore
    from mixup_study.study_run import RunOptions, train_study

    store = ResultStore(study.results)
    options = RunOptions(study.results, local, address, cpus, gpus)
    options.check()
    out = sys.stdout if progress else io.StringIO()
    ran = train_study(study.file, study.profile, options, store, out)
    if isinstance(ran.outcome, Interrupted):
        raise ran.outcome
    reused = ran.plan.expected - len(ran.plan.list_left(ran.done))
    if ran.outcome is None:
        return RunSummary(0, reused, 0, (), 0.0)
    outcome = ran.outcome.progress
    failed = len(outcome.failures)
    failures = tuple(ran.outcome.failure_lines(store.done()))
    return RunSummary(outcome.completed - failed, reused, failed, failures, ran.outcome.slot_time.seconds)


def table(study: Study) -> pd.DataFrame:
    """Return the study's table of what is recorded by now, as ``tables --format csv`` has it.

    A row for each of the table's, with the setting shown, mean, deviation (``_sd``) and published number (``_paper``)
    of every column, and how many of its trials are done; what is not there is missing. Columns that end in
    ``_percent`` are in percent.
    """
    import pandas as pd

    from mixup_study.views.study_table import spread_values

    headings, rows = spread_values(study._findings())
    frame = pd.DataFrame(rows, columns=headings)
    empty = [name for name in headings if frame[name].isna().all()]
    return frame.astype(dict.fromkeys(empty, float))


def trials(study: Study | None = None, *, results: str | Path | None = None) -> pd.DataFrame:
    """Return one row per recorded trial: its configuration, what it measured, and how it came about.

    Those of ``study``, with the columns study, profile and arm; without one, all of ``results``. Errors are fractions
    in [0, 1]. Raises InputError where the results cannot be read.
    """
    return _select("trials", study, results)


def epochs(study: Study | None = None, *, results: str | Path | None = None) -> pd.DataFrame:
    """Return one row per recorded trial and epoch, counted from 1, of the same trials as ``trials``."""
    return _select("epochs", study, results)


def _select(view: str, study: Study | None, results: str | Path | None) -> pd.DataFrame:
    from mixup_study.analysis.study_trials import list_study_trials
    from mixup_study.store.sql import query
    from mixup_study.store.store import ResultStore

    location = str(results or (study.results if study else cli.DEFAULT_RESULTS))
    studies = [] if study is None else [list_study_trials(study._findings().study)]
    answer: pd.DataFrame = query(ResultStore(location), f"select * from {view}", None, studies).to_pandas()
    return answer


def model(trial_id: str, *, results: str | Path = cli.DEFAULT_RESULTS, data: str | Path = DEFAULT_FOLDER) -> nn.Module:
    """Return the network of a finished trial with the weights that it left, on the CPU and in evaluation mode.

    The beginning of ``trial_id`` suffices where no other begins so. ``data`` is the folder of the data sets: that of
    the trial says how large inputs are. Of a GAN, a ModuleDict of ``generator`` and ``discriminator``. Raises
    InputError for a trial that is not recorded, or has left no model that can be used.
    """
    from mixup_study.store.envelope import FileUnusable
    from mixup_study.store.models import ModelFile
    from mixup_study.store.record import read_trial
    from mixup_study.store.store import ResultStore
    from mixup_study.training.model_file import unpack_model

    store = ResultStore(str(results))
    record = store.find_record(trial_id)
    whole_id = record["trial_id"]
    file = ModelFile(store.location, whole_id)
    content = file.read()
    if content is None:
        raise InputError(f"{file.shown}: no such model; a study of keep_models: true keeps those of all its trials")
    try:
        trial = read_trial(record)
        network: nn.Module = trial.components.task.load_network()(trial, cli.data_folder(Path(data)))
        network.load_state_dict(unpack_model(whole_id, content))
    except FileUnusable as error:
        raise InputError(f"{file.shown}: the model cannot be used: {error}") from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"trial {whole_id}: its network cannot be built: {reason}") from None
    return network.eval()
