from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets

from mixup_study.catalogue import CATALOGUE
from mixup_study.data import load_labelled_set
from mixup_study.data.tables import Rows, Table, TabularSet

NOWHERE = Path("/dev/null")
EMBEDDED: dict[str, tuple[int, int, int]] = {
    "iris": (120, 30, 3),
    "wine": (142, 36, 3),
    "breast_cancer": (455, 114, 2),
    "optdigits": (1437, 360, 10),
    "two_moons": (800, 200, 2),
    "circles": (800, 200, 2),
}
"""Training rows, test rows and classes of what needs no file."""


def rows_of(numbers: Any = None, categories: Any = None, labels: Any = None) -> Rows:
    """Return rows of these columns; in each the number of the row and two classes where none are given."""
    count = next(len(given) for given in (labels, numbers, categories) if given is not None)
    return Rows(
        np.empty((count, 0)) if numbers is None else np.array(numbers, np.float64).reshape(count, -1),
        np.array([] if categories is None else categories, object).reshape(count, -1),
        np.arange(count) % 2 if labels is None else np.array(labels, np.int64),
    )


def split(rows: Rows, seed: int = 0) -> TabularSet:
    return Table(lambda folder: rows)(NOWHERE, seed)


def numbered(count: int, labels: Any = None) -> Rows:
    """Return rows whose one column tells which row of the table they are."""
    return rows_of(np.arange(count), labels=labels)


def which(found: TabularSet) -> tuple[list[int], list[int]]:
    """Return which rows of a ``numbered`` table are for training and for testing, in the order they stand there."""
    inputs = torch.cat([found.train_inputs_N, found.test_inputs_N]).flatten()
    ranks = inputs.argsort().argsort().tolist()
    return ranks[: len(found.train_labels_N)], ranks[len(found.train_labels_N) :]


def table(name: str) -> Table:
    loaded: Table = CATALOGUE.data_sets[name].load()
    return loaded


# What there is.


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_table_without_a_file_has_its_rows_columns_and_classes(name: str) -> None:
    found = table(name)(NOWHERE, 0)
    assert (len(found.train_inputs_N), len(found.test_inputs_N), found.classes) == EMBEDDED[name]
    assert CATALOGUE.data_sets[name].shape.rows == len(found.train_labels_N) + len(found.test_labels_N)
    assert found.shape == (CATALOGUE.data_sets[name].shape.features,) == found.test_inputs_N.shape[1:]
    assert found.train_inputs_N.dtype == found.test_inputs_N.dtype == torch.float32
    assert found.train_labels_N.dtype == torch.int64
    assert set(found.train_labels_N.tolist()) == set(found.test_labels_N.tolist()) == set(range(found.classes))


@pytest.mark.parametrize(
    ("name", "reader"),
    [("iris", datasets.load_iris), ("wine", datasets.load_wine), ("breast_cancer", datasets.load_breast_cancer)],
)
def test_the_rows_are_those_of_scikit_learn(name: str, reader: Callable[..., Any]) -> None:
    inputs, labels = reader(return_X_y=True)
    found = table(name).read(NOWHERE)
    assert np.array_equal(found.numbers_NF, inputs)
    assert np.array_equal(found.labels_N, labels)


@pytest.mark.parametrize("name", ["two_moons", "circles"])
def test_points_in_the_plane_are_the_same_always_half_of_either_class(name: str) -> None:
    first, again = (table(name).read(NOWHERE) for _ in range(2))
    assert np.array_equal(first.numbers_NF, again.numbers_NF)
    assert np.bincount(first.labels_N).tolist() == [500, 500]


# The split.


@pytest.mark.parametrize("count", [10, 11, 150, 1000])
def test_every_row_is_for_training_or_for_testing(count: int) -> None:
    train, test = which(split(numbered(count)))
    assert sorted(train + test) == list(range(count))
    assert len(test) == -(-count // 5)


def test_a_row_keeps_its_label() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 100)
    found = split(numbered(100, labels))
    train, test = which(found)
    assert found.train_labels_N.tolist() == labels[train].tolist()
    assert found.test_labels_N.tolist() == labels[test].tolist()


def test_the_seed_decides_the_split() -> None:
    rows = numbered(100)
    assert which(split(rows, seed=1)) == which(split(rows, seed=1))
    assert set(which(split(rows, seed=1))[1]) != set(which(split(rows, seed=2))[1])
    assert len({frozenset(which(split(rows, seed=seed))[1]) for seed in (0, 2**32, 2**63 - 1)}) == 3


@pytest.mark.parametrize("name", ["iris", "two_moons"])
def test_a_data_set_is_split_by_the_seed_it_is_loaded_with(name: str) -> None:
    load = partial(load_labelled_set, name, NOWHERE, torch.device("cpu"))
    assert torch.equal(load(split_seed=5).test_inputs_N, table(name)(NOWHERE, 5).test_inputs_N)
    assert not torch.equal(load(split_seed=5).test_inputs_N, load(split_seed=6).test_inputs_N)


@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_of_every_class_is_for_testing(seed: int) -> None:
    found = split(numbered(200, np.repeat([0, 1, 2], [100, 80, 20])), seed)
    assert torch.bincount(found.test_labels_N).tolist() == [20, 16, 4]


@pytest.mark.parametrize(
    "counts",
    [[10, 1], [4, 4, 4], [1] * 6, [6, 1, 1], [100, 4], [2, 2], [8, 1, 1, 1, 1], [5, 5, 5], [11, 6, 7]],
    ids=str,
)
def test_classes_too_rare_to_be_split_hinder_nothing(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    for seed in range(5):
        found = split(numbered(len(labels), labels), seed)
        both = torch.cat([found.train_labels_N, found.test_labels_N])
        assert torch.bincount(both).tolist() == counts
        assert found.classes == len(counts)


# Columns.


@pytest.mark.parametrize("name", EMBEDDED)
def test_training_columns_have_mean_0_and_deviation_1(name: str) -> None:
    found = table(name)(NOWHERE, 3).train_inputs_N.double()
    constant = (found == found[0]).all(dim=0)
    assert found.mean(dim=0).abs().max().item() < 1e-5
    assert torch.allclose(found.std(dim=0, correction=0)[~constant], torch.ones((), dtype=torch.double), atol=1e-5)
    assert not found[:, constant].any()


def test_test_rows_are_scaled_as_training_rows_are() -> None:
    numbers = np.random.default_rng(0).normal(5, 3, 50)
    found = split(rows_of(numbers))
    both = torch.cat([found.train_inputs_N, found.test_inputs_N]).flatten().double()
    assert np.diff(both.sort().values).tolist() == pytest.approx(
        (np.diff(np.sort(numbers)) * (both.max() - both.min()).item() / np.ptp(numbers)).tolist(), abs=1e-5
    )


@pytest.mark.parametrize("value", [1e9, np.nan])
def test_nothing_is_learnt_from_test_rows(value: float) -> None:
    numbers = np.random.default_rng(0).normal(size=(50, 2))
    numbers[::7, 1] = np.nan
    categories = np.array([[("a", "b", None)[row % 3]] for row in range(50)], object)
    _, test = which(split(numbered(50)))
    before = split(rows_of(numbers, categories)).train_inputs_N
    numbers[test], categories[test] = value, "b"
    after = split(rows_of(numbers, categories))
    assert torch.equal(before, after.train_inputs_N)
    assert after.test_inputs_N.isfinite().all()


def test_a_missing_number_becomes_the_median_of_the_training_rows() -> None:
    numbers = np.arange(50.0) ** 2
    train, test = which(split(numbered(50)))
    missing = [train[0], test[0]]
    numbers[missing] = np.nan
    found = split(rows_of(numbers))
    filled = numbers[train]
    filled[0] = np.nanmedian(filled)
    expected = (filled - filled.mean()) / filled.std()
    assert found.train_inputs_N.flatten().tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert found.test_inputs_N[0].item() == found.train_inputs_N[0].item()


def test_a_missing_category_becomes_the_commonest_of_the_training_rows() -> None:
    train, test = which(split(numbered(50)))
    categories = np.array([["rare"]] * 50, object)
    categories[train[:25]] = "common"
    categories[[train[0], test[0]]] = None
    found = split(rows_of(categories=categories))
    assert found.shape == (2,)
    assert found.train_inputs_N[0].tolist() == found.test_inputs_N[0].tolist() == [1, 0]


def test_a_category_is_a_column_of_zeros_and_ones_whether_or_not_training_rows_have_it() -> None:
    train, test = which(split(numbered(50)))
    categories = np.array([["x", "y"][row % 2] for row in range(50)], object)
    categories[test[3]] = "z"
    found = split(rows_of(np.arange(50), categories))
    assert found.shape == (4,)
    assert found.train_inputs_N[:, 1:].tolist() == [[row % 2 == 0, row % 2 == 1, 0] for row in train]
    assert found.test_inputs_N[3, 1:].tolist() == [0, 0, 1]


def test_a_column_that_never_varies_tells_nothing() -> None:
    found = split(rows_of([[7.0, np.nan, row] for row in range(50)]))
    assert found.shape == (3,)
    assert not found.train_inputs_N[:, :2].any()
    assert not found.test_inputs_N[:, :2].any()


def test_a_column_that_only_test_rows_fill_leaves_no_gap() -> None:
    _, test = which(split(numbered(50)))
    numbers, categories = np.full(50, np.nan), np.full((50, 1), None)
    numbers[test[0]], categories[test[0]] = 5, "x"
    found = split(rows_of(numbers, categories))
    assert not found.train_inputs_N.any()
    assert found.test_inputs_N.isfinite().all()
    assert found.test_inputs_N[:2, 1].tolist() == [1, 0]


def test_rows_are_neither_normalised_again_nor_augmented() -> None:
    iris = table("iris")(NOWHERE, 0)
    assert iris.normalised(iris.test_inputs_N) is iris.test_inputs_N
    for enabled in (True, False):
        assert torch.equal(iris.augmented(enabled).epoch(0, 1)[torch.tensor([3, 1])], iris.train_inputs_N[[3, 1]])
