"""How long to wait between attempts: exponential backoff."""

from __future__ import annotations

import math


def exponential(
    first_seconds: float, multiplier: float, attempt: int, most_seconds: float = math.inf
) -> float:
    """Return `first_seconds * multiplier ** (attempt - 1)`, at most `most_seconds`; attempts count from 1."""
    if not first_seconds:
        return 0.0
    try:
        return min(first_seconds * multiplier ** (attempt - 1), most_seconds)
    except OverflowError:
        return most_seconds
