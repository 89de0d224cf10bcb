"""Which runs of another item an item follows (`after`): those of the same day, or of another period. Pure.

All days are those of the item that follows, on its own clocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from aetherflow.spec.schedule import FollowedPeriod, FollowSpec

_TICK_OF: dict[FollowedPeriod, str] = {"day": "0 0 * * *", "week": "0 0 * * mon", "month": "0 0 1 * *"}
_ONE_DAY = timedelta(days=1)
_LENGTHS: dict[FollowedPeriod, FollowedPeriod] = {
    "day": "day",
    "week": "week",
    "previous_week": "week",
    "month": "month",
    "previous_month": "month",
}


class Followed(msgspec.Struct, frozen=True):
    """An item that is followed, and the period whose runs count; see `FollowSpec`."""

    item: str
    offset_days: int = 0
    period: FollowedPeriod = "day"

    @property
    def needs_all_ticks(self) -> bool:
        """Whether every tick of the period comes first, also those after the tick that follows."""
        return self.period != "day"

    def dates(self, day: date) -> tuple[date, date]:
        """Return the first date of the period and the first after it, for a tick on a date."""
        day += self.offset_days * _ONE_DAY
        length = _LENGTHS[self.period]
        if length == "month":
            first = day.replace(day=1)
            if self.period != length:
                first = (first - _ONE_DAY).replace(day=1)
            return first, (first + 31 * _ONE_DAY).replace(day=1)
        if length == "week":
            monday = day - day.weekday() * _ONE_DAY
            if self.period != length:
                monday -= 7 * _ONE_DAY
            return monday, monday + 7 * _ONE_DAY
        return day, day + _ONE_DAY

    def span(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Return the beginning and the end of the period in UTC, for a tick on a local date."""
        begin, end = (
            datetime(one.year, one.month, one.day, tzinfo=zone).astimezone(UTC) for one in self.dates(day)
        )
        return begin, end

    def when(self, day: date) -> str:
        """Return the period of a tick on a local date in words: `that day`, `on 2026-11-29`, `in 2026-11`."""
        first, _ = self.dates(day)
        length = _LENGTHS[self.period]
        if length == "month":
            return f"in {first:%Y-%m}"
        if length == "week":
            return f"in the week from {first} on"
        return f"on {first}" if self.offset_days else "that day"

    def __str__(self) -> str:
        days = abs(self.offset_days)
        parts = [f"{days} day{'' if days == 1 else 's'} before"] if days else []
        parts += [self.period.replace("_", " ")] if self.period != "day" else []
        return f"{self.item} ({', '.join(parts)})" if parts else self.item


def followed(after: Iterable[str | FollowSpec]) -> tuple[Followed, ...]:
    """Return what `after` of an item says."""
    return tuple(
        Followed(one) if isinstance(one, str) else Followed(one.item, one.offset_days, one.period)
        for one in after
    )


def usual_tick(after: Iterable[Followed]) -> str:
    """Return the cron expression of an item that has no time of its own: the start of the shortest period."""
    lengths = {_LENGTHS[one.period] for one in after}
    return next((_TICK_OF[length] for length in _TICK_OF if length in lengths), _TICK_OF["day"])
