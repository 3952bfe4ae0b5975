"""How values, settings and trials are written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mixup_study.catalogue.metrics import COUNTS, HEADLINE, headline_metric
from mixup_study.catalogue.rules import TaskName
from mixup_study.study.study import Study
from mixup_study.study.trial import FIELDS, SEEDS

SIGNS = {"alpha": "α", "dropout": "p", "label_smoothing": "ε", "sigma": "σ"}
"""The paper's signs for hyper-parameters."""
ARM_SEPARATOR = " / "
"""Arms named ``method / specification`` stand in two columns of the table."""


def setting_text(setting: Mapping[str, Any]) -> str:
    """Return hyper-parameters as the paper writes them: ``α=8, p=0.3``."""
    order = [name for name in FIELDS if name in setting and name not in SEEDS]
    order.sort(key=lambda name: name != "alpha")
    return ", ".join(f"{SIGNS.get(name, name)}={_written(setting[name])}" for name in order)


def _written(value: Any) -> str:
    return "∞" if isinstance(value, float) and math.isinf(value) else plain(value)


def cell_labels(study: Study) -> dict[str, str]:
    """Return what each trial is within its study, in a few words: ``label noise 20%, mixup, α=8, seed=1``."""
    outer = [name for name in study.table.keys if name != "arm"]
    varied = [name for name in FIELDS if len({getattr(cell.trial, name) for cell in study.cells}) > 1]
    told = {"method", *outer, *(name for cell in study.cells for name in cell.settings)}
    others = [name for name in varied if name not in told]
    labels = {}
    for cell in study.cells:
        parts = [f"{title_text(name)} {key_text(name, getattr(cell.trial, name))}" for name in outer]
        settings = {name: getattr(cell.trial, name) for name in cell.settings}
        rest = [f"{name}={plain(getattr(cell.trial, name))}" for name in others]
        labels[cell.trial.trial_id] = ", ".join(filter(None, [*parts, cell.arm, setting_text(settings), *rest]))
    return labels


def headline_text(task: TaskName, value: float) -> str:
    """Return how a trial is doing: ``test error 12.5%``, ``modes covered 8``."""
    text = f"{value:g}" if headline_metric(task) in COUNTS else f"{100 * value:.1f}%"
    return f"{title_text(HEADLINE[task])} {text}"


def key_text(name: str, value: Any) -> str:
    """Return a row's label: the arm's name, noise in percent, else the plain value."""
    return f"{100 * value:g}%" if name == "label_noise" else _written(value)


def title_text(name: str) -> str:
    """Return a field's name as a heading."""
    return "method" if name == "arm" else name.replace("_", " ")


def plain(value: Any) -> str:
    """Return a value without trailing zeros; nothing for None."""
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
