"""What every export does before it writes, and where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from mixup_study.errors import InputError


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
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{option} {target}: cannot be written: {reason}") from None
