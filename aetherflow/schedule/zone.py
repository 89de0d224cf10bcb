"""Time zones as periods of one offset: between two transitions local time is UTC plus a number of seconds.

zoneinfo knows the IANA database (the system's, else the one of the `tzdata` package, which AetherFlow depends
on, so that a slim container has zones too), but not where its transitions are. They are found by looking at
the offset every two days and halving: no zone has ever changed its offset and changed it back within three
days (the shortest were 4 days, Freetown in 1939, and 7 days since 1970; tests/schedule looks at every zone).
"""

from __future__ import annotations

import zoneinfo
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.spec.suggest import did_you_mean, quoted

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400
LAST_YEAR = 9990
"""Searches end with this year; dates end with 9999."""
TWO_DAYS = 172_800
"""More than any zone ever moved its clock at once: a day, across the date line."""

_SECOND = timedelta(seconds=1)


class Period(msgspec.Struct, frozen=True, gc=False):
    """A time of one offset, in seconds since 1970 in UTC; it may begin and end without a transition.

    Attributes:
        start: its first second.
        end: the first second after it.
        offset: what local time is ahead of UTC.
        before: the offset just before `start`; larger than `offset` when local times come twice, smaller when
            some never come.
    """

    start: int
    end: int
    offset: int
    before: int


class Zone:
    """A time zone by its IANA name; a value: two of one name are alike."""

    def __init__(self, info: ZoneInfo) -> None:
        self.info = info
        self.name = str(info.key)
        self._years: dict[int, tuple[list[int], list[Period]]] = {}

    def period(self, at: int) -> Period:
        """Return the period that holds an instant; one that began less than two days ago is whole."""
        year = (EPOCH + at * _SECOND).year
        known = self._years.get(year)
        if known is None:
            known = self._years[year] = self._periods(year)
        starts, periods = known
        return periods[bisect_right(starts, at) - 1]

    def offset(self, at: int) -> int:
        """Return the seconds by which local time is ahead of UTC at an instant, by zoneinfo."""
        ahead = datetime.fromtimestamp(at, self.info).utcoffset()
        return ahead // _SECOND if ahead else 0

    def _periods(self, year: int) -> tuple[list[int], list[Period]]:
        """Return the periods of a year in UTC, from two days before it: what began then may still matter."""
        begin, end = (seconds(datetime(y, 1, 1, tzinfo=UTC)) for y in (year, year + 1))
        looked = [*range(begin - TWO_DAYS, end, TWO_DAYS), end - 1]
        offsets = [self.offset(at) for at in looked]
        starts, befores = [looked[0]], [offsets[0]]
        for i in range(1, len(looked)):
            if offsets[i] != offsets[i - 1]:
                starts.append(self._transition(looked[i - 1], looked[i]))
                befores.append(offsets[i - 1])
        ends = [*starts[1:], end]
        periods = [
            Period(start, until, self.offset(start), before)
            for start, until, before in zip(starts, ends, befores, strict=True)
        ]
        return starts, periods

    def _transition(self, low: int, high: int) -> int:
        """Return the first second of the offset at `high`, which differs from the one at `low`."""
        old = self.offset(low)
        while high - low > 1:
            middle = (low + high) // 2
            if self.offset(middle) == old:
                low = middle
            else:
                high = middle
        return high

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zone) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Zone({self.name!r})"


@lru_cache(maxsize=1024)  # there are about 600; items of one zone share what is known of it
def load_zone(name: str) -> Zone:
    """Return a zone by its IANA name, such as Europe/Berlin.

    Raises:
        ScheduleProblem: there is no such zone, or no time zone database at all.
    """
    try:
        return Zone(ZoneInfo(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        # ValueError: not a relative path of the database; OSError: a directory of it, or too long a name
        known = zoneinfo.available_timezones()
        if not known:
            raise ScheduleProblem(
                f"the time zone {quoted(name)} cannot be loaded: this machine has no time zone database",
                hint="pip install tzdata, or install the system's package tzdata",
                code="AF152",
            ) from error
        hint = did_you_mean(name, sorted(known)) or "write an IANA name, such as Europe/Berlin or UTC"
        raise ScheduleProblem(
            f"the time zone {quoted(name)} is not known", hint=hint, code="AF152"
        ) from error


def zone_problem(name: str) -> ScheduleProblem | None:
    """Return why there is no zone of this name; None if there is one."""
    try:
        load_zone(name)
    except ScheduleProblem as problem:
        return problem
    return None


def seconds(instant: datetime) -> int:
    """Return the whole seconds since 1970 that an aware time lies at, rounded down."""
    return (instant - EPOCH) // _SECOND


def instant(at: int) -> datetime:
    """Return so many seconds since 1970 as an aware time in UTC."""
    return EPOCH + at * _SECOND
