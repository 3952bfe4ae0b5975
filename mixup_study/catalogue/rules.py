"""What data sets, networks, methods, optimisers and tasks are there, and which fields of a trial each takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

TaskName = Literal["classification", "gan"]
DatasetName = Literal[
    "digits",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "iris",
    "wine",
    "breast_cancer",
    "optdigits",
    "abalone",
    "arcene",
    "arrhythmia",
    "htru2",
    "phishing",
    "two_moons",
    "circles",
    "gaussian_ring",
    "gaussian_grid",
]
ModelName = Literal["preact_resnet18", "mlp"]
MethodName = Literal[
    "erm", "mixup", "dirichlet_mixup", "mix_inputs", "latent_mixup", "label_smoothing", "gaussian_noise"
]
OptimizerName = Literal["sgd", "adam"]

DatasetKind = Literal["images", "table", "density"]
"""``table``: rows of numbers without a test set of their own; ``density``: a distribution to draw from, unlabelled."""

DATASET_KINDS: dict[DatasetName, DatasetKind] = {
    "digits": "images",
    "cifar10": "images",
    "cifar100": "images",
    "fashion_mnist": "images",
    "iris": "table",
    "wine": "table",
    "breast_cancer": "table",
    "optdigits": "table",
    "abalone": "table",
    "arcene": "table",
    "arrhythmia": "table",
    "htru2": "table",
    "phishing": "table",
    "two_moons": "table",
    "circles": "table",
    "gaussian_ring": "density",
    "gaussian_grid": "density",
}


class TableShape(NamedTuple):
    """The size of a table, before its split."""

    rows: int
    features: int
    """Columns but the label."""


TABLE_SHAPES: dict[DatasetName, TableShape] = {
    "iris": TableShape(150, 4),
    "wine": TableShape(178, 13),
    "breast_cancer": TableShape(569, 30),
    "optdigits": TableShape(1797, 64),
    "abalone": TableShape(4177, 8),
    "arcene": TableShape(200, 10_000),
    "arrhythmia": TableShape(452, 279),
    "htru2": TableShape(17_898, 8),
    "phishing": TableShape(11_055, 30),
    "two_moons": TableShape(1000, 2),
    "circles": TableShape(1000, 2),
}
"""The size of every table."""
TEST_SHARE = 0.2
"""Of a table's rows, the share that a split sets apart for testing, rounded up."""

TASK_KINDS: dict[TaskName, frozenset[DatasetKind]] = {
    "classification": frozenset({"images", "table"}),
    "gan": frozenset({"density"}),
}
"""The kinds of data sets that each task trains on."""
MODEL_KINDS: dict[ModelName, frozenset[DatasetKind]] = {
    "preact_resnet18": frozenset({"images"}),
    "mlp": frozenset({"images", "table", "density"}),
}
"""The kinds of data sets that each network takes."""


class MethodRule(NamedTuple):
    """What a method takes, and what it changes about a training example."""

    needed: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    """``input``, whatever the layer, and ``target``, as the ticks of Table 5 have it."""


_INPUT, _BOTH = frozenset({"input"}), frozenset({"input", "target"})
_PARTNERS = frozenset({"same_class", "neighbours"})
METHOD_RULES: dict[MethodName, MethodRule] = {
    "erm": MethodRule(),
    "mixup": MethodRule(frozenset({"alpha"}), _PARTNERS, changes=_BOTH),
    "dirichlet_mixup": MethodRule(frozenset({"alpha", "ways"}), changes=_BOTH),
    "mix_inputs": MethodRule(frozenset({"alpha"}), _PARTNERS | {"label_smoothing"}, changes=_INPUT),
    "latent_mixup": MethodRule(frozenset({"alpha", "layer"}), changes=_BOTH),
    "label_smoothing": MethodRule(frozenset({"label_smoothing"}), changes=frozenset({"target"})),
    "gaussian_noise": MethodRule(frozenset({"sigma"}), changes=_INPUT),
}
"""The rules of every method; a method-specific hyper-parameter that it does not take must be left out."""

_GAN_METHODS = frozenset({"erm", "mixup"})
_OF_CLASSES = frozenset({"train_size", "label_noise", "data_seed", "dropout", "same_class"})
_OF_IMAGES = frozenset({"augment", "neighbours", "memory_format"})
_FOREIGN: dict[tuple[str, str], frozenset[str]] = {
    ("task", "classification"): frozenset({"discriminator_steps"}),
    ("task", "gan"): _OF_CLASSES | {"workers", "precision"},
    ("kind", "images"): frozenset({"split_seed"}),
    ("kind", "table"): _OF_IMAGES,
    ("kind", "density"): _OF_IMAGES | {"split_seed"},
    ("model", "preact_resnet18"): frozenset({"depth"}),
    ("optimizer", "adam"): frozenset({"momentum"}),
}
"""Fields that mean nothing under a choice, and so must stay at their defaults."""


def refusal(field: str, value: Any, chosen: Mapping[str, Any]) -> str | None:
    """Return why a trial of what is ``chosen`` so far cannot have ``value``, which is no default, for ``field``."""
    kind = DATASET_KINDS.get(chosen["dataset"]) if "dataset" in chosen else None
    for choice in ("task", "model", "optimizer"):
        if field in _FOREIGN.get((choice, chosen.get(choice, "")), ()):
            return f"{choice} {chosen[choice]} does not take it"
    if kind is not None and field in _FOREIGN.get(("kind", kind), ()):
        return f"data set {chosen['dataset']} does not take it"
    if field == "data_seed" and chosen.get("label_noise") == 0 and chosen.get("train_size", 0) is None:
        return "nothing is drawn by it: there is no label noise, and train_size takes all examples"
    if field == "dataset" and "task" in chosen and DATASET_KINDS[value] not in TASK_KINDS[chosen["task"]]:
        names = [name for name, of in DATASET_KINDS.items() if of in TASK_KINDS[chosen["task"]]]
        return f"task {chosen['task']} does not train on it; expected one of {', '.join(names)}"
    if field == "model" and kind is not None and kind not in MODEL_KINDS[value]:
        fitting = [model for model, kinds in MODEL_KINDS.items() if kind in kinds]
        return f"it takes images, which data set {chosen['dataset']} has not; expected {', '.join(fitting)}"
    if field == "method" and chosen.get("task") == "gan" and value not in _GAN_METHODS:
        return f"task gan does not train with it; expected one of {', '.join(sorted(_GAN_METHODS))}"
    return None


def layers_of(model: ModelName, depth: int) -> int:
    """Return how many layers a network has whose input can be mixed: its stages (section 3.8)."""
    return depth + 1 if model == "mlp" else 5
