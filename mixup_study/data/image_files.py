"""Images in files, decoded as they are needed: the numbers of a data set that no memory holds (section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as transforms

from mixup_study.data.labelled import Inputs, LabelledSet
from mixup_study.errors import InputError
from mixup_study.study.seeds import stream_seed

AREA = (0.08, 1.0)
"""Share of an image's area that a random crop takes (Goyal et al., 2017)."""
ASPECT = (3 / 4, 4 / 3)
"""Width over height of a random crop, before it becomes a square."""
MARGIN = 256 / 224
"""The shorter side of a test image over the side of the square in its middle that is tested on."""
PREFETCHED = 2
"""Minibatches that each loader process reads ahead."""


class Request(NamedTuple):
    """An image to read: at random under an epoch's augmentation, or its middle where there is no epoch."""

    number: int
    seed: int = 0
    epoch: int | None = None


class Unreadable(NamedTuple):
    """An image that cannot be decoded."""

    path: str
    reason: str


@dataclass(frozen=True)
class ImageFiles(Dataset[Any]):
    """The files of a data set by their numbers, and how they become squares of ``side`` pixels."""

    root: Path
    names: np.ndarray
    """Paths below ``root`` as bytes, (N,)."""
    side: int

    def path(self, number: int) -> Path:
        """Return the path of a file."""
        name: bytes = self.names[number]
        return self.root / name.decode()

    def __getitem__(self, request: Request) -> Tensor | Unreadable:
        """Return an image as uint8 (3, side, side)."""
        path = self.path(request.number)
        try:
            image = decode_image(read_file(str(path)), ImageReadMode.RGB)
        except (RuntimeError, ValueError) as error:
            return Unreadable(str(path), " ".join(str(error).split()))
        if request.epoch is None:
            return cut_middle(image, self.side)
        before = torch.default_generator.get_state()
        try:  # of the CPU alone: torch.manual_seed takes longer than to decode a small image
            torch.default_generator.manual_seed(
                stream_seed(request.seed, "augmentation", request.epoch, request.number)
            )
            return cut_at_random(image, self.side)
        finally:
            torch.default_generator.set_state(before)


def cut_middle(image: Tensor, side: int) -> Tensor:
    """Return the square in the middle of an image whose shorter side has become MARGIN times as long."""
    resized = transforms.resize(image, [round(side * MARGIN)], antialias=True)
    middle: Tensor = transforms.center_crop(resized, [side, side])
    return middle


def cut_at_random(image: Tensor, side: int) -> Tensor:
    """Return a random part of an image as a square, flipped half of the time."""
    cut: Tensor = _build_random_cut(side)(image)
    return cut


@cache
def _build_random_cut(side: int) -> v2.Transform:
    crop = v2.RandomResizedCrop(side, scale=AREA, ratio=ASPECT, antialias=True)
    return v2.Compose([crop, v2.RandomHorizontalFlip()])


def _stack(images: Sequence[Tensor | Unreadable]) -> Tensor | Unreadable:
    """Return images as one tensor, or the first that cannot be read."""
    readable = []
    for image in images:
        if isinstance(image, Unreadable):
            return image
        readable.append(image)
    return torch.stack(readable)


def _check(images: Tensor | Unreadable) -> Tensor:
    """Return images that could be read; raise InputError for one that could not."""
    if isinstance(images, Unreadable):
        raise InputError(f"{images.path}: it cannot be decoded: {images.reason}; expected an image")
    return images


class _Queue:
    """The minibatches of requests that a DataLoader is to read next."""

    def __init__(self) -> None:
        self.requests: Sequence[Sequence[Request]] = ()

    def __iter__(self) -> Iterator[Sequence[Request]]:
        return iter(self.requests)


class Loader:
    """Reads images, ahead of their use where processes of its own do; what it returns does not depend on them.

    One reading ends before the next begins: the processes work for one at a time.
    """

    def __init__(self, files: ImageFiles, processes: int, pin: bool) -> None:
        """Read with so many processes, in this one with 0; ``pin`` has them in memory that a GPU copies from."""
        self._queue = _Queue()
        several: dict[str, Any] = {}
        if processes:
            several = {
                "num_workers": processes,
                "prefetch_factor": PREFETCHED,
                "persistent_workers": True,
                "multiprocessing_context": "forkserver",
            }
        batches: Any = self._queue
        own = torch.Generator()  # it draws a seed for its processes, which nothing here uses
        self._loader = DataLoader(
            files, batch_sampler=batches, collate_fn=_stack, pin_memory=pin, generator=own, **several
        )

    def read(self, requests: Sequence[Sequence[Request]]) -> Iterator[Tensor]:
        """Yield the images of each minibatch, uint8 (B, 3, side, side). Raises InputError for one that is damaged."""
        self._queue.requests = requests
        return map(_check, self._loader)


def _list_numbers(parts: Sequence[Tensor]) -> list[list[int]]:
    """Return each of ``parts`` as a list; all are copied from their device at once."""
    numbers = iter(torch.cat(list(parts)).tolist()) if parts else iter(())
    return [list(islice(numbers, len(part))) for part in parts]


@dataclass(frozen=True)
class StreamedSet(LabelledSet):
    """Images that are read from files each time that they are used.

    Inputs are stored as the numbers of their files, int64 (N,). ``mean`` and ``std`` are per channel, of pixels scaled
    to [0, 1].
    """

    files: ImageFiles = field(kw_only=True)
    mean: tuple[float, ...] = field(kw_only=True)
    std: tuple[float, ...] = field(kw_only=True)
    loaders: int = field(default=0, kw_only=True)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (3, H, W)."""
        return 3, self.files.side, self.files.side

    @property
    def is_streamed(self) -> bool:
        """Return True."""
        return True

    def with_loaders(self, processes: int) -> Self:
        """Return the data set with so many processes that read it ahead; 0 reads in this process."""
        return replace(self, loaders=processes)

    @cached_property
    def loader(self) -> Loader:
        """Return what reads the images, started when it is first asked for."""
        return Loader(self.files, self.loaders, pin=self._device.type == "cuda")

    @property
    def _device(self) -> torch.device:
        return self.train_labels_N.device

    def normalised(self, inputs_N: Tensor) -> Tensor:
        """Return the middles of images as float32 (N, 3, H, W), centred and scaled per channel."""
        return self.normalised_pixels(self.pixels(inputs_N))

    def look_up(self, requests: Sequence[Request]) -> Tensor:
        """Return images read by this process, while others may read ahead, as float32 pixels (N, 3, H, W)."""
        images = _check(_stack([self.files[request] for request in requests]))
        return images.to(self._device).float()

    def read(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the same of each of ``parts``."""
        return self._read([[Request(number) for number in part] for part in _list_numbers(parts)])

    def read_augmented(self, parts: Sequence[Tensor], seed: int, epoch: int) -> Iterator[Tensor]:
        """Yield images of each of ``parts`` under random crops and flips; the same (seed, epoch) gives the same."""
        return self._read(self.list_requests(parts, seed, epoch))

    def list_requests(self, parts: Sequence[Tensor], seed: int, epoch: int) -> list[list[Request]]:
        """Return what a loader is asked for each of ``parts`` in an epoch."""
        return [[Request(number, seed, epoch) for number in part] for part in _list_numbers(parts)]

    def pixels(self, inputs_N: Tensor) -> Tensor:
        """Return the middles of images as float32 pixels in [0, 255], (N, 3, H, W)."""
        return self.look_up([Request(number) for number in inputs_N.tolist()])

    def normalised_pixels(self, pixels_N: Tensor) -> Tensor:
        """Return the same centred and scaled per channel."""
        shift_C, scale_C = self._normalisation
        return torch.addcmul(shift_C, pixels_N, scale_C)

    def _read(self, requests: Sequence[Sequence[Request]]) -> Iterator[Tensor]:
        for images in self.loader.read(requests):
            yield self.normalised_pixels(images.to(self._device, non_blocking=True).float())

    @cached_property
    def _normalisation(self) -> tuple[Tensor, Tensor]:
        """Return shift and scale of pixels in [0, 255], (3, 1, 1)."""
        with torch.inference_mode(False):
            mean_C, std_C = torch.tensor(self.mean, device=self._device), torch.tensor(self.std, device=self._device)
            return (-mean_C / std_C)[:, None, None], (1 / (255 * std_C))[:, None, None]

    def augmented(self, enabled: bool) -> StreamedInputs:
        """Return the training images, under random crops and flips where ``enabled``."""
        return StreamedInputs(self, enabled)


@dataclass(frozen=True)
class StreamedInputs:
    """The training images of a streamed data set."""

    data: StreamedSet
    enabled: bool

    def epoch(self, seed: int, epoch: int) -> StreamedEpoch:
        """Return the training images of an epoch."""
        return StreamedEpoch(self.data, seed, epoch if self.enabled else None)


@dataclass(frozen=True)
class StreamedEpoch(Inputs):
    """The training images of a streamed data set as one epoch sees them."""

    data: StreamedSet
    seed: int
    number: int | None
    """Of the epoch; None for images that are not augmented."""

    def __getitem__(self, index_B: Tensor) -> Tensor:
        """Return the images at ``index_B`` as float32 (B, 3, H, W)."""
        numbers = self.data.train_inputs_N[index_B].tolist()
        requests = [Request(number, self.seed, self.number) for number in numbers]
        return self.data.normalised_pixels(self.data.look_up(requests))

    def read(self, parts: Sequence[Tensor], values: int) -> Iterator[Tensor]:
        """Yield the images at each of ``parts`` in turn, read ahead."""
        numbers = [self.data.train_inputs_N[part] for part in parts]
        return (
            self.data.read(numbers)
            if self.number is None
            else self.data.read_augmented(numbers, self.seed, self.number)
        )
