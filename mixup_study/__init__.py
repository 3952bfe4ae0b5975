"""Studies of the paper *mixup: Beyond Empirical Risk Minimization*, scheduled by Ray."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("mixup_study")
except PackageNotFoundError:  # imported from a folder that was never installed
    __version__ = "0.0.0"
