"""Studies of the paper *mixup: Beyond Empirical Risk Minimization*, scheduled by Ray.

``load`` reads a study, ``run`` trains it, ``table``, ``trials``, ``epochs`` and ``model`` return what it came to. Each
is imported when it is first asked for, so that ``import mixup_study`` brings in nothing else.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

try:
    __version__ = version("mixup_study")
except PackageNotFoundError:  # imported from a folder that was never installed
    __version__ = "0.0.0"

__all__ = ["InputError", "RunSummary", "Study", "epochs", "load", "model", "run", "table", "trials"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("mixup_study.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """A package of which ``run`` is the function, also once the module of that name, the command, is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "run" and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
