"""The interface of networks: a stem, then stages in a row, at whose inputs a vicinal distribution may act."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn


class StagedNetwork(nn.Module):
    """A network that lists its stages; layer i is the input of stage i, counted from 1 (section 3.8)."""

    def __init__(self, stem: nn.Module, stages: Iterable[nn.Module]) -> None:
        """Take what comes before the first stage, and the stages; the last one returns the logits."""
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)

    def forward(
        self, images_NCHW: Tensor, layer: int | None = None, change: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Return logits (N, classes); ``change`` is applied to the representation at ``layer``."""
        x_N: Tensor = self.stem(images_NCHW)
        for number, stage in enumerate(self.stages, start=1):
            if change is not None and number == layer:
                x_N = change(x_N)
            x_N = stage(x_N)
        return x_N
