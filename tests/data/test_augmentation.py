from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from mixup_study.data.images import ImageSet


@pytest.fixture
def data() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (300, 5, 6, 3), generator=generator, dtype=torch.uint8)
    labels = torch.arange(300) % 3
    return ImageSet(
        images, labels, images[:10], labels[:10], 3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3), pad=2, flip=True
    )


def test_normalising_scales_each_channel(data: ImageSet) -> None:
    normal = data.normalised(data.train_inputs_N)
    assert normal.shape == (300, 3, 5, 6)
    assert normal.dtype == torch.float32
    expected = (data.train_inputs_N[7, 2, 3, 1].item() / 255 - 0.4) / 0.25
    assert normal[7, 1, 2, 3].item() == pytest.approx(expected, abs=1e-5)


def test_disabled_images_pass_unchanged(data: ImageSet) -> None:
    index = torch.tensor([5, 0, 299])
    images = data.augmented(False).epoch(seed=0, epoch=0)[index]
    assert torch.equal(images, data.normalised(data.train_inputs_N[index]))


def test_every_image_is_a_crop_of_its_padded_self_or_of_its_mirror(data: ImageSet) -> None:
    plain = dataclasses.replace(data, mean=(0.0,) * 3, std=(1 / 255,) * 3)  # normalised values are pixel values
    images = plain.augmented(True).epoch(seed=0, epoch=0)[torch.arange(300)].round().to(torch.uint8)
    padded = F.pad(data.train_inputs_N, (0, 0, 2, 2, 2, 2)).permute(0, 3, 1, 2)
    seen = set()
    for image, source in zip(images, padded, strict=True):
        for flip in (False, True):
            for top in range(5):
                for left in range(5):
                    crop = source[:, top : top + 5, left : left + 6]
                    if torch.equal(image, crop.flip(2) if flip else crop):
                        seen.add((flip, top, left))
                        break
        assert seen
    assert len(seen) == 2 * 5 * 5  # 300 draws of 50: each missing with a chance of 0.2 %


def test_an_epoch_can_be_replayed_and_differs_from_the_next(data: ImageSet) -> None:
    index = torch.arange(300)
    augmentation = data.augmented(True)
    first = augmentation.epoch(seed=0, epoch=3)[index]
    assert torch.equal(first, data.augmented(True).epoch(seed=0, epoch=3)[index])
    assert not torch.equal(first, augmentation.epoch(seed=0, epoch=4)[index])
    assert not torch.equal(first, augmentation.epoch(seed=1, epoch=3)[index])


def test_an_image_looks_the_same_in_any_minibatch(data: ImageSet) -> None:
    epoch = data.augmented(True).epoch(seed=0, epoch=0)
    assert torch.equal(epoch[torch.tensor([8, 9])][1], epoch[torch.tensor([9])][0])
