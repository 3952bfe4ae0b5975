"""The data sets (sections 3.2, 3.3, 3.6 and 3.7)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from mixup_study.catalogue.entries import Dataset, TableShape
from mixup_study.catalogue.fields import DataPath, Fields, Real, Seed, Traits
from mixup_study.catalogue.units import PERCENT

TEST_SHARE = 0.2
"""Of a table's rows, the share that a split sets apart for testing, rounded up."""

LABELLED_IMAGES = frozenset({"labels", "images"})
STREAMED_IMAGES = LABELLED_IMAGES | {"streamed"}
"""Images that are read from files each time that they are used."""
LABELLED_SPECTROGRAMS = frozenset({"labels", "spectrograms"})
LABELLED_TABLE = frozenset({"labels", "table"})
DENSITY = frozenset({"density"})
"""A distribution to draw from, unlabelled."""


class LabelFields(Fields):
    """Fields of how a labelled training set is prepared."""

    train_size: Annotated[Annotated[int, Field(ge=1, le=2**31)] | None, Traits(caption=True, cost=True)] = Field(
        default=None, description="Train on this many examples, drawn by data_seed; all of them by default."
    )
    label_noise: Annotated[Real, Traits(unit=PERCENT, varies_in_pack=True)] = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Probability with which a training label is replaced by one drawn from all classes (section 3.4).",
    )
    validation: Annotated[Real, Traits(unit=PERCENT, caption=True)] = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the training set, of each class alike, that is held out as the validation part, after"
        " label_noise; in place of the data set's own, if it has one. Drawn by data_seed, of tables by split_seed.",
    )
    data_seed: Annotated[Seed, Traits(seed=True, caption=True, varies_in_pack=True)] = Field(
        default=0, description="Seed of the label noise, of train_size and of validation."
    )
    augment: Annotated[bool, Traits(caption=True, requires="images")] = Field(
        default=True, description="Random crops and flips, as far as the data set allows them (section 3.2)."
    )

    @field_validator("data_seed")
    @classmethod
    def _is_used(cls, data_seed: int, info: ValidationInfo) -> int:
        drawn: dict[str, Any] = {"label_noise": 0.0, "train_size": None, "validation": 0.0, **info.data}
        dataset: Dataset | None = None if info.context is None else cast(Any, info.context).dataset
        held_out = drawn["validation"] and not (dataset is not None and dataset.is_split)
        if data_seed and not drawn["label_noise"] and drawn["train_size"] is None and not held_out:
            raise PydanticCustomError(
                "unused",
                "nothing is drawn by it: there is no label noise, train_size takes all examples, and validation none"
                " of them by this seed",
            )
        return data_seed


class TableFields(LabelFields):
    """Fields of data sets without a test set of their own: rows of numbers that every trial splits by its seeds."""

    split_seed: Annotated[Seed | None, Traits(seed=True, caption=True, varies_in_pack=True, reads=True)] = Field(
        default=None,
        description="Seed of the split into training, validation and test rows, of data sets that have none; seed by"
        " default (section 3.6).",
    )


class SpeechFields(LabelFields):
    """Fields of data sets of recorded words."""

    mix: Annotated[Literal["spectrogram", "waveform"], Traits(caption=True, cost=True, reads=True)] = Field(
        default="spectrogram",
        description="What methods mix: normalised spectrograms, or waveforms, of which spectrograms are computed"
        " afterwards (section 3.3).",
    )


class FileFields(LabelFields):
    """Fields of data sets of the user's own, in a file of NumPy's."""

    file: Annotated[DataPath, Traits(caption=True, cost=True, reads=True)] = Field(
        description="File of arrays in the data folder, as numpy.savez writes it: x_train, y_train, x_test and y_test."
    )
    test_share: Annotated[
        Annotated[Real, Field(gt=0, lt=1)] | None, Traits(unit=PERCENT, caption=True, cost=True, reads=True)
    ] = Field(
        default=None,
        description="Share of x and y that is set apart for testing, of each class alike, of a file that has these in"
        " place of a training and a test set. Always the same examples.",
    )


class ImageFileFields(FileFields):
    """Fields of images in such a file."""

    flip: Annotated[bool, Traits(caption=True, reads=True)] = Field(
        default=False, description="Random horizontal flips where augment is on, of images that may be mirrored."
    )


class FolderFields(LabelFields):
    """Fields of data sets of the user's own: a folder of image files for each class."""

    folder: Annotated[DataPath, Traits(caption=True, cost=True, reads=True)] = Field(
        description="Folder of the data folder that holds train/<class>/<image>, and test or val likewise."
    )
    image_size: Annotated[int, Traits(caption=True, cost=True, reads=True)] = Field(
        default=224, ge=8, le=4096, description="Side of the squares, in pixels, that images are cut to."
    )


def _images(name: str, build: str, *files: str, **sizes: Any) -> Dataset:
    build = f"mixup_study.data.{build}"
    return Dataset(name, build, LabelFields, provides=LABELLED_IMAGES, files=files, **sizes)


def _streamed(name: str, build: str, *files: str, **sizes: Any) -> Dataset:
    build = f"mixup_study.data.{build}"
    return Dataset(name, build, LabelFields, provides=STREAMED_IMAGES, files=files, **sizes)


def _speech(name: str, build: str, *files: str, **sizes: Any) -> Dataset:
    build = f"mixup_study.data.{build}"
    return Dataset(name, build, SpeechFields, provides=LABELLED_SPECTROGRAMS, files=files, **sizes)


def _table(name: str, build: str, rows: int, features: int) -> Dataset:
    shape = TableShape(rows, features)
    files = (f"{name}.csv", f"{name}.arff", "openml") if build.startswith("openml:") else ()
    return Dataset(name, f"mixup_study.data.{build}", TableFields, provides=LABELLED_TABLE, shape=shape, files=files)


def _density(name: str, build: str) -> Dataset:
    return Dataset(name, f"mixup_study.data.{build}", provides=DENSITY)


DATA_SETS = (
    _images("digits", "digits:load_digits"),
    _images("patches", "patches:load_patches"),
    _images("cifar10", "downloaded:load_cifar10", "cifar-10-batches-py", examples=50_000, pixels=32 * 32),
    _images("cifar100", "downloaded:load_cifar100", "cifar-100-python", examples=50_000, pixels=32 * 32),
    _images("fashion_mnist", "downloaded:load_fashion_mnist", "FashionMNIST/raw", examples=60_000, pixels=28 * 28),
    _streamed("imagenet", "imagenet:load_imagenet", "imagenet/val", examples=1_281_167, pixels=224 * 224),
    _streamed("patches_jpeg", "patch_files:load_patch_files"),
    Dataset("npz", "mixup_study.data.npz:load_images", ImageFileFields, provides=LABELLED_IMAGES, content=("{file}",)),
    Dataset("npz_table", "mixup_study.data.npz:load_table", FileFields, provides=LABELLED_TABLE, content=("{file}",)),
    Dataset(
        "image_folder",
        "mixup_study.data.image_folder:load_image_folder",
        FolderFields,
        provides=STREAMED_IMAGES,
        content=("{folder}",),
    ),
    _speech(
        "speech_commands",
        "speech_commands:load_speech_commands",
        "speech_commands_v0.01",
        examples=51_088,
        pixels=161 * 101,
    ),
    _speech("synthetic_speech", "synthetic_speech:load_synthetic_speech"),
    _table("iris", "embedded:load_iris", 150, 4),
    _table("wine", "embedded:load_wine", 178, 13),
    _table("breast_cancer", "embedded:load_breast_cancer", 569, 30),
    _table("optdigits", "embedded:load_optdigits", 1797, 64),
    _table("abalone", "openml:load_abalone", 4177, 8),
    _table("arcene", "openml:load_arcene", 200, 10_000),
    _table("arrhythmia", "openml:load_arrhythmia", 452, 279),
    _table("htru2", "openml:load_htru2", 17_898, 8),
    _table("phishing", "openml:load_phishing", 11_055, 30),
    _table("two_moons", "embedded:load_two_moons", 1000, 2),
    _table("circles", "embedded:load_circles", 1000, 2),
    _density("gaussian_ring", "densities:GAUSSIAN_RING"),
    _density("gaussian_grid", "densities:GAUSSIAN_GRID"),
)
