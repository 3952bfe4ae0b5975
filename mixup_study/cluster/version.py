"""Which code is running."""

from __future__ import annotations

import subprocess
from pathlib import Path

import mixup_study


def code_version() -> str:
    """Return the package's version, with the commit where it runs from a git checkout: ``0.1.0+g1a2b3c4d5e6f``.

    A wheel that was built between two releases has the commit in its version already.
    """
    folder = Path(mixup_study.__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    if not (folder.parent / ".git").exists():
        return mixup_study.__version__
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return mixup_study.__version__
    version = mixup_study.__version__.partition("+")[0]  # what follows was the commit when it was installed
    return f"{version}+g{commit}"
