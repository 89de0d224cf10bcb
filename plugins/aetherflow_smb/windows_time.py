"""Convert times: Windows counts units of 100 ns since 1601, others seconds since 1970. Imports nothing."""

from __future__ import annotations

_TICKS = 10_000_000
_EPOCH = 11_644_473_600
"""From 1601 to 1970 in seconds."""


def ticks(seconds: float) -> int:
    """Return a time in seconds since 1970 UTC as Windows counts it."""
    return round((seconds + _EPOCH) * _TICKS)


def seconds(count: int) -> float:
    """Return a time of Windows in seconds since 1970 UTC."""
    return count / _TICKS - _EPOCH
