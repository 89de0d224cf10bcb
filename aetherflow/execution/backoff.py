"""Compute how long to wait between attempts: exponential backoff."""

from __future__ import annotations

import math
from collections.abc import Callable

from aetherflow.errors import ErrorInfo
from aetherflow.spec.flow import RetrySpec


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


def next_wait(
    retry: RetrySpec, attempt: int, error: ErrorInfo, chance: Callable[[], float] | None = None
) -> float | None:
    """Return how many seconds to wait before the next attempt, or None if there is none.

    Exponential backoff: `backoff_seconds * backoff_multiplier ** (attempt - 1)`, at most
    `max_backoff_seconds`; with jitter the wait is drawn from the upper half of that, so that many steps that
    failed at the same time are not retried at the same time.
    """
    if attempt >= retry.max_attempts or error.kind == "cancelled" or error.is_final:
        return None
    if "any" not in retry.retry_on and error.kind not in retry.retry_on:
        return None
    most = retry.max_backoff_seconds
    wait = exponential(retry.backoff_seconds, retry.backoff_multiplier, attempt, most)
    return wait * (0.5 + (chance or _chance)() / 2) if retry.jitter else wait


def _chance() -> float:
    import random  # noqa: PLC0415 - most runs never wait

    return random.random()  # noqa: S311 - no secret
