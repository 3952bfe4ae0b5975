"""Begin a study of one's own: write a study, a network, images and a test that run as they are."""

from __future__ import annotations

import argparse
import io
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from mixup_study import cli
from mixup_study.errors import InputError

TEMPLATES = ("study.yaml", "own_network.py", "test_own_network.py")
IMAGES = "shapes.npz"
SIDE, TRAINING, TEST = 16, 600, 300
"""Pixels of an image's side, and how many images there are."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    folder: Path = _options(arguments).folder
    contents = {name: (files("mixup_study.templates") / name).read_bytes() for name in TEMPLATES}
    contents[IMAGES] = draw_shapes()
    _write(folder, contents)
    print(f"{folder}: {', '.join(TEMPLATES)}, and {IMAGES}: {TRAINING + TEST} synthetic images of three shapes\n")
    change = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    print(f"{change}mixup-study run study.yaml --plugin own_network        # --local: without Ray")
    print("python -m pytest test_own_network.py")
    return cli.DONE


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    """Write files into a folder. Raises InputError, with nothing written, where one of them is there already."""
    existing = [name for name in contents if (folder / name).exists()]
    if existing:
        verb = "is" if len(existing) == 1 else "are"
        raise InputError(
            f"{folder}: {', '.join(existing)} {verb} there already; expected a folder without, and nothing is written"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            with (folder / name).open("xb") as file:
                file.write(content)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be written: {error.strerror}") from None


def draw_shapes() -> bytes:
    """Return a file of discs, squares and crosses, grey on noise, which always holds the same images."""
    import numpy as np  # which --help does without

    generator = np.random.default_rng(0)
    count = TRAINING + TEST
    labels_N = np.arange(count) % 3
    centre_N2 = generator.uniform(5, SIDE - 5, (2, count, 1, 1))
    radius_N = generator.uniform(3, 5, (count, 1, 1))
    rows_N, columns_N = abs(np.arange(SIDE)[:, None] - centre_N2[0]), abs(np.arange(SIDE) - centre_N2[1])
    inside = [
        np.hypot(rows_N, columns_N) < radius_N,
        np.maximum(rows_N, columns_N) < 0.85 * radius_N,
        (np.minimum(rows_N, columns_N) < 1.2) & (np.maximum(rows_N, columns_N) < radius_N),
    ]
    shapes_N = np.choose(labels_N[:, None, None], inside)
    noise_N = generator.normal(60, 25, (count, SIDE, SIDE))
    images_N = np.clip(noise_N + 90 * shapes_N, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        x_train=images_N[:TRAINING],
        y_train=labels_N[:TRAINING],
        x_test=images_N[TRAINING:],
        y_test=labels_N[TRAINING:],
    )
    return file.getvalue()


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = cli.parser(
        "init",
        "Begin a study of your own: write a commented study, a network, synthetic images and a test into a folder. They"
        " run as they are.",
        "init my_study",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder to write into; no file there is overwritten")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.command(main)
