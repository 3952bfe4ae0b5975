"""What a classifier of points in the plane thinks of every place in it (Figure 1b)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mixup_study.data.labelled import LabelledSet
from mixup_study.training.task import Points

RESOLUTION = 100
"""Places along each axis."""
MARGIN = 0.5
"""How far beyond the training points the plane is looked at, in standard deviations of a coordinate."""


def regions(data: LabelledSet, labels_N: Tensor, probabilities: Callable[[Tensor], Tensor]) -> Points:
    """Return the training points with their labels, and p(y=1) on a square grid around them.

    ``probabilities`` returns p(y=k) for inputs (N, 2) as (N, classes). Coordinates are standardised ones.
    """
    points_N2 = data.normalised(data.train_inputs_N)
    low, high = points_N2.amin(0) - MARGIN, points_N2.amax(0) + MARGIN
    axes = [torch.linspace(float(low[axis]), float(high[axis]), RESOLUTION) for axis in range(2)]
    grid_M2 = torch.cartesian_prod(*axes).to(points_N2.device)
    places = torch.cat([points_N2, grid_M2]).cpu().numpy()
    values = torch.cat([labels_N.float(), probabilities(grid_M2)[:, 1]]).cpu().numpy()
    kinds = np.repeat(np.array(["training", "probability"]), [len(points_N2), len(grid_M2)])
    return {"kind": kinds, "x": places[:, 0], "y": places[:, 1], "value": values}
