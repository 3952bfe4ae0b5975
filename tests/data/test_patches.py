from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch

from mixup_study.data.images import ImageSet
from mixup_study.data.patches import BAND, HEIGHT, PHOTOGRAPHS, SIDE, WIDTH, draw_places, load_patches

NOWHERE = Path("/dev/null")


@pytest.fixture(scope="module")
def patches() -> ImageSet:
    return load_patches(NOWHERE)


def test_it_holds_colour_patches_of_ten_photographs(patches: ImageSet) -> None:
    assert patches.train_inputs_N.shape == (1000, 32, 32, 3)
    assert patches.test_inputs_N.shape == (500, 32, 32, 3)
    assert patches.train_inputs_N.dtype == patches.test_inputs_N.dtype == torch.uint8
    assert patches.shape == (3, 32, 32)
    assert patches.classes == len(PHOTOGRAPHS) == 10
    assert torch.bincount(patches.train_labels_N).tolist() == [100] * 10
    assert torch.bincount(patches.test_labels_N).tolist() == [50] * 10


def test_no_column_of_a_photograph_is_in_training_and_test_patches() -> None:
    assert BAND == 2 * SIDE
    for label in range(len(PHOTOGRAPHS)):
        columns = []
        for test, count in ((False, 100), (True, 50)):
            places = draw_places(label, count, test=test)
            assert len(set(places)) == count
            assert all(0 <= row <= HEIGHT - SIDE and 0 <= column <= WIDTH - SIDE for row, column in places)
            columns.append({covered for _, column in places for covered in range(column, column + SIDE)})
        assert not columns[0] & columns[1]


def test_it_is_the_same_every_time_and_needs_no_network(patches: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("something asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    again = load_patches(NOWHERE)
    assert torch.equal(again.train_inputs_N, patches.train_inputs_N)
    assert torch.equal(again.test_inputs_N, patches.test_inputs_N)


def test_its_statistics_are_those_of_the_training_patches(patches: ImageSet) -> None:
    normalised = patches.normalised(patches.train_inputs_N)
    torch.testing.assert_close(normalised.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(normalised.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)
