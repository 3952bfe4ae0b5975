"""Data-parallel workers: which rows of a minibatch are whose, and gradients averaged over all of them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Worker:
    """One of ``count`` data-parallel workers; worker 0 of 1 trains alone."""

    rank: int = 0
    count: int = 1

    @classmethod
    def current(cls) -> Worker:
        """Return this process's place in torch's process group; alone where there is none."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    def check(self, examples: int, batch_size: int) -> None:
        """Raise ValueError where some minibatch of an epoch would leave a worker without examples."""
        smallest = examples % batch_size or batch_size
        if smallest < self.count:
            raise ValueError(
                f"a minibatch of {smallest} of {examples} examples cannot be shared by {self.count} workers;"
                " expected another batch_size"
            )

    def shard(self, tensor: Tensor) -> Tensor:
        """Return this worker's rows of a minibatch: contiguous, disjoint from the other workers', together all."""
        return tensor if self.count == 1 else tensor.tensor_split(self.count)[self.rank]

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model with gradients averaged over the workers after each backward pass."""
        if self.count == 1:
            return model
        device = next(model.parameters()).device
        return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of ``tensor`` over all workers."""
        if self.count > 1:
            tensor = tensor.clone()
            distributed.all_reduce(tensor)
        return tensor

    def accumulate(self, model: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which gradients of ``model``, as ``wrap`` returned it, are added up but not averaged."""
        return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()

    def share_buffers(self, model: nn.Module) -> None:
        """Give every worker worker 0's buffers of a model: BatchNorm's running statistics."""
        if self.count > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)

    def from_first(self, tensor: Tensor) -> Tensor:
        """Return worker 0's ``tensor`` on every worker."""
        if self.count > 1:
            distributed.broadcast(tensor, src=0)
        return tensor

    def agree(self, numbers: list[int], device: torch.device) -> list[int]:
        """Return worker 0's ``numbers`` on every worker, by way of its ``device``."""
        if self.count == 1:
            return numbers
        agreed: list[int] = self.from_first(torch.tensor(numbers, device=device)).tolist()
        return agreed

    def gather(self, value: Any) -> list[Any]:
        """Return every worker's ``value`` in the order of their ranks, on every worker."""
        values = [value] * self.count
        if self.count > 1:
            distributed.all_gather_object(values, value)
        return values
