from __future__ import annotations

import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from sklearn.model_selection import train_test_split
from torchvision import datasets as torchvision_datasets

from mixup_study.data import load_labelled_set
from mixup_study.data.digits import load_digits
from mixup_study.data.downloaded import load_cifar10, load_fashion_mnist
from mixup_study.errors import InputError

CPU = torch.device("cpu")


def test_digits_are_split_once_and_for_all(tmp_path: Path) -> None:
    digits = load_digits(tmp_path)
    assert digits.train_inputs_N.shape == (1437, 8, 8, 1)
    assert digits.test_inputs_N.shape == (360, 8, 8, 1)
    assert digits.train_inputs_N.dtype == torch.uint8
    assert digits.train_inputs_N.max().item() == 255
    assert torch.equal(digits.test_labels_N, load_digits(tmp_path).test_labels_N)
    shares = torch.bincount(digits.test_labels_N).double() / 360
    assert (shares - torch.bincount(digits.train_labels_N).double() / 1437).abs().max() < 0.01
    normal = digits.normalised(digits.train_inputs_N)
    assert normal.mean().item() == pytest.approx(0, abs=1e-4)
    assert normal.std().item() == pytest.approx(1, abs=1e-4)


def test_digits_are_scikit_learns(tmp_path: Path) -> None:
    pixels, labels = sklearn.datasets.load_digits(return_X_y=True)  # 0 to 16
    images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    train, test = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
    digits = load_digits(tmp_path)
    for rows, inputs, own in (
        (train, digits.train_inputs_N, digits.train_labels_N),
        (test, digits.test_inputs_N, digits.test_labels_N),
    ):
        assert np.array_equal(inputs.numpy(), images[rows])
        assert np.array_equal(own.numpy(), labels[rows])


def test_a_process_reads_a_data_set_once(tmp_path: Path) -> None:
    assert load_labelled_set("digits", tmp_path, CPU) is load_labelled_set("digits", tmp_path, CPU)


def test_a_subset_is_drawn_by_its_seed(tmp_path: Path) -> None:
    digits = load_labelled_set("digits", tmp_path, CPU)
    first = digits.subset(100, seed=0)
    assert len(first.train_labels_N) == len(first.train_inputs_N) == 100
    assert torch.equal(first.train_labels_N, digits.subset(100, seed=0).train_labels_N)
    assert not torch.equal(first.train_inputs_N, digits.subset(100, seed=1).train_inputs_N)
    assert digits.subset(None, seed=0) is digits
    with pytest.raises(ValueError, match="1437 training examples"):
        digits.subset(1438, seed=0)


def test_fashion_mnist_is_read_from_its_files(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)
    labels = np.arange(7, dtype=np.uint8)
    for part, count in (("train", 7), ("t10k", 3)):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 0x803, count, 28, 28) + pixels[:count].tobytes()
        )
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels[:count].tobytes())
    found = load_fashion_mnist(tmp_path)
    assert found.train_inputs_N.shape == (7, 28, 28, 1)
    assert found.train_inputs_N[4, 5, 6, 0].item() == pixels[4, 5, 6]
    assert found.test_labels_N.tolist() == [0, 1, 2]
    assert found.shape == (1, 28, 28)


def test_cifar10_is_read_from_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3 * 32 * 32), dtype=np.uint8)

    def batch(name: str, content: dict[str, object]) -> list[str]:
        packed = pickle.dumps(content)
        (folder / name).write_bytes(packed)
        return [name, hashlib.md5(packed).hexdigest()]

    train = batch("data_batch_1", {"data": pixels, "labels": [3, 1, 4, 1]})
    test = batch("test_batch", {"data": pixels[:2], "labels": [5, 9]})
    meta = batch("batches.meta", {"label_names": [str(label) for label in range(10)]})
    cifar10 = torchvision_datasets.CIFAR10
    monkeypatch.setattr(cifar10, "train_list", [train])
    monkeypatch.setattr(cifar10, "test_list", [test])
    monkeypatch.setattr(cifar10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
    found = load_cifar10(tmp_path)
    assert found.train_inputs_N.shape == (4, 32, 32, 3)
    assert found.train_labels_N.tolist() == [3, 1, 4, 1]
    assert found.train_inputs_N[2, 1, 5, 2].item() == pixels[2].reshape(3, 32, 32)[2, 1, 5]
    assert found.test_labels_N.tolist() == [5, 9]


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion_mnist"])
def test_a_data_set_that_cannot_be_had_names_its_folder_and_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    with pytest.raises(InputError) as caught:
        load_labelled_set(name, tmp_path, CPU)
    message = str(caught.value)
    assert message.startswith(f"{name}: not in {tmp_path}")
    assert "\n" not in message
    assert "put " in message
    assert "--data" in message
