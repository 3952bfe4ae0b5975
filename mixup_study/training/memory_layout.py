"""In which order images and weights of convolutions lie in memory."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
BLOCK = 8
"""Channels that oneDNN works on at a time with AVX2."""


class MemoryLayout:
    """The layout of a network and of its inputs.

    oneDNN's AVX2 code writes past its memory in the backward pass of channels_last convolutions of 1x1 with a stride
    and fewer than BLOCK input channels (https://github.com/uxlfoundation/oneDNN/issues/6035; PyTorch 2.13 and 2.14 at
    least). A network that has such a convolution is laid out contiguously on CPUs without AVX-512, whatever was wished.
    """

    def __init__(self, model: nn.Module, wished: str, device: torch.device) -> None:
        """Lay out ``model`` on ``device`` as ``wished``, ``contiguous`` or ``channels_last``, where that is safe."""
        self._strict = device.type == "cpu" and _uses_avx2() and any(map(_is_unsafe, model.modules()))
        self._format = torch.contiguous_format if self._strict else FORMATS[wished]
        self.model = model.to(device).to(memory_format=self._format)

    def lay_out(self, inputs_B: Tensor) -> Tensor:
        """Return the network's inputs in its layout."""
        if self._strict:  # images of one channel count as contiguous and as channels_last; a view has the strides too
            return inputs_B.flatten().view(inputs_B.shape)
        return inputs_B.contiguous(memory_format=self._format)


def _uses_avx2() -> bool:
    """Return whether oneDNN's code for AVX2 runs on this CPU."""
    return torch.backends.cpu.get_cpu_capability() == "AVX2" or os.environ.get("ONEDNN_MAX_CPU_ISA", "").startswith(
        "AVX2"
    )


def _is_unsafe(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(map(int, module.stride)) > 1
        and module.in_channels < BLOCK
    )
