"""Tensors as bytes and back, without code of their own."""

from __future__ import annotations

import io
import pickle
import warnings
from typing import Any

import torch

from mixup_study.store.envelope import FileUnusable


def save_state(state: dict[str, Any]) -> bytes:
    """Return ``state`` (tensors, numbers, text, lists and mappings of them) as the bytes of ``torch.save``."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load_state(content: bytes | memoryview) -> dict[str, Any]:
    """Return the state that ``save_state`` took, on the CPU; raise FileUnusable for anything else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of some content before it refuses it
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FileUnusable("it holds more than numbers") from error
    except Exception as error:  # whatever torch.load stumbles over in bytes that it did not write
        raise FileUnusable(f"it cannot be read ({type(error).__name__})") from error
    if not isinstance(state, dict):
        raise FileUnusable(f"it holds a {type(state).__name__}, not a state")
    return state
