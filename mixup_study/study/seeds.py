"""Where every random number of a trial comes from."""

from __future__ import annotations

import hashlib


def stream_seed(seed: int, purpose: str, epoch: int = 0, rank: int = 0) -> int:
    """Return the seed of one random stream, an integer in [0, 2**63).

    A stream belongs to (seed, purpose, epoch): an epoch can be replayed without the epochs before it, and
    drawing more numbers for one purpose never shifts another. ``rank`` separates data-parallel workers
    where their numbers must differ (dropout).
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}/{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
