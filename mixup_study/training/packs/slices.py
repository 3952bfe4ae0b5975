"""Memory of tensors that hold a slice for each trial of a pack.

How MKL rounds a product may depend on where its matrices begin, and the last elements of a tensor are computed apart
from those that fill a vector. So every slice begins at a multiple of ALIGNMENT elements: what becomes of it does not
depend on its place among the others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

ALIGNMENT = 16
"""Elements: 64 bytes of float32, the widest vector of a CPU and a line of its cache."""


def round_up(count: int) -> int:
    """Return ``count``, or the next multiple of ALIGNMENT."""
    return -(-count // ALIGNMENT) * ALIGNMENT


def allocate(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return zeros of the shape of ``like``, (P, …), and all of their memory in a row, the gaps included."""
    count = round_up(math.prod(like.shape[1:]))
    memory = torch.zeros(len(like) * count, dtype=like.dtype, device=like.device)
    strides = torch.empty(like.shape[1:], device="meta").stride()
    return memory.as_strided(like.shape, (count, *strides)), memory


def is_aligned(tensor: Tensor) -> bool:
    """Return whether each slice of a contiguous tensor begins at a multiple of ALIGNMENT elements."""
    return math.prod(tensor.shape[1:]) % ALIGNMENT == 0
