"""Read an instant that a person writes: a date, or a date and a time, on the clocks of a zone. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from aetherflow.errors import UsageError
from aetherflow.schedule.zone import EPOCH, LAST_YEAR


def parse_instant(text: str, zone: ZoneInfo) -> datetime:
    """Read a date, or a date and a time; without an offset it is on the clocks of the zone.

    Raises:
        UsageError: it is neither.
    """
    try:
        if len(text) == len("2026-12-31"):
            day = date.fromisoformat(text)
            read = datetime(day.year, day.month, day.day, tzinfo=zone)
        else:
            read = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no date and no instant", hint="write 2026-12-31, or 2026-12-31T18:00"
        ) from None
    if not EPOCH.year < read.year < LAST_YEAR:
        raise UsageError(
            f"{text!r}: the year is not in a scheduler's time",
            hint=f"give one from {EPOCH.year + 1} to {LAST_YEAR - 1}",
        )
    return (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(UTC)
