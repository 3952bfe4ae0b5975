from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from mixup_study.data import digits
from mixup_study.errors import InputError
from mixup_study.vicinity import Examples, neighbours
from mixup_study.vicinity.neighbours import nearest, neighbours_of


def images(count: int, high: int = 256, channels: int = 3, size: int = 5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(high, (count, size, size, channels), generator=generator, dtype=torch.uint8)


def examples(folder: Path, count: int = 60, classes: int = 3) -> Examples:
    return Examples(images(count), torch.arange(count) % classes, (0.2, 0.3, 0.4), folder)


def by_definition(images_NHWC: Tensor, scale_C: tuple[float, ...], k: int) -> list[list[int]]:
    """Distances in whole numbers; ties to the lower row."""
    pixels = images_NHWC.long()
    found = []
    for row in range(len(pixels)):
        squared = ((pixels - pixels[row]) ** 2).sum((1, 2)).double()
        distance = sum(scale * scale * squared[:, channel] for channel, scale in enumerate(scale_C))
        order = sorted(range(len(pixels)), key=lambda other: (float(distance[other]), other))
        found.append(sorted([other for other in order if other != row][:k]))
    return found


@given(
    count=st.integers(2, 40),
    high=st.sampled_from([2, 17, 256]),
    k=st.integers(1, 39),
    rows=st.integers(1, 50),
    channels=st.sampled_from([1, 3]),
)
def test_they_are_the_k_nearest_others_whatever_the_chunks(
    count: int, high: int, k: int, rows: int, channels: int
) -> None:
    k = min(k, count - 1)
    pictures = images(count, high, channels)
    scale = (1.0, 0.5, 2.0)[:channels]
    before = neighbours.CHUNK_BYTES
    neighbours.CHUNK_BYTES = rows * neighbours.BYTES_A_DISTANCE * count
    try:
        assert nearest(pictures, scale, k).tolist() == by_definition(pictures, scale, k)
    finally:
        neighbours.CHUNK_BYTES = before


def test_distances_agree_with_scikit_learn_on_real_images(tmp_path: Path) -> None:
    data = digits.load_digits(tmp_path)
    normalised = data.normalised(data.train_inputs_N).flatten(1).double().numpy()
    theirs = NearestNeighbors(n_neighbors=11, algorithm="brute").fit(normalised)
    distances, _ = theirs.kneighbors(normalised)  # each image itself comes first
    own = nearest(data.train_inputs_N, (1 / (255 * data.std[0]),), 10)
    found = np.linalg.norm(normalised[own.numpy()] - normalised[:, None], axis=2)
    np.testing.assert_allclose(np.sort(found, axis=1), distances[:, 1:], rtol=1e-5)


def test_large_images_are_summed_without_rounding() -> None:
    generator = torch.Generator().manual_seed(1)
    extremes = torch.randint(2, (4, 64, 64, 1), generator=generator, dtype=torch.uint8) * 255
    pictures = extremes.repeat(2, 1, 1, 1)
    pictures[4:, 0, 0, 0] ^= 1  # nearest to its twin by a single grey level
    assert nearest(pictures, (1.0,), 1).flatten().tolist() == [4, 5, 6, 7, 0, 1, 2, 3]


def test_those_of_the_same_class_are_looked_for_within_it(tmp_path: Path) -> None:
    given = examples(tmp_path)
    scale = tuple(1 / (255 * std) for std in given.std)
    found = neighbours_of(given, 4, same_class=True)
    for label in range(3):
        rows = (given.labels_N == label).nonzero().flatten()
        expected = rows[torch.tensor(by_definition(given.inputs_N[rows], scale, 4))]
        assert torch.equal(found[rows], expected)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    real = neighbours.nearest

    def listened(images_NHWC: Tensor, scale_C: tuple[float, ...], k: int) -> Tensor:
        calls.append(k)
        return real(images_NHWC, scale_C, k)

    monkeypatch.setattr(neighbours, "nearest", listened)
    return calls


def test_they_are_found_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    first = neighbours_of(examples(tmp_path), 3, same_class=False)
    assert torch.equal(neighbours_of(examples(tmp_path), 3, same_class=False), first)
    assert calls == [3]


def test_other_settings_labels_or_images_are_other_neighbours(tmp_path: Path) -> None:
    whole = examples(tmp_path)
    relabelled = Examples(whole.inputs_N, whole.labels_N.flip(0), whole.std, tmp_path)
    darker = Examples(whole.inputs_N // 2, whole.labels_N, whole.std, tmp_path)
    rescaled = Examples(whole.inputs_N, whole.labels_N, (0.2, 0.3, 0.1), tmp_path)
    kept = tmp_path / "neighbours"
    for number, (asked, k, same_class) in enumerate(
        [
            *((whole, 3, False), (whole, 4, False), (whole, 3, True), (relabelled, 3, True)),
            *((darker, 3, False), (rescaled, 3, False)),
        ],
        start=1,
    ):
        neighbours_of(asked, k, same_class)
        assert len(list(kept.glob("*.npy"))) == number
    neighbours_of(relabelled, 3, same_class=False)  # labels do not matter where all classes mix
    assert len(list(kept.glob("*.npy"))) == 6


@pytest.mark.parametrize("damage", ["half", "empty", "foreign", "other shape"])
def test_a_damaged_file_is_found_anew(damage: str, tmp_path: Path) -> None:
    first = neighbours_of(examples(tmp_path), 3, same_class=False)
    (path,) = (tmp_path / "neighbours").glob("*.npy")
    whole = path.read_bytes()
    if damage == "other shape":
        np.save(path, np.zeros((60, 2), np.int32))
    else:
        path.write_bytes({"half": whole[: len(whole) // 2], "empty": b"", "foreign": b"PK\x03\x04nothing"}[damage])
    assert torch.equal(neighbours_of(examples(tmp_path), 3, same_class=False), first)
    assert path.read_bytes() == whole


def test_a_half_written_file_never_has_the_final_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    found = neighbours_of(examples(tmp_path), 3, same_class=False)
    assert found.shape == (60, 3)
    assert not list((tmp_path / "neighbours").glob("*.npy*"))


def test_a_folder_that_cannot_be_written_costs_only_the_keeping(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    found = neighbours_of(examples(tmp_path / "file"), 3, same_class=False)
    assert torch.equal(found, neighbours_of(examples(tmp_path), 3, same_class=False))


def _in_process(folder: str) -> list[int]:
    return neighbours_of(examples(Path(folder), count=400), 5, same_class=False).sum(1).tolist()


@pytest.mark.slow
def test_processes_that_ask_at_once_share_one_file(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(_in_process, [str(tmp_path)] * 4)
    assert found == [_in_process(str(tmp_path))] * 4
    assert len(list((tmp_path / "neighbours").glob("*.npy"))) == 1


@pytest.mark.parametrize(
    ("k", "same_class", "line"),
    [
        (60, False, "neighbours=60: the training set has 60 examples; expected at most 59 neighbours"),
        (
            18,
            True,
            "neighbours=18 of the same class: class 2 has 18 training examples; expected at most 17 neighbours",
        ),
    ],
)
def test_more_neighbours_than_examples_is_an_input_error(k: int, same_class: bool, line: str, tmp_path: Path) -> None:
    given = examples(tmp_path)
    given.labels_N[given.labels_N == 2] = torch.tensor([2] * 18 + [0] * 2)
    with pytest.raises(InputError) as raised:
        neighbours_of(given, k, same_class)
    assert str(raised.value) == line
    assert neighbours_of(given, k - 1, same_class).shape == (60, k - 1)


MEMORY = """
import torch
from pathlib import Path
from mixup_study.vicinity.neighbours import chunks, nearest_to

def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])

torch.set_num_threads(1)
images = torch.randint(256, (50_000, 32, 32, 3), dtype=torch.uint8)
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: a process starts with that of its parent
before = kilobytes("VmRSS")
nearest_to(next(chunks(50_000)), images, (0.02, 0.02, 0.02), 200)
print((kilobytes("VmHWM") - before) / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure")
def test_a_chunk_of_cifar_10_takes_less_than_1_gib(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert 0.3 < float(done.stdout) < 1
