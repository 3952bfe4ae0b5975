"""A CUDA device that computes nothing, on a machine without one: PyTorch's fake tensors, and what they lack.

Tensors know their shapes and devices; an operation on tensors of two devices fails. What reads a value of the device,
and so would wait for it, is noted, and gets zeros.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda", 0)


class Generator(torch.Generator):
    """A generator that says it is of a device, and is one of the CPU."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        generator: Generator = super().__new__(cls, "cpu")
        return generator

    def __init__(self, device: Any = "cpu") -> None:
        self.place = torch.device(device)

    @property
    def device(self) -> torch.device:
        return self.place


class Reads(TorchDispatchMode):
    """Notes what reads values of the device: in each place, the innermost line of the package."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def note(self) -> None:
        frames = [frame for frame in traceback.extract_stack() if "/mixup_study/" in frame.filename]
        self.places.append(f"{frames[-1].filename}:{frames[-1].lineno} {frames[-1].line}" if frames else "")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            if _is_on_cuda(args[0]):
                self.note()
            return 0.0 if args[0].dtype.is_floating_point else 0
        result = func(*args, **(kwargs or {}))
        copies = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
        if func in copies and result.device.type == "cpu" and any(map(_is_on_cuda, args)):
            self.note()
        return result


def _is_on_cuda(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == "cuda"


def _backward(loss: Tensor, *arguments: Any, **options: Any) -> None:
    """Give every leaf of the graph a gradient of zeros: autograd's own threads ask for a driver."""
    seen: set[Any] = set()
    left: list[Any] = [loss.grad_fn]
    while left:
        function = left.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        if hasattr(function, "variable"):
            function.variable.grad = torch.zeros_like(function.variable)
        left += [following for following, _ in function.next_functions]


def _gradients(outputs: Any, inputs: Any, *arguments: Any, **options: Any) -> tuple[Tensor, ...]:
    several = [inputs] if isinstance(inputs, Tensor) else inputs
    return tuple(torch.zeros_like(own) for own in several)


def _apply(module: nn.Module, function: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    for child in module.children():
        child._apply(function)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            module._parameters[name] = nn.Parameter(function(parameter.detach()), parameter.requires_grad)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = function(buffer)
    return module


@contextmanager
def fake_cuda() -> Iterator[Reads]:
    """Have the block compute on fake tensors, and yield what it reads of them."""
    reads = Reads()

    def to_numpy(tensor: Tensor, *, force: bool = False) -> Any:
        return np.zeros(tensor.shape, str(tensor.dtype).removeprefix("torch."))

    def to_list(tensor: Tensor) -> Any:
        if tensor.device.type == "cuda":
            reads.note()
        return to_numpy(tensor).tolist()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "Generator", Generator)
        patch.setattr(torch.cuda, "default_generators", (Generator(CUDA),))
        patch.setattr(nn.Module, "_apply", _apply)
        patch.setattr(Tensor, "backward", _backward)
        patch.setattr(Tensor, "tolist", to_list)
        patch.setattr(FakeTensor, "tolist", to_list)
        patch.setattr(Tensor, "numpy", to_numpy)
        patch.setattr(torch.autograd, "grad", _gradients)
        patch.setattr(torch, "_fused_sgd_", lambda *arguments, **options: None)
        with FakeTensorMode(allow_non_fake_inputs=True), reads:
            yield reads
