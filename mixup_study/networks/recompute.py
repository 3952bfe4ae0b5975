"""Activations computed again in the backward pass in place of being kept: less memory, more time, the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Recomputable(nn.Module):
    """A part of a network whose activations can be computed again in the backward pass."""

    recompute: bool = False
    """Whether they are, where there is a backward pass; only the part's inputs are kept then."""

    def call(self, *inputs: Tensor) -> Tensor:
        """Return the output for ``inputs``, keeping their activations or not as ``recompute`` says.

        Computed again, the part draws the random numbers of the first time, and leaves its buffers, BatchNorm's running
        statistics, alone.
        """
        if not (self.recompute and torch.is_grad_enabled()):
            output: Tensor = self(*inputs)
            return output
        recomputed: Tensor = checkpoint(self, *inputs, use_reentrant=False, context_fn=self._contexts)
        return recomputed

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _buffers_untouched(self)


def set_recompute(network: nn.Module, recompute: bool) -> None:
    """Have every part of ``network`` that can recompute its activations do so, or keep them."""
    for module in network.modules():
        if isinstance(module, Recomputable):
            module.recompute = recompute


@contextmanager
def _buffers_untouched(part: nn.Module) -> Iterator[None]:
    """Have the running statistics of BatchNorm updated in copies that are thrown away."""
    buffers = [(module, *named) for module in part.modules() for named in module.named_buffers(recurse=False)]
    for module, name, buffer in buffers:
        setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in buffers:
            setattr(module, name, buffer)
