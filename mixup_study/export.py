"""Export a study's results to the formats of other tools."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixup_study import cli
from mixup_study.analysis.findings import Findings
from mixup_study.exports.csv_files import write_csv_files
from mixup_study.exports.mlflow_runs import write_runs
from mixup_study.exports.optuna_journal import write_journal
from mixup_study.exports.tensorboard_events import write_event_files
from mixup_study.exports.wandb_runs import write_offline_runs
from mixup_study.store.place import without_secrets

EXPORTS: Mapping[str, Callable[[Findings, Any], str]] = {
    "csv": write_csv_files,
    "tensorboard": write_event_files,
    "mlflow": write_runs,
    "wandb_offline": write_offline_runs,
    "optuna": write_journal,
}
"""What writes the findings to where each option says, and returns what it wrote."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    findings = cli.read_findings(options)
    for name, export in EXPORTS.items():
        place = getattr(options, name)
        if place is not None:
            print(f"{without_secrets(str(place))}: {export(findings, place)}", flush=True)
    return cli.DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "export",
        "Export a study's recorded trials, with their settings, curves and results, to the formats of other tools.",
        "export studies/corrupt_labels.yaml --csv corrupt_labels",
        "export studies/corrupt_labels.yaml --mlflow sqlite:///mlflow.db",
        "export studies/search_corrupt_labels.yaml --optuna search.journal",
    )
    cli.add_study(parser)
    cli.add_results(parser)
    cli.add_data(parser)
    places = parser.add_argument_group("where to", "one or more of these; what an earlier export wrote is replaced")
    places.add_argument("--csv", type=Path, metavar="DIR", help="table.csv, trials.csv, epochs.csv, points.csv")
    places.add_argument("--tensorboard", type=Path, metavar="DIR", help="event files: tensorboard --logdir DIR")
    places.add_argument("--mlflow", metavar="URI", help="runs at a tracking URI, such as sqlite:///mlflow.db")
    places.add_argument("--wandb-offline", type=Path, metavar="DIR", help="runs that wandb sync uploads")
    places.add_argument(
        "--optuna", type=Path, metavar="FILE", help="the searches, as a journal that optuna-dashboard opens"
    )
    options = parser.parse_args(arguments)
    if all(getattr(options, name) is None for name in EXPORTS):
        parser.error("expected one or more of --csv, --tensorboard, --mlflow, --wandb-offline and --optuna")
    return cli.resolve_data(options)


if __name__ == "__main__":
    cli.command(main)
