"""Spread items that tick together: each tick is delayed by a part of the item's `jitter_seconds`.

Which part is a hash of the item's id and the tick, so that every server computes the same instant.
"""

from __future__ import annotations

from hashlib import blake2b


def jitter(item: str, tick: int, most_seconds: int) -> int:
    """Return how many seconds an item's tick is late, from 0 to `most_seconds`; always the same ones."""
    if most_seconds <= 0:
        return 0
    digest = blake2b(f"{tick} {item}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % (most_seconds + 1)
