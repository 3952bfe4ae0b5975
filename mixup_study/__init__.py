"""Studies of the paper *mixup: Beyond Empirical Risk Minimization*, scheduled by Ray."""

__version__ = "0.1.0"
