"""How the training set of a trial is made of a data set's: a part of it, label noise, a validation part held out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mixup_study.data.label_noise import corrupt
from mixup_study.data.labelled import LabelledSet, Part
from mixup_study.study.data_files import FILE_DIGEST
from mixup_study.study.seeds import stream_seed
from mixup_study.study.trial import Trial


def prepare(data: LabelledSet, trial: Trial) -> tuple[LabelledSet, Tensor]:
    """Return a data set as a trial trains on it, and the mask (N,) of the training labels that are replaced.

    First ``train_size`` examples are drawn, then their labels are corrupted, then the validation part is held out of
    them, with the labels that they have by then. Raises ValueError for a ``train_size`` or a ``validation`` that does
    not fit the data set.
    """
    data = data.subset(trial.train_size, trial.data_seed)
    labels_N, replaced_N = corrupt(data.train_labels_N, data.classes, trial.label_noise, trial.data_seed)
    data = replace(data, train_labels_N=labels_N)
    if not trial.validation:
        return data, replaced_N
    seed = reading_values(trial).get("split_seed", trial.data_seed)
    held_N = draw_held_out(labels_N, trial.validation, seed)
    data = replace(
        data,
        train_inputs_N=data.train_inputs_N[~held_N],
        train_labels_N=labels_N[~held_N],
        validation=Part(data.train_inputs_N[held_N], labels_N[held_N]),
    )
    return data, replaced_N[~held_N]


def reading_values(trial: Trial) -> dict[str, Any]:
    """Return the values by which a trial's data set is read, by the names of its fields, its files' digest included."""
    dataset = trial.components.dataset
    assert dataset is not None
    values = {name: getattr(trial, name) for name in dataset.reading_fields}
    if dataset.content:
        values[FILE_DIGEST] = trial.file_digest
    if dataset.is_split and values["split_seed"] is None:
        values["split_seed"] = trial.seed
    return values


def draw_held_out(labels_N: Tensor, share: float, seed: int, name: str = "validation") -> Tensor:
    """Return the mask (N,) of ``share`` of the examples, rounded, of each class alike as far as whole numbers go.

    ``name`` is that of the field that says the share.

    Raises ValueError where that is none of them, or all.
    """
    examples = len(labels_N)
    count = round(share * examples)
    if not 0 < count < examples:
        raise ValueError(f"{name} {share:g}: {count} of {examples} training examples; expected one at least, not all")
    generator = torch.Generator().manual_seed(stream_seed(seed, name))
    shuffled_N = torch.randperm(examples, generator=generator)
    offset = torch.randint(examples, (), generator=generator)
    by_class_N = shuffled_N[labels_N.cpu()[shuffled_N].argsort(stable=True)]
    places_N = (torch.arange(examples + 1) * count + offset) // examples  # rises by one at equal distances
    held_N = torch.zeros(examples, dtype=torch.bool)
    held_N[by_class_N] = places_N.diff() == 1
    return held_N.to(labels_N.device)
