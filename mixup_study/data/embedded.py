"""Tables that come with scikit-learn, and points in the plane that it draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mixup_study.catalogue import CATALOGUE
from mixup_study.data.tables import Rows, Table

SPREAD = 0.15
"""Standard deviation of the noise that is added to each coordinate of a point in the plane."""


def _embedded(loader: str) -> Table:
    """Return the table of ``sklearn.datasets.load_<loader>``."""

    def read(folder: Path) -> Rows:
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{loader}")(as_frame=True)
        return Rows.of(bunch.data, np.array(bunch.target, np.int64))

    return Table(read)


def _in_the_plane(name: str, maker: str, **options: float) -> Table:
    """Return points in the plane, half of either class, always the same, of ``sklearn.datasets.make_<maker>``."""

    def read(folder: Path) -> Rows:
        from sklearn import datasets

        shape = CATALOGUE.data_sets[name].shape
        assert shape is not None
        points_N2, labels_N = getattr(datasets, f"make_{maker}")(shape.rows, noise=SPREAD, random_state=0, **options)
        return Rows(points_N2, np.empty((shape.rows, 0), object), labels_N.astype(np.int64))

    return Table(read)


load_iris = _embedded("iris")
load_wine = _embedded("wine")
load_breast_cancer = _embedded("breast_cancer")
load_optdigits = _embedded("digits")
load_two_moons = _in_the_plane("two_moons", "moons")
load_circles = _in_the_plane("circles", "circles", factor=0.5)
