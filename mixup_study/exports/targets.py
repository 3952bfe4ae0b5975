"""What every export does before it writes, and where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from mixup_study.errors import InputError
from mixup_study.store.place import without_secrets


def require_package(package: str, distribution: str, option: str) -> None:
    """Raise InputError where a package, which ``distribution`` installs, is not there."""
    if find_spec(package) is None:
        raise InputError(f"{option}: {package} is not installed; expected it here: pip install {distribution}")


@contextmanager
def writing_to(option: str, target: object, *errors: type[Exception]) -> Iterator[None]:
    """Raise InputError, in place of OSError and ``errors``, where ``target`` cannot be written.

    What already is an InputError, as one of the results, passes through.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or not isinstance(error, (OSError, *errors)):
            raise
        reason: str = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)
        shown = without_secrets(str(target))
        reason = reason.replace(str(target), shown)  # a tool may name what it was given
        raise InputError(f"{option} {shown}: cannot be written: {reason}") from None
