"""Decide whether and when a request is repeated: pure, without a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from aetherflow_rest.settings import RetryOptions

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"})
"""Methods that do the same when they are sent twice (RFC 9110, 9.2.2)."""

READING = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"})
"""Methods that change nothing on the server."""


def wait_before(repetition: int, options: RetryOptions, retry_after: float | None = None) -> float | None:
    """Return the seconds before a repetition (the first is 1), or None if there is none.

    Args:
        repetition: its number.
        options: how often and how long.
        retry_after: what the server demands, in seconds.
    """
    if repetition > options.max_attempts:
        return None
    if retry_after is not None and options.retry_after:
        return retry_after if retry_after <= options.max_wait_seconds else None
    doubled = options.backoff_seconds * 2.0 ** min(repetition - 1, 30)
    return min(doubled, options.max_wait_seconds)


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how long the server demands to wait (Retry-After: seconds, or a date); None if it does not.

    A date is compared with the server's own clock (Date) where it shows that.
    """
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    moment = _date(text)
    if moment is None:
        return None
    return max(0.0, (moment - (_date(headers.get("date", "")) or now)).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
