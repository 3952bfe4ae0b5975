"""A trained model as a file: the weights and buffers of its networks by name, and the trial that it is of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor

from mixup_study.store.envelope import FileUnusable
from mixup_study.store.models import open_model, seal_model
from mixup_study.training.state_bytes import load_state, save_state


def pack_model(trial_id: str, state: Mapping[str, Tensor]) -> bytes:
    """Return a trial's model as the content of its file."""
    on_cpu = OrderedDict((name, tensor.detach().cpu()) for name, tensor in state.items())
    return seal_model(trial_id, save_state(on_cpu))


def unpack_model(trial_id: str, file: bytes) -> OrderedDict[str, Tensor]:
    """Return the model that ``pack_model`` took, on the CPU, as ``nn.Module.load_state_dict`` takes it.

    Raises FileUnusable for a file that is damaged, is of another trial, or holds anything but tensors by name.
    """
    state = load_state(open_model(trial_id, file))
    for name, tensor in state.items():
        if not isinstance(name, str) or not _is_plain(tensor):
            raise FileUnusable("it holds more than tensors by name")
    return OrderedDict(state)


def _is_plain(tensor: object) -> bool:
    return isinstance(tensor, Tensor) and tensor.layout == torch.strided and tensor.device.type == "cpu"
