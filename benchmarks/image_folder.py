"""How long it takes to list the files of a data set in folders, and to read the list again.

Usage: python benchmarks/image_folder.py [--files N] [--classes K]

Makes N empty files in K folders, as many as ImageNet has by default, in a temporary folder on the local disk. Targets:
60 seconds to list them, 2 seconds to read the list again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from mixup_study.data.image_folder import list_images
from mixup_study.study.data_files import INDEX


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_281_167, help="to train on; 50 more a class to test on")
    parser.add_argument("--classes", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for number in range(options.classes):
            train, val = (root / part / f"n{number:08}" for part in ("train", "val"))
            train.mkdir(parents=True)
            val.mkdir(parents=True)
            for file in range(number, options.files, options.classes):
                (train / f"n{number:08}_{file}.JPEG").touch()
            for file in range(50):
                (val / f"ILSVRC2012_val_{file:08}.JPEG").touch()
        for what in ("listed", "read again"):
            begun = time.perf_counter()
            index = list_images(root)
            seconds = time.perf_counter() - begun
            print(f"{len(index.names):,} files {what} in {seconds:.2f} s")
        print(f"the list has {(root / INDEX).stat().st_size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
