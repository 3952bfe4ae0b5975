"""Bring the data sets of a study to this machine, before it runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mixup_study import cli
from mixup_study.study.plan import GridPlan
from mixup_study.study.profile import choose_profile


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
            readings[", ".join([dataset.name, *(f"{name} {value}" for name, value in values.items())])] = trial
    for name, trial in readings.items():
        data = load_labelled_set(trial.dataset, options.data, torch.device("cpu"), **reading_values(trial))
        sizes = ", ".join(f"{count:,} {part}" for part, count in data.sizes.items())
        print(f"{name}: {sizes} examples of {'x'.join(map(str, data.shape))}, {data.classes} classes", flush=True)
    return cli.DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "fetch",
        "Download, check and convert the data sets of a study, so that its trials find them there: on the machine that"
        " has a network, for those that share its folder.",
    )
    cli.add_study(parser)
    cli.add_data(parser)
    return cli.resolve_data(parser.parse_args(arguments))


if __name__ == "__main__":
    cli.command(main)
