"""Tables: how they are split into training and test rows, and how their columns become numbers (section 3.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mixup_study.catalogue.data_sets import TEST_SHARE
from mixup_study.data.labelled import LabelledSet
from mixup_study.study.seeds import stream_seed

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TabularSet(LabelledSet):
    """Rows of a table as standardised float32, shape (N, features)."""

    @property
    def shape(self) -> tuple[int]:
        """Return (features,)."""
        return (self.train_inputs_N.shape[1],)

    def normalised(self, inputs_N: Tensor) -> Tensor:
        """Return ``inputs_N``: they are stored standardised."""
        return inputs_N


@dataclass(frozen=True)
class Rows:
    """A table as published, with what is missing in it."""

    numbers_NF: np.ndarray
    """float64; NaN where missing."""
    categories_NC: np.ndarray
    """Objects; None where missing."""
    labels_N: np.ndarray
    """int64 in [0, classes)."""

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return int(self.labels_N.max()) + 1

    @classmethod
    def of(cls, features: pd.DataFrame, labels_N: np.ndarray) -> Rows:
        """Return the rows of a frame whose columns are numbers or categories."""
        categories = features.select_dtypes("category")
        numbers = features.drop(columns=categories.columns)
        text = categories.astype(object)
        return cls(numbers.to_numpy(np.float64), text.where(text.notna(), None).to_numpy(object), labels_N)


@dataclass(frozen=True)
class Table:
    """A table that trials split by their seeds."""

    read: Callable[[Path], Rows]
    """Finds the table, given the data folder; InputError where it is not to be had."""

    def __call__(self, folder: Path, split_seed: int) -> TabularSet:
        """Return the table, split by ``split_seed``; a process reads it once.

        The split sets TEST_SHARE of the rows apart, stratified by class as far as every class allows it, and what
        is learnt about the columns (medians, means, scales) is learnt from the training rows alone.
        """
        rows = _read_once(self, folder)
        train_N, test_N = _split(rows.labels_N, split_seed)
        inputs_NF = _inputs(rows, train_N)
        labels_N = torch.from_numpy(rows.labels_N)
        return TabularSet(inputs_NF[train_N], labels_N[train_N], inputs_NF[test_N], labels_N[test_N], rows.classes)


@lru_cache(maxsize=4)
def _read_once(table: Table, folder: Path) -> Rows:
    return table.read(folder)


def _split(labels_N: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the training and the test rows; classes too rare to be split are stratified as if they were one."""
    from sklearn.model_selection import train_test_split

    counts = np.bincount(labels_N)
    rare = counts < 1 / TEST_SHARE
    if counts[rare].sum() < 1 / TEST_SHARE:
        rare[counts.argmax()] = True
    strata_N = np.where(rare[labels_N], -1, labels_N)
    train_N, test_N = train_test_split(
        np.arange(len(labels_N)),
        test_size=TEST_SHARE,
        stratify=strata_N,
        random_state=stream_seed(seed, "split") % 2**32,
    )
    return train_N, test_N


def _inputs(rows: Rows, train_N: np.ndarray) -> Tensor:
    """Return columns as networks take them, (N, …): numbers standardised, categories as one column each.

    A missing number becomes the median of its column, a missing category the commonest one.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    parts = []
    if rows.numbers_NF.shape[1]:
        missing = np.isnan(rows.numbers_NF).any()
        median = [SimpleImputer(strategy="median", keep_empty_features=True)] if missing else []  # it takes its time
        scaled = make_pipeline(*median, StandardScaler())
        parts.append(scaled.fit(rows.numbers_NF[train_N]).transform(rows.numbers_NF))
    if rows.categories_NC.shape[1]:
        known = [sorted({value for value in column if value is not None}) for column in rows.categories_NC.T]
        one_each = make_pipeline(
            SimpleImputer(strategy="most_frequent", missing_values=None, keep_empty_features=True),
            OneHotEncoder(categories=known, sparse_output=False, handle_unknown="ignore"),  # a column without any
        )
        parts.append(one_each.fit(rows.categories_NC[train_N]).transform(rows.categories_NC))
    return torch.from_numpy(np.hstack(parts).astype(np.float32))
