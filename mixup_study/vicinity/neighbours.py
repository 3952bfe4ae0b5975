"""The k nearest neighbours of every training example (section 3.8), exact, and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mixup_study.errors import InputError
from mixup_study.files import load_or_compute
from mixup_study.vicinity.base import Examples

CHUNK_BYTES = 2**29
"""What the distances of one chunk of examples may take, with everything computed from them."""
BYTES_A_DISTANCE = 40
EXACT_PIXELS = 1024
"""Products of centred pixels are at most 2**14, so that float32 sums this many without rounding."""


def neighbours_of(examples: Examples, k: int, same_class: bool) -> Tensor:
    """Return the rows of the k nearest neighbours of every training example, int64 (N, k), each row rising.

    They are found once per data set and settings and kept under ``examples.folder``, for every process that
    asks; where that cannot be written, they are found anew. Raises InputError where k or fewer examples, or
    with ``same_class`` k or fewer of some class, are there.
    """
    groups = _groups(examples.labels_N, k, same_class)
    path = examples.folder / "neighbours" / f"{_digest(examples, k, same_class)}.npy"
    shape = (len(examples.labels_N), k)
    device = examples.inputs_N.device
    neighbours = load_or_compute(
        path, lambda: _read(path, shape), lambda: _find(examples, k, groups), lambda file, found: np.save(file, found)
    )
    return torch.from_numpy(neighbours).to(device, torch.int64)


def nearest(images_NHWC: Tensor, scale_C: tuple[float, ...], k: int) -> Tensor:
    """Return the rows of the k nearest others of each image, int64 (N, k), each row rising.

    ``images_NHWC`` is uint8; distances are Euclidean on pixels times ``scale_C`` (their common shift does not
    matter). Of equally distant images those of lower row are nearer. Sums over pixels are of whole numbers and
    without rounding, so that every device finds the same neighbours. Takes at most 1 GiB beyond its arguments
    for 50,000 images of 32x32x3.
    """
    return torch.cat([nearest_to(chunk_M, images_NHWC, scale_C, k) for chunk_M in chunks(len(images_NHWC))])


def chunks(count: int) -> Iterator[Tensor]:
    """Yield the rows of ``count`` images in parts whose distances to all fit CHUNK_BYTES."""
    rows = max(1, CHUNK_BYTES // (BYTES_A_DISTANCE * count))
    return (torch.arange(first, min(first + rows, count)) for first in range(0, count, rows))


def nearest_to(chunk_M: Tensor, images_NHWC: Tensor, scale_C: tuple[float, ...], k: int) -> Tensor:
    """Return what ``nearest`` does for some of the images, (M, k)."""
    distance_MN = _squared_distances(chunk_M, images_NHWC, scale_C)
    distance_MN[torch.arange(len(chunk_M)), chunk_M] = torch.inf  # none is its own neighbour
    furthest_M1 = distance_MN.topk(k, largest=False, sorted=False).values.amax(1, keepdim=True)
    nearer_MN = distance_MN < furthest_M1
    tied_MN = distance_MN == furthest_M1
    room_M1 = k - nearer_MN.sum(1, keepdim=True)
    chosen_MN = nearer_MN | (tied_MN & (tied_MN.cumsum(1, dtype=torch.int32) <= room_M1))
    return chosen_MN.nonzero()[:, 1].reshape(-1, k)


def _squared_distances(chunk_M: Tensor, images_NHWC: Tensor, scale_C: tuple[float, ...]) -> Tensor:
    """Return the squared distances between the chunk's images and all, float64 (M, N)."""
    device = images_NHWC.device
    total_MN = torch.zeros(len(chunk_M), len(images_NHWC), dtype=torch.float64, device=device)
    for channel, scale in enumerate(scale_C):
        for pixels_NP in images_NHWC[..., channel].flatten(1).split(EXACT_PIXELS, dim=1):
            centred_NP = pixels_NP.float().sub_(128)
            centred_MP = centred_NP[chunk_M]
            norm_N = centred_NP.square().sum(1)
            product_MN = (centred_MP @ centred_NP.T).double()
            product_MN.mul_(-2).add_(norm_N.double()).add_(norm_N[chunk_M].double()[:, None])
            total_MN += product_MN.mul_(scale * scale)
    return total_MN


def _groups(labels_N: Tensor, k: int, same_class: bool) -> list[Tensor]:
    """Return the rows among which neighbours are looked for: all of them, or those of each class."""
    if not same_class:
        if k >= len(labels_N):
            raise InputError(
                f"neighbours={k}: the training set has {len(labels_N)} examples; expected at most"
                f" {len(labels_N) - 1} neighbours"
            )
        return [torch.arange(len(labels_N), device=labels_N.device)]
    groups = [(labels_N == label).nonzero().flatten() for label in labels_N.unique()]
    smallest = min(groups, key=len)
    if k >= len(smallest):
        raise InputError(
            f"neighbours={k} of the same class: class {int(labels_N[smallest[0]])} has {len(smallest)} training"
            f" examples; expected at most {len(smallest) - 1} neighbours"
        )
    return groups


def _find(examples: Examples, k: int, groups: list[Tensor]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    found_NK = torch.empty(len(examples.labels_N), k, dtype=torch.int64, device=examples.labels_N.device)
    scale_C = tuple(1 / (255 * std) for std in examples.std)
    for group_G in groups:
        found_NK[group_G] = group_G[nearest(examples.inputs_N[group_G], scale_C, k)]
    return found_NK.to("cpu", torch.int32).numpy()


def _digest(examples: Examples, k: int, same_class: bool) -> str:
    """Return what the neighbours depend on as hexadecimal digits; the first word is their version."""
    digest = hashlib.sha256(f"neighbours-1 {tuple(examples.inputs_N.shape)} {examples.std} {k}".encode())
    digest.update(examples.inputs_N.cpu().numpy().tobytes())
    if same_class:
        digest.update(examples.labels_N.cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def _read(path: Path, shape: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]] | None:
    """Return the neighbours at ``path``; None where there are none, or a file that is damaged."""
    try:
        with path.open("rb") as file:
            neighbours = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return neighbours if neighbours.shape == shape and neighbours.dtype == np.int32 else None
