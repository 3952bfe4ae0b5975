"""How fast images are read from files: by the loader, by bare decoding and cropping, by torchvision's usual pipeline.

Usage: python benchmarks/input.py [--images N] [--processes P] [--rounds R]

Writes N JPEG files of 500x375 pixels, as ImageNet's are, and reads them as training images of 224x224, in turns, so
that ratios hold on a shared machine. Targets: the loader at 0.9 or more of bare decoding and cropping on the same
cores, and at 1.6 times ``ImageFolder`` with PIL's transforms or more.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import datasets
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms import v2

from mixup_study.data.image_files import AREA, ASPECT, StreamedSet
from mixup_study.data.image_folder import open_folder
from mixup_study.data.imagenet import MEAN, SIDE, STD
from mixup_study.data.patches import PHOTOGRAPHS, read_photograph

BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder, options.images)
        data = open_folder(folder, SIDE, MEAN, STD)
        readers: dict[str, Callable[[], int]] = {
            "decode and crop alone": lambda: read_bare(data),
            "ImageFolder with PIL": lambda: read_usual(folder),
            "the loader, in this process": lambda: read_loader(data),
        }
        if options.processes:
            ahead = data.with_loaders(options.processes)
            read_loader(ahead)  # starts its processes
            readers[f"the loader, {options.processes} processes"] = lambda: read_loader(ahead)
        rates: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(options.rounds):
            for name, read in readers.items():
                begun = time.perf_counter()
                count = read()
                rates[name].append(count / (time.perf_counter() - begun))
        bare, usual = (float(np.median(rates[name])) for name in list(readers)[:2])
        for name, own in rates.items():
            rate = float(np.median(own))
            print(
                f"{name:28} {rate:6,.0f} images/s  {rate / bare:.2f} of bare  {rate / usual:.2f} of usual", flush=True
            )
        alone = float(np.median(rates["the loader, in this process"]))
        print(f"16,600 images/s, which ResNet-50 takes on eight A100, need {16_600 / alone:.0f} such cores")


def write_images(folder: Path, count: int) -> None:
    photographs = [Image.fromarray(read_photograph(*place)).resize((500, 375)) for place in PHOTOGRAPHS]
    for part, number in [("train", number) for number in range(count)] + [("val", 0)]:
        path = folder / part / f"{number % 10 if part == 'train' else 0}" / f"{number}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        photographs[number % len(photographs)].save(path, quality=90)


def read_bare(data: StreamedSet) -> int:
    crop = v2.Compose([v2.RandomResizedCrop(SIDE, AREA, ASPECT), v2.RandomHorizontalFlip()])
    for number in data.train_inputs_N.tolist():
        crop(decode_image(read_file(str(data.files.path(number))), ImageReadMode.RGB))
    return len(data.train_inputs_N)


def read_usual(folder: Path) -> int:
    transform = v2.Compose(
        [v2.RandomResizedCrop(SIDE), v2.RandomHorizontalFlip(), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    )
    read = datasets.ImageFolder(str(folder / "train"), transform)
    return sum(len(image[None]) for image, _ in (read[number] for number in range(len(read))))


def read_loader(data: StreamedSet) -> int:
    parts = data.train_inputs_N.split(BATCH)
    return sum(len(images) for images in data.loader.read(data.list_requests(parts, 0, 0)))


if __name__ == "__main__":
    main()
