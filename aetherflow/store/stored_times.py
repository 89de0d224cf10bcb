"""Calculate with times as the database has them: texts by ISO 8601, with their offset."""

from __future__ import annotations

from datetime import datetime
from typing import overload


@overload
def seconds_between(start: str, end: str) -> float: ...
@overload
def seconds_between(start: str | None, end: str | None) -> float | None: ...
def seconds_between(start: str | None, end: str | None) -> float | None:
    """Return how many seconds lie between two stored times; None if one is missing.

    Not less than 0: a clock may have been set back in between.
    """
    if start is None or end is None:
        return None
    return max((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 0.0)
