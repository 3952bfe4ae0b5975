"""Images and tables of the user's own in a file of NumPy's: what they become, and what is refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixup_study.data.npz import load_images, load_table
from mixup_study.errors import InputError

Arrays = dict[str, np.ndarray]


def images(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def labels(count: int, classes: int = 3) -> np.ndarray:
    return np.arange(count) % classes


SPLIT: Arrays = {
    "x_train": images(30, 8, 16, 3),
    "y_train": labels(30),
    "x_test": images(9, 8, 16, 3, seed=1),
    "y_test": labels(9),
}
ROWS: Arrays = {
    "x_train": np.random.default_rng(0).normal(3, 2, (30, 4)),
    "y_train": labels(30),
    "x_test": np.random.default_rng(1).normal(3, 2, (9, 4)),
    "y_test": labels(9),
}


def test_images_are_normalised_by_the_training_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **SPLIT)
    data = load_images(tmp_path, "own.npz", None, flip=True)
    assert (data.shape, data.classes, data.pad, data.flip) == ((3, 8, 16), 3, 1, True)
    train = data.normalised(data.train_inputs_N)
    torch.testing.assert_close(train.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)
    assert data.test_inputs_N.numpy().tolist() == SPLIT["x_test"].tolist()
    assert data.test_labels_N.tolist() == SPLIT["y_test"].tolist()


def test_grey_images_and_labels_in_a_column_are_taken(tmp_path: Path) -> None:
    arrays = {**SPLIT, "x_train": images(30, 8, 8), "x_test": images(9, 8, 8), "y_train": labels(30)[:, None]}
    np.savez(tmp_path / "own.npz", **arrays)
    data = load_images(tmp_path, "own.npz", None, flip=False)
    assert (data.shape, data.train_labels_N.tolist()) == ((1, 8, 8), labels(30).tolist())


def test_a_test_part_is_always_the_same_of_each_class_alike(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=images(30, 8, 8), y=labels(30))
    first, again = (load_images(tmp_path, "own.npz", 0.2, flip=False) for _ in range(2))
    assert first.test_labels_N.bincount().tolist() == [2, 2, 2]
    assert len(first.train_labels_N) == 24
    assert torch.equal(first.test_inputs_N, again.test_inputs_N)
    every = torch.cat([first.train_inputs_N, first.test_inputs_N])
    assert sorted(every.flatten(1).tolist()) == sorted(images(30, 8, 8).reshape(30, -1).tolist())


def test_rows_are_standardised_by_the_training_rows(tmp_path: Path) -> None:
    arrays = {**ROWS, "x_train": np.hstack([ROWS["x_train"], np.ones((30, 1))])}
    arrays["x_test"] = np.hstack([ROWS["x_test"], np.ones((9, 1))])
    np.savez(tmp_path / "own.npz", **arrays)
    data = load_table(tmp_path, "own.npz", None)
    assert (data.shape, data.classes, data.train_inputs_N.dtype) == ((5,), 3, torch.float32)
    expected = (ROWS["x_test"] - ROWS["x_train"].mean(0)) / ROWS["x_train"].std(0)
    np.testing.assert_allclose(data.test_inputs_N[:, :4], expected, rtol=1e-5)
    assert data.train_inputs_N[:, 4].abs().max() == 0  # a column that is the same everywhere


def without(arrays: Arrays, name: str) -> Arrays:
    return {key: value for key, value in arrays.items() if key != name}


IMAGES_REFUSED: dict[str, tuple[Arrays, str]] = {
    "missing": (without(SPLIT, "y_test"), "no y_test; it holds x_train, y_train, x_test; expected x_train, y_train"),
    "whole": ({"x": images(9, 8, 8), "y": labels(9)}, "or test_share: 0.2 beside file"),
    "float": (SPLIT | {"x_train": SPLIT["x_train"] / 255}, "x_train is float64; expected uint8 pixels in [0, 255]"),
    "rows": (ROWS, "x_train has the shape (30, 4); expected images, (N, H, W) or (N, H, W, C); dataset: npz_table"),
    "sizes": (SPLIT | {"x_test": images(9, 8, 8, 3)}, "x_test (9, 8, 8, 3); expected examples of one shape"),
    "count": (SPLIT | {"y_train": labels(29)}, "x_train has the shape (30, 8, 16, 3), y_train (29,); expected as many"),
    "one-hot": (SPLIT | {"y_train": np.eye(3, dtype=int)[labels(30)]}, "y_train has the shape (30, 3); expected a lab"),
    "text": (SPLIT | {"y_train": labels(30).astype(str)}, "y_train is <U21; expected whole numbers"),
    "negative": (SPLIT | {"y_train": labels(30) - 1}, "y_train has label -1; expected whole numbers from 0"),
    "gap": (SPLIT | {"y_train": labels(30) * 2}, "y_train has labels up to 4 but none of class 1; expected examples"),
    "huge": (SPLIT | {"y_train": labels(30) * 10**15}, "labels up to 2000000000000000 but none of class 1"),
    "one class": (SPLIT | {"y_train": labels(30) * 0}, "y_train has one class; expected two or more"),
    "new in test": (SPLIT | {"y_test": labels(9, 4)}, "y_test has label 3; expected those of y_train, 0 to 2"),
    "none": (SPLIT | {"x_test": images(0, 8, 16, 3), "y_test": labels(0)}, "expected as many, at least one"),
    "objects": (SPLIT | {"y_test": np.array([{}] * 9)}, "cannot be read: Object arrays cannot be loaded"),
}


def refused(path: Path, table: bool = False, test_share: float | None = None) -> str:
    load = load_table if table else partial(load_images, flip=False)
    with pytest.raises(InputError) as caught:
        load(path.parent, file=path.name, test_share=test_share)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.mark.parametrize("case", IMAGES_REFUSED)
def test_images_of_another_kind_are_refused_in_one_line(case: str, tmp_path: Path) -> None:
    arrays, problem = IMAGES_REFUSED[case]
    np.savez(tmp_path / "own.npz", **arrays)
    assert problem in refused(tmp_path / "own.npz")


def test_rows_of_another_kind_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "own.npz"
    broken: Any = ROWS["x_train"].copy()
    broken[[4, 7], 1] = np.nan
    for arrays, problem in (
        (ROWS | {"x_train": broken}, "x_train has 2 rows with NaN or infinity, the first of them row 4"),
        (SPLIT, "expected rows of numbers, (N, F); dataset: npz takes images"),
        (ROWS | {"x_train": ROWS["x_train"].astype(str)}, "x_train is <U"),
    ):
        np.savez(file, **arrays)
        assert problem in refused(file, table=True)
    assert "it has a test set, so expected no test_share" in refused(file, table=True, test_share=0.2)
    np.savez(file, x=images(3, 8, 8), y=labels(3))
    assert "test_share 0.1: 0 of 3 training examples; expected one at least, not all" in refused(file, test_share=0.1)


def test_what_is_no_such_file_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "own.npz"
    assert "no such file; put it there" in refused(file)
    for content in (b"", b"PK", b"nonsense"):
        file.write_bytes(content)
        assert "cannot be read: " in refused(file)
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))
    assert "it holds a single array; expected several by name" in refused(file)
