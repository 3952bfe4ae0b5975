from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mixup_study.catalogue import TableShape
from mixup_study.data import load_labelled_set
from mixup_study.data.openml import load_abalone, uci
from mixup_study.data.tables import Rows
from mixup_study.errors import InputError

CSV = """\
1.5,a,x
2,b,y
?,a,x
4,?,y
5,b,y
6,a,x
"""
ARFF = """\
% A comment.
@relation small
@attribute length numeric
@attribute kind {a, b}
@attribute label {x, y}
@data
"""


def read(folder: Path, content: str | bytes, name: str = "small.csv") -> Rows:
    """Return what is read of a file in ``folder``: a table of six rows, two features and a label."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return uci("small", TableShape(6, 2), openml_id=0, classes=2).read(folder)


def shown(rows: Rows) -> list[tuple[object, ...]]:
    """Return the rows with their labels, None for what is missing."""
    numbers = [[None if math.isnan(number) else number for number in row] for row in rows.numbers_NF.tolist()]
    columns = zip(numbers, rows.categories_NC.tolist(), rows.labels_N.tolist(), strict=True)
    return [(*first, *rest, label) for first, rest, label in columns]


SHOWN = [(1.5, "a", 0), (2, "b", 1), (4, None, 1), (5, "b", 1), (6, "a", 0), (None, "a", 0)]


# What a file may look like.


@pytest.mark.parametrize("missing", ["?", "", "NA", "nan"])
def test_a_csv_file_has_numbers_categories_and_gaps(missing: str, tmp_path: Path) -> None:
    assert shown(read(tmp_path, CSV.replace("?", missing))) == SHOWN


def test_an_arff_file_has_numbers_categories_and_gaps(tmp_path: Path) -> None:
    assert shown(read(tmp_path, ARFF + CSV, "small.arff")) == SHOWN


@pytest.mark.parametrize(
    "content",
    [
        "length,kind,label\n" + CSV,
        "\ufeff" + CSV,
        CSV.replace("\n", "\r\n"),
        CSV.replace(",", " , ").replace("\n", " \n"),
        CSV.rstrip("\n"),
        "\n".join(reversed(CSV.splitlines())),
        CSV.replace("a", '"a"').replace("2,", "2.00,"),
    ],
    ids=["names", "byte order mark", "CRLF", "spaces", "no last newline", "another order", "quotes and zeros"],
)
def test_how_a_csv_file_is_written_makes_no_difference(content: str, tmp_path: Path) -> None:
    assert shown(read(tmp_path, content)) == SHOWN


def test_numbers_that_a_file_calls_categories_are_numbers(tmp_path: Path) -> None:
    content = CSV.replace("a", "-1").replace("b", "1")
    nominal = ARFF.replace("{a, b}", "{-1, 1}").replace("length numeric", "length {1.5, 2, 4, 5, 6}")
    as_csv, as_arff = read(tmp_path / "csv", content), read(tmp_path / "arff", nominal + content, "small.arff")
    assert as_csv.categories_NC.shape == as_arff.categories_NC.shape == (6, 0)
    assert shown(as_csv) == shown(as_arff)
    assert shown(as_csv)[0] == (1.5, -1, 0)


@pytest.mark.parametrize("labels", ["1,10", "-1,1", "1.0,2", "no,yes"])
def test_labels_are_numbered_from_zero(labels: str, tmp_path: Path) -> None:
    first, second = labels.split(",")
    content = CSV.replace("x", first).replace("y", second)
    arff = ARFF.replace("x, y", labels) + content
    as_csv, as_arff = read(tmp_path / "csv", content), read(tmp_path / "arff", arff, "small.arff")
    assert [row[-1] for row in shown(as_csv)] == [row[-1] for row in SHOWN]
    assert as_csv.labels_N.tolist() == as_arff.labels_N.tolist()


def test_a_csv_file_is_read_before_an_arff_file(tmp_path: Path) -> None:
    (tmp_path / "small.arff").write_text("nothing")
    assert shown(read(tmp_path, CSV)) == SHOWN


def test_a_data_set_of_the_paper_is_read_from_its_file_and_split(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(100, 10, (17_898, 8))
    pulsars = numbers[:, 0] > 110
    np.savetxt(tmp_path / "htru2.csv", np.column_stack([numbers, pulsars]), "%.8g", ",")
    found = load_labelled_set("htru2", tmp_path, torch.device("cpu"), split_seed=3)
    assert found.shape == (8,)
    assert len(found.train_labels_N) + len(found.test_labels_N) == 17_898
    assert found.train_labels_N.double().mean().item() == pytest.approx(pulsars.mean(), abs=1e-3)
    assert found.train_inputs_N.mean(dim=0).abs().max().item() < 1e-4


# What is refused.


def refused(folder: Path, content: str | bytes, name: str = "small.csv") -> str:
    """Return the one line that says why a file is not the table; it names the file first."""
    with pytest.raises(InputError) as caught:
        read(folder, content, name)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{folder / name}: ")
    return message.removeprefix(f"{folder / name}: ")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (CSV.replace(",x", "").replace(",y", ""), "6 rows of 2 columns"),
        (CSV.replace(",", ";"), "6 rows of 1 columns"),
        (CSV + CSV, "12 rows of 3 columns"),
        (CSV + "7,a,x\n", "7 rows of 3 columns"),
        ("1,a,x\n", "1 rows of 3 columns"),
    ],
    ids=["no label", "semicolons", "twice", "one row too many", "one row"],
)
def test_a_table_of_another_shape_is_refused(content: str, found: str, tmp_path: Path) -> None:
    assert refused(tmp_path, content) == f"{found}; expected small, 6 rows of 2 features and the label"


@pytest.mark.parametrize(
    "content",
    ["", "\n\n", "1,a,x\n2,b,y,z\n", '1,"a,x\n', "1,é,x\n".encode("latin-1")],
    ids=["empty", "blank", "ragged", "open quote", "Latin-1"],
)
def test_what_is_no_csv_file_is_refused(content: str | bytes, tmp_path: Path) -> None:
    reason = refused(tmp_path, content).removeprefix("cannot be read as a table: ")
    assert len(reason) > 10


@pytest.mark.parametrize(
    "content",
    [
        "",
        CSV,
        ARFF.replace("@data\n", ""),
        ARFF + "1,a\n",
        ARFF + "1,c,x\n",
        ARFF + "one,a,x\n",
        ARFF + "{0 1, 1 a, 2 x}\n",
        ARFF.replace("numeric", "of some kind") + CSV,
        ARFF.replace("{a, b}", "string") + CSV,
        ARFF.replace("kind", "length") + CSV,
        ARFF.encode() + b"1,\xe9,x\n",
    ],
    ids=[
        *("empty", "no header", "no data", "ragged", "unknown category", "no number", "sparse", "unknown type"),
        *("strings", "one name twice", "Latin-1"),
    ],
)
def test_what_is_no_arff_file_is_refused(content: str | bytes, tmp_path: Path) -> None:
    reason = refused(tmp_path, content, "small.arff").removeprefix("cannot be read as a table: ")
    assert len(reason) > 10


@pytest.mark.parametrize("name", ["small.csv", "small.arff"])
def test_rows_without_a_label_are_counted(name: str, tmp_path: Path) -> None:
    content = CSV.replace("2,b,y", "2,b,?").replace("6,a,x", "6,a,?")
    head = ARFF if name == "small.arff" else ""
    assert refused(tmp_path, head + content, name) == "2 rows lack a label in the last column; expected one each"


@pytest.mark.parametrize(("old", "new", "found"), [("y", "x", 1), ("5,b,y", "5,b,z", 3)])
def test_a_table_of_fewer_or_more_classes_is_refused(old: str, new: str, found: int, tmp_path: Path) -> None:
    expected = f"{found} labels differ in the last column; expected 2 classes"
    assert refused(tmp_path, CSV.replace(old, new)) == expected


@pytest.mark.parametrize("number", ["inf", "-inf", "1e999"])
def test_an_infinite_number_is_refused(number: str, tmp_path: Path) -> None:
    assert refused(tmp_path, CSV.replace("1.5", number)).startswith("infinity among the numbers; expected finite ones")


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "small.csv").mkdir()
    with pytest.raises(InputError, match=r"small\.csv: cannot be read as a table: .*directory"):
        uci("small", TableShape(6, 2), openml_id=0, classes=2).read(tmp_path)


# What is not there.


def test_without_file_and_network_both_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    with pytest.raises(InputError) as caught:
        load_labelled_set("arcene", tmp_path / "new", torch.device("cpu"), split_seed=0)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"arcene: not in {tmp_path / 'new'} and not to be downloaded from OpenML (")
    assert "put arcene.csv or arcene.arff there, the label in the last column" in message
    assert "--data" in message


def test_a_data_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match=f"^abalone: not in {file} .*exists") as caught:
        load_abalone.read(file)
    assert "\n" not in str(caught.value)
