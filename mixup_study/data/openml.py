"""Tables of the UCI repository, from OpenML or from a file of the user's (section 3.6)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from mixup_study.catalogue import CATALOGUE, TableShape
from mixup_study.data.tables import Rows, Table
from mixup_study.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MISSING = ["?", "", "NA", "NaN", "nan"]
"""What stands for a missing value in a CSV file."""


def uci(name: str, shape: TableShape, openml_id: int, classes: int) -> Table:
    """Return a table: ``<name>.csv`` or ``<name>.arff`` of the data folder, else OpenML's ``openml_id``.

    In a file the label is the last column; a CSV file may have a line of names first. Neither the order of the
    rows nor whether a source calls a column of numbers categories makes a difference. Reading it raises
    InputError where there is neither file nor network, and where the table has not the shape or as many
    classes.
    """
    rows, features = shape.rows, shape.features

    def read(folder: Path) -> Rows:
        files = [folder / f"{name}.csv", folder / f"{name}.arff"]
        file = next((file for file in files if file.exists()), None)
        frame = _downloaded(name, openml_id, folder) if file is None else _read(file, rows)
        source = f"OpenML's data set {openml_id}" if file is None else str(file)
        if frame.shape != (rows, features + 1):
            raise InputError(
                f"{source}: {frame.shape[0]} rows of {frame.shape[1]} columns; expected {name}, {rows} rows of"
                f" {features} features and the label"
            )
        frame = _ordered(frame)
        labels = frame.pop(frame.columns[-1])
        if labels.isna().any():
            raise InputError(f"{source}: {labels.isna().sum()} rows lack a label in the last column; expected one each")
        if labels.nunique() != classes:
            raise InputError(
                f"{source}: {labels.nunique()} labels differ in the last column; expected {classes} classes"
            )
        if np.isinf(frame.select_dtypes("number")).any(axis=None):
            raise InputError(f"{source}: infinity among the numbers; expected finite ones, or ? for a missing one")
        return Rows.of(frame, np.unique(labels.astype(str), return_inverse=True)[1].astype(np.int64))

    return Table(read)


def _downloaded(name: str, openml_id: int, folder: Path) -> pd.DataFrame:
    from sklearn.datasets import fetch_openml

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{name}.lock"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of every failed attempt
            bunch = fetch_openml(data_id=openml_id, data_home=str(folder), as_frame=True, n_retries=1)
    except Exception as error:  # whatever its transport raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{name}: not in {folder} and not to be downloaded from OpenML ({reason}); put {name}.csv or {name}.arff"
            " there, the label in the last column, or name another folder with --data"
        ) from error
    frame: pd.DataFrame = bunch.data.copy()
    frame["label"] = bunch.target
    return frame


def _read(file: Path, rows: int) -> pd.DataFrame:
    """Return the table in a file."""
    import pandas as pd
    from scipy.io import arff

    try:
        if file.suffix == ".csv":
            frame: pd.DataFrame = pd.read_csv(file, header=None, keep_default_na=False, dtype=str)
            frame = frame.apply(lambda column: column.str.strip()).replace(dict.fromkeys(MISSING))
            names = len(frame) == rows + 1 and pd.to_numeric(frame.iloc[0], errors="coerce").isna().all()
            return frame.iloc[1:] if names else frame
        with file.open(encoding="utf-8") as stream:
            frame = pd.DataFrame(arff.loadarff(stream)[0])
    except StopIteration:
        raise InputError(f"{file}: cannot be read as a table: it ends before its data") from None
    except (OSError, ValueError, IndexError, NotImplementedError, arff.ArffError) as error:
        raise InputError(f"{file}: cannot be read as a table: {' '.join(str(error).split())}") from None
    text = frame.select_dtypes(object).columns
    frame[text] = frame[text].map(lambda value: None if value == b"?" else value.decode())
    return frame


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in their sorted order; a column is of numbers where it holds nothing else, else of categories."""
    import pandas as pd

    columns: dict[str, pd.Series] = {}
    for index, name in enumerate(frame):
        values = frame[name].astype(object).where(frame[name].notna(), None)
        numbers = pd.to_numeric(values, errors="coerce").astype(float)
        text = values.astype(str).where(values.notna())
        columns[str(index)] = numbers if numbers.notna().sum() == values.notna().sum() else text
    ordered: pd.DataFrame = pd.DataFrame(columns).sort_values(list(columns), kind="stable", ignore_index=True)
    for name in ordered.select_dtypes(exclude="number"):
        ordered[name] = ordered[name].astype("category")
    return ordered


def _listed(name: str, openml_id: int, classes: int) -> Table:
    """Return a table whose shape stands in the catalogue."""
    shape = CATALOGUE.data_sets[name].shape
    assert shape is not None
    return uci(name, shape, openml_id, classes)


load_abalone = _listed("abalone", openml_id=183, classes=28)
load_arcene = _listed("arcene", openml_id=1458, classes=2)
load_arrhythmia = _listed("arrhythmia", openml_id=5, classes=13)
load_htru2 = _listed("htru2", openml_id=45558, classes=2)
load_phishing = _listed("phishing", openml_id=4534, classes=2)
