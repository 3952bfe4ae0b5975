"""List the models that a results folder keeps, or export one for PyTorch."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mixup_study import cli
from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import InputError, nearest, shown
from mixup_study.store.envelope import FileUnusable
from mixup_study.store.models import ModelFile, list_models, open_model, short_digest
from mixup_study.store.store import ResultStore
from mixup_study.study.labels import plain
from mixup_study.views.render import FORMATS, render
from mixup_study.views.sheet import Sheet
from mixup_study.views.trial_texts import with_defaults

COLUMNS = ("dataset", "model", "method")
"""Fields of the trial that have a column of their own; the others stand under ``settings`` where they differ."""
THREADS = 4
"""Models that are read at a time to be checked."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    if options.export is not None:
        trial_id, file = options.export
        _export_model(options.results, trial_id, Path(file))
        return cli.DONE
    print(render(_sheet(options.results), options.format), end="")
    return cli.DONE


def _sheet(results: str) -> Sheet:
    """Return a row for each model, by trial_id: what its trial is, the size of its file, what its digest says."""
    models = list_models(results)
    with ThreadPoolExecutor(THREADS) as pool:
        digests = list(pool.map(lambda model: _check_digest(results, model.trial_id), models))
    trials = _recorded_trials(results, [model.trial_id for model in models])
    varied = [name for name in CATALOGUE.fields if name not in COLUMNS and _varies(name, trials.values())]
    rows = [
        [model.trial_id, *_description(trials.get(model.trial_id), varied), str(model.size), digest]
        for model, digest in zip(models, digests, strict=True)
    ]
    headings = ["trial_id", *COLUMNS, "settings", "bytes", "digest"]
    return Sheet(headings, rows, numeric=frozenset({headings.index("bytes")}))


def _check_digest(results: str, trial_id: str) -> str:
    """Return the digest of a trial's model as records name it, or what is wrong with its file."""
    file = ModelFile(results, trial_id).read()
    if file is None:
        return "it was removed"
    try:
        open_model(trial_id, file)
    except FileUnusable as error:
        return str(error)
    return short_digest(file)


def _recorded_trials(results: str, trial_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return the fields of those of the trials that are recorded, by trial_id; None of what a trial does not take."""
    table = ResultStore(results).trials().select(["trial_id", *CATALOGUE.fields])
    recorded = table.filter(pc.is_in(table["trial_id"], value_set=pa.array(trial_ids, pa.string())))
    return {row["trial_id"]: with_defaults(row) for row in recorded.to_pylist()}


def _varies(name: str, trials: Collection[Mapping[str, Any]]) -> bool:
    """Return whether two of the trials differ in a field; one that does not take it has its default."""
    default = CATALOGUE.defaults[name]
    values = [default if trial[name] is None else trial[name] for trial in trials]
    return any(value != values[0] for value in values)


def _description(trial: Mapping[str, Any] | None, varied: Sequence[str]) -> list[str]:
    """Return what a trial is: an entry for each of COLUMNS, and those of the fields ``varied`` that have a value."""
    if trial is None:
        return [*[""] * len(COLUMNS), "not recorded"]
    settings = [f"{name}={plain(trial[name])}" for name in varied if trial[name] is not None]
    return [*(str(trial[name]) for name in COLUMNS), ", ".join(settings)]


def _export_model(results: str, trial_id: str, path: Path) -> None:
    """Write a trial's model as a plain state dict, which ``torch.load(path, weights_only=True)`` returns.

    Raises InputError for a trial without a model, a model that cannot be used, and a path that cannot be written.
    """
    stored = [model.trial_id for model in list_models(results)]
    if trial_id not in stored:
        expected = nearest(trial_id, stored) or f"; expected one of the {len(stored)} that this command lists"
        raise InputError(f"--export {shown(trial_id)}: no such model in {ResultStore(results).shown}{expected}")
    model = ModelFile(results, trial_id)
    from mixup_study.training.model_file import unpack_model  # these bring in torch, which a list does without
    from mixup_study.training.state_bytes import save_state

    try:
        content = save_state(unpack_model(trial_id, model.read() or b""))
    except FileUnusable as error:
        raise InputError(f"{model.shown}: cannot be exported: {error}") from None
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "models",
        "List the models that a results folder keeps, or export one for PyTorch.",
        "models",
        "models --export 3f2a91c04d5e6b78 model.pt",
    )
    cli.add_results(parser)
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: %(default)s")
    parser.add_argument(
        "--export",
        nargs=2,
        metavar=("TRIAL_ID", "FILE"),
        help="write this trial's model as a state dict that torch.load reads with weights_only=True",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.command(main)
