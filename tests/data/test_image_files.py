"""Streamed images: what is in a folder, what is read of it, and that nothing but the trial decides what that is."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision import datasets as torchvision_datasets
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms import v2

from mixup_study.data import image_folder, imagenet, progress
from mixup_study.data.image_files import StreamedSet
from mixup_study.data.image_folder import list_images, load_image_folder, open_folder
from mixup_study.data.patch_files import load_patch_files
from mixup_study.data.patches import load_patches
from mixup_study.errors import InputError
from mixup_study.study.data_files import digest_files

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


def write_image(path: Path, seed: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> None:
    """Write a photograph-like image of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode).save(path, quality=90)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of two classes, with five images to train on and three to test on each."""
    for part, count in (("train", 5), ("val", 3)):
        for label, name in enumerate(("bird", "cat")):
            for number in range(count):
                write_image(tmp_path / "set" / part / name / f"{number}.JPEG", 100 * label + number)
    return tmp_path / "set"


def streamed(root: Path, side: int = 16) -> StreamedSet:
    return open_folder(root, side, MEAN, STD)


def test_a_folder_is_read_as_torchvision_lists_it(root: Path) -> None:
    data = streamed(root)
    for part, numbers_N, labels_N in (
        ("train", data.train_inputs_N, data.train_labels_N),
        ("val", data.test_inputs_N, data.test_labels_N),
    ):
        theirs = torchvision_datasets.ImageFolder(str(root / part)).samples
        ours = [(str(data.files.path(number)), label) for number, label in zip(numbers_N, labels_N, strict=True)]
        assert ours == theirs
    assert (data.classes, data.shape) == (2, (3, 16, 16))


def test_the_middle_of_an_image_is_tested_on(root: Path) -> None:
    data = streamed(root, side=224)
    numbers = data.test_inputs_N[:2]
    theirs = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224)])
    for number, own in zip(numbers.tolist(), data.normalised(numbers), strict=True):
        image = decode_image(read_file(str(data.files.path(number))), ImageReadMode.RGB)
        expected = v2.functional.normalize(theirs(image).float() / 255, MEAN, STD)
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_images_of_any_colours_become_three_channels(mode: str, tmp_path: Path) -> None:
    write_image(tmp_path / "set" / "train" / "a" / "0.jpg", 0, mode=mode)
    write_image(tmp_path / "set" / "val" / "a" / "0.jpg", 1, (9, 90), mode)
    data = streamed(tmp_path / "set", 8)
    for inputs in (data.normalised(data.test_inputs_N), data.augmented(True).epoch(0, 0)[torch.tensor([0])]):
        assert inputs.shape == (1, 3, 8, 8)
        assert inputs.isfinite().all()


@pytest.mark.slow
def test_what_is_read_depends_on_no_process_that_reads_it(root: Path) -> None:
    order = [torch.tensor([9, 0, 3]), torch.tensor([4, 4]), torch.tensor([7])]
    read = []
    for loaders in (0, 1, 2):
        data = streamed(root).with_loaders(loaders)
        torch.manual_seed(loaders)
        before = torch.get_rng_state()
        for _ in range(2):
            read.append([*data.augmented(True).epoch(5, 2).read(order, 0), *data.read(order)])
        assert loaders or torch.equal(before, torch.get_rng_state())
    for other in read[1:]:
        assert all(torch.equal(own, expected) for own, expected in zip(other, read[0], strict=True))
    alone = streamed(root).augmented(True).epoch(5, 2)
    assert torch.equal(alone[torch.tensor([3])][0], read[0][0][2])


def test_an_image_differs_from_epoch_to_epoch_and_from_seed_to_seed(root: Path) -> None:
    data, row = streamed(root), torch.tensor([0])
    seen = [data.augmented(True).epoch(seed, epoch)[row] for seed in range(3) for epoch in range(3)]
    assert all(not torch.equal(one, other) for place, one in enumerate(seen) for other in seen[:place])
    plain = data.augmented(False)
    assert torch.equal(plain.epoch(0, 0)[row], plain.epoch(1, 1)[row])
    assert torch.equal(plain.epoch(0, 0)[row], data.normalised(data.train_inputs_N[row]))


def test_crops_take_the_areas_and_aspects_that_they_should(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_image(tmp_path / "set" / "train" / "a" / "0.png", 0, (200, 100))
    write_image(tmp_path / "set" / "val" / "a" / "0.png", 0)
    boxes = []
    draw = v2.RandomResizedCrop.make_params

    def drawn(crop: v2.RandomResizedCrop, images: list[torch.Tensor]) -> dict[str, int]:
        box: dict[str, int] = draw(crop, images)
        boxes.append((box["height"], box["width"]))
        return box

    monkeypatch.setattr(v2.RandomResizedCrop, "make_params", drawn)
    data = streamed(tmp_path / "set")
    for epoch in range(300):
        data.augmented(True).epoch(0, epoch)[torch.tensor([0])]
    areas = [height * width / 20_000 for height, width in boxes]
    aspects = [width / height for height, width in boxes]
    assert 0.07 < min(areas) < 0.12
    assert 0.4 < max(areas) <= 0.7  # a square has half of the area
    assert 0.72 < min(aspects) < 0.8
    assert 1.25 < max(aspects) < 1.37


@pytest.mark.slow
@pytest.mark.parametrize("loaders", [0, 1])
def test_a_damaged_image_is_named(loaders: int, root: Path) -> None:
    damaged = root / "train" / "cat" / "3.JPEG"
    damaged.write_bytes(damaged.read_bytes()[:20])
    data = streamed(root).with_loaders(loaders)
    with pytest.raises(InputError) as refused:
        list(data.augmented(True).epoch(0, 0).read([torch.arange(5), torch.arange(5, 10)], 0))
    assert str(refused.value).startswith(f"{damaged}: it cannot be decoded: ")
    assert "\n" not in str(refused.value)
    assert len(data.normalised(data.test_inputs_N)) == 6  # the others are read all the same


def test_a_folder_of_the_users_own_is_tested_on_test_or_val(root: Path) -> None:
    only_val = load_image_folder(root.parent, folder=root.name, image_size=16)
    assert (only_val.sizes, only_val.shape) == ({"training": 10, "test": 6}, (3, 16, 16))
    assert digest_files(root.parent, (root.name,)) == (before := digest_files(root.parent, (root.name,)))
    (root / "index.npz").unlink()
    assert digest_files(root.parent, (root.name,)) == before  # the list of its files is none of them
    for label, name in enumerate(("bird", "cat")):
        write_image(root / "test" / name / "0.png", 300 + label)
    both = load_image_folder(root.parent, folder=root.name, image_size=16)
    assert both.sizes == {"training": 10, "test": 2, "validation": 6}
    assert [both.files.path(number).parts[-3:-1] for number in both.test_inputs_N] == [
        ("test", "bird"),
        ("test", "cat"),
    ]
    assert both.validation is not None
    assert {both.files.path(number).parts[-3] for number in both.validation.inputs_N} == {"val"}
    assert both.validation.labels_N.tolist() == [0, 0, 0, 1, 1, 1]
    for part in ("test", "val"):
        (root / part).rename(root / f"no {part}")
    with pytest.raises(InputError, match="neither test nor val is in it"):
        load_image_folder(root.parent, folder=root.name, image_size=16)


def test_an_index_is_written_once_and_again_where_a_class_has_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = list_images(root)
    listed: list[Path] = []
    list_files: Callable[..., image_folder.FolderIndex] = image_folder._list_files
    monkeypatch.setattr(image_folder, "_list_files", lambda root, own: listed.append(root) or list_files(root, own))
    again = list_images(root)
    assert not listed
    assert (again.names.tolist(), again.digest) == (first.names.tolist(), first.digest)
    write_image(root / "train" / "cat" / "new.jpg", 7)
    grown = list_images(root)
    assert listed == [root]
    assert (len(grown.names), grown.training) == (len(first.names) + 1, 11)
    assert grown.digest != first.digest
    whole = (root / "index.npz").read_bytes()
    for damaged in (b"", b"PK", whole[: len(whole) // 2]):
        (root / "index.npz").write_bytes(damaged)
        assert list_images(root).digest == grown.digest
    assert (root / "index.npz").read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda root: (root / "val").rename(root / "validation"), "val: No such file or directory"),
        (lambda root: (root / "val" / "dog").mkdir(), "val/dog: a class that train has not"),
        (lambda root: (root / "train" / "dog").mkdir(), "train/dog: no image; expected files that end in .jpeg"),
    ],
)
def test_a_folder_of_another_layout_is_one_line(change: Callable[[Path], object], problem: str, root: Path) -> None:
    change(root)
    with pytest.raises(InputError) as refused:
        streamed(root)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_patches_are_the_same_photographs_in_files(tmp_path: Path) -> None:
    files, patches = load_patch_files(tmp_path), load_patches(tmp_path)
    assert files.sizes == patches.sizes
    assert (files.classes, files.mean, files.std) == (patches.classes, patches.mean, patches.std)
    written = [int(files.files.path(number).stem) for number in files.train_inputs_N.tolist()]
    assert sorted(written) == list(range(1000))
    for number in (0, 400, 999):
        image = decode_image(read_file(str(files.files.path(number)))).permute(1, 2, 0)
        difference = image.int() - patches.train_inputs_N[written[number]].int()
        assert difference.abs().float().mean() < 6  # what JPEG loses
        same = patches.train_labels_N == patches.train_labels_N[written[number]]
        assert torch.equal(same[torch.tensor(written)], files.train_labels_N == files.train_labels_N[number])


def test_imagenet_is_unpacked_from_its_archives_and_gone_on_with(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", -1.0)
    for name, count in (("CLASSES", 2), ("TRAINING", 10), ("TEST", 6)):
        monkeypatch.setattr(imagenet, name, count)
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(InputError) as refused:
        imagenet.load_imagenet(folder)
    assert "put ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, ILSVRC2012_devkit_t12.tar.gz there" in str(
        refused.value
    )
    (folder / "ILSVRC2012_img_train.tar").touch()
    (folder / "ILSVRC2012_img_val.tar").touch()
    tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz").close()
    (folder / "imagenet" / "train").mkdir(parents=True)
    with pytest.raises(InputError, match=r"has no ILSVRC2012_validation_ground_truth\.txt"):
        imagenet.load_imagenet(folder)
    (folder / "imagenet" / "train").rmdir()
    labels = write_archives(root, folder)
    (interrupted := folder / "imagenet" / ".train" / "bird").mkdir(parents=True)
    for file in (root / "train" / "bird").iterdir():
        (interrupted / file.name).write_bytes(file.read_bytes())
    data = imagenet.load_imagenet(folder)
    assert "imagenet: 1 of 2 classes unpacked" in capsys.readouterr().err
    assert data.sizes == {"training": 10, "test": 6}
    names = [Path(data.files.path(number)).name for number in data.test_inputs_N.tolist()]
    assert [labels[int(Path(name).stem[-8:]) - 1] for name in names] == ["bird"] * 3 + ["cat"] * 3
    assert not list((folder / "imagenet").glob(".*"))
    monkeypatch.setattr(imagenet, "TRAINING", 11)
    with pytest.raises(InputError, match="10 training images; expected the 11 of ILSVRC 2012"):
        imagenet.load_imagenet(folder)


def write_archives(root: Path, folder: Path) -> list[str]:
    """Write a folder of images as the official archives; return the class of each test image by its number."""
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for own in sorted((root / "train").iterdir()):
            content = io.BytesIO()
            with tarfile.open(fileobj=content, mode="w") as inner:
                for file in own.iterdir():
                    inner.add(file, file.name)
            add(outer, f"{own.name}.tar", content.getvalue())
    files = sorted((root / "val").rglob("*.JPEG"), key=lambda file: (file.stem, file.parent.name))
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as images:
        for number, file in enumerate(files, start=1):
            images.add(file, f"ILSVRC2012_val_{number:08}.JPEG")
    labels = [file.parent.name for file in files]
    numbers = {"bird": 7, "cat": 3}
    synsets = np.array(
        [(number, name) for name, number in numbers.items()], dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O")]
    )
    savemat(meta := folder / "meta.mat", {"synsets": synsets})
    with tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as kit:
        truth = "\n".join(str(numbers[label]) for label in labels)
        add(kit, "kit/data/ILSVRC2012_validation_ground_truth.txt", truth.encode())
        add(kit, "kit/data/meta.mat", meta.read_bytes())
    return labels


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
