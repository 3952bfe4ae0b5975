"""Bring the data sets of a study to this machine, before it runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixup_study import cli
from mixup_study.study.plan import GridPlan
from mixup_study.study.profile import choose_profile

if TYPE_CHECKING:
    from mixup_study.data import LabelledSet


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    options = _options(arguments)
    file = cli.study_file(options)
    profile, reason = choose_profile(file, options.profile, cli.local_gpus(), "this machine")
    study = file.load(profile)
    print(f"{study.name}, profile {study.profile}: {reason}", flush=True)

    import torch  # which --help does without

    from mixup_study.data import load_labelled_set
    from mixup_study.data.preparation import reading_values

    readings = {}
    for trial in (*GridPlan(study, 1).trials.values(), *(search.example.trial for search in study.searches)):
        dataset = trial.components.dataset
        if dataset is not None and "labels" in dataset.provides:
            values = reading_values(trial)
            values.pop("split_seed", None)  # one split is like another
            readings[
                ", ".join([dataset.name, *(f"{name} {value}" for name, value in values.items() if value is not None)])
            ] = trial
    for name, trial in readings.items():
        data = load_labelled_set(trial.dataset, study.data, torch.device("cpu"), **reading_values(trial))
        sizes = ", ".join(f"{count:,} {part}" for part, count in data.sizes.items())
        print(f"{name}: {sizes} examples of {'x'.join(map(str, data.shape))}, {data.classes} classes", flush=True)
        if options.check_data:
            check_inputs(name, data.with_loaders(os.cpu_count() or 1))
    return cli.DONE


def check_inputs(name: str, data: LabelledSet) -> None:
    """Read every input of a streamed data set once, and show how far that is. Raises InputError for a damaged one."""
    if not data.is_streamed:
        return
    import torch

    from mixup_study.data.progress import ProgressLines

    inputs = torch.cat([data.train_inputs_N, *(part.inputs_N for part in data.measured_parts.values())])
    lines, count = ProgressLines(), 0
    for images in data.read(inputs.split(data.evaluated_together)):
        count += len(images)
        lines.show(f"{name}: {count:,} of {len(inputs):,} images read")
    print(f"{name}: every image can be read", flush=True)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "fetch",
        "Download, check and convert the data sets of a study, so that its trials find them there: on the machine that"
        " has a network, for those that share its folder.",
        "fetch studies/cifar.yaml --data /shared/data",
    )
    cli.add_study(parser)
    cli.add_data(parser)
    parser.add_argument(
        "--check-data",
        action="store_true",
        help="decode every image of the data sets that are streamed, and name the first that is damaged",
    )
    return cli.resolve_data(parser.parse_args(arguments))


if __name__ == "__main__":
    cli.command(main)
