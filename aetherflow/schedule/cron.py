"""Parse cron expressions, and find the next local time that matches, field by field.

Sources: crontab(5) of Debian (Vixie's cron) and POSIX crontab for the five fields and their order, the names
`@hourly @daily @midnight @weekly @monthly @yearly @annually`; Quartz for the sixth field, seconds, which
comes first, and for L, W and # (see `days`). Here time is local and has no zone: it is counted in seconds
from 1970-01-01 00:00 on the wall clock. What a zone does to it is the business of `dst`.
"""

from __future__ import annotations

import re
from datetime import date

from aetherflow.schedule.cron_hints import cron_hint, extra_hint
from aetherflow.schedule.cron_spread import follows_time, has_spread, spread
from aetherflow.schedule.days import Days, days_of_month, parse_days
from aetherflow.schedule.dst import ELAPSED_TIME, FIXED_TIMES, DstRule
from aetherflow.schedule.fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    Field,
    parse_items,
)
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.trigger_kind import LocalTrigger
from aetherflow.schedule.zone import DAY, LAST_YEAR
from aetherflow.spec.suggest import did_you_mean, quoted

NAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_EPOCH = date(1970, 1, 1).toordinal()
_LONGEST = 1000
_FIVE, _SIX = 5, 6
_WORDS = re.compile(r"\S+")
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY = 2


class Cron(LocalTrigger, frozen=True, gc=False):
    """A cron expression; each field is a set of numbers in the bits of an int.

    Attributes:
        text: as it was written.
        is_wildcard: whether seconds, minutes or hours begin with `*`: such expressions follow elapsed time
            (cron(8) of Debian), others name fixed times.
        resolved: with numbers in the place of each `H`; empty if there is none.
    """

    text: str
    seconds: int
    minutes: int
    hours: int
    months: int
    days: Days
    is_wildcard: bool
    resolved: str = ""

    def find(self, local: int) -> int | None:
        """Return the first matching local time at or after `local`."""
        return next_local(self, local)

    def count(self, start: int, end: int) -> int:
        """Return how many local times in [start, end) match."""
        return count_local(self, start, end)

    @property
    def usual_dst(self) -> DstRule:
        """That of cron(8) of Debian for such an expression."""
        return ELAPSED_TIME if self.is_wildcard else FIXED_TIMES

    def note(self, _local: int) -> str:
        """Return what `H` became."""
        return f"H is {self.resolved}" if self.resolved else ""

    @property
    def times_alike(self) -> bool:
        """The fields of times do not depend on those of days."""
        return True


def parse_cron(text: str, item: str = "") -> Cron:
    """Read an expression of five or six fields, or one of the names that begin with `@`.

    `item` is what an `H` is chosen by.

    Raises:
        ScheduleProblem: it is not understood, or no date ever matches it.
    """
    words = [(found[0], found.start()) for found in _WORDS.finditer(_unnamed(text))]
    if len(words) not in (_FIVE, _SIX) or len(text) > _LONGEST:
        raise ScheduleProblem(
            f"cron: {quoted(text)} has {len(words)} {'field' if len(words) == 1 else 'fields'}, not 5 or 6",
            hint=cron_hint(text),
        )
    if hint := extra_hint(text):
        raise ScheduleProblem(f"cron: {quoted(text)} holds more than times", hint=hint)
    if len(words) == _FIVE:
        words.insert(0, ("0", 0))
    wildcards = [follows_time(word) for word, _ in words]
    fields = (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
    spread_out = any(has_spread(word) for word, _ in words)
    if spread_out:
        words = [(spread(field, *word, item), word[1]) for field, word in zip(fields, words, strict=True)]
    second, minute, hour, month_day, month, week_day = words
    cron = Cron(
        text,
        _parse_list(SECOND, *second),
        _parse_list(MINUTE, *minute),
        _parse_list(HOUR, *hour),
        _parse_list(MONTH, *month),
        parse_days(*month_day, *week_day, both_match=wildcards[3] or wildcards[5]),
        any(wildcards[:3]),
        " ".join(word for word, _ in words[0 if second[0] != "0" else 1 :]) if spread_out else "",
    )
    if not _has_dates(cron):
        raise ScheduleProblem(
            f"cron: no date ever matches {quoted(text)}",
            hint="look at day of month, month and day of week together: no February has a 30th",
            offset=month_day[1],
        )
    return cron


def _unnamed(text: str) -> str:
    name = text.strip().lower()
    if not name.startswith("@"):
        return text
    if name not in NAMES:
        hint = did_you_mean(name, NAMES) or f"there are {', '.join(NAMES)}"
        if name.startswith("@every "):
            hint = cron_hint(text)
        raise ScheduleProblem(f"cron: {quoted(text)} is not known", hint=hint)
    return NAMES[name]


def _parse_list(field: Field, text: str, offset: int) -> int:
    found = 0
    for item in text.split(","):
        found |= parse_items(field, item, offset)
        offset += len(item) + 1
    return found


def _has_dates(cron: Cron) -> bool:
    """Whether any date matches: in 400 years each month begins on every weekday, leap Februaries too."""
    lengths = {
        length
        for month in range(1, 13)
        if cron.months >> month & 1
        for length in ((28, 29) if month == _FEBRUARY else (_LENGTHS[month - 1],))
    }
    return any(days_of_month(cron.days, first, length) for length in lengths for first in range(7))


def next_local(cron: Cron, local: int) -> int | None:
    """Return the first matching local time at or after `local`; None beyond the year `LAST_YEAR`."""
    ordinal, second = divmod(local, DAY)
    today = date.fromordinal(ordinal + _EPOCH)
    year, month, day = today.year, today.month, today.day
    while year <= LAST_YEAR:
        if cron.months >> month & 1:
            begins, matching = _month(cron, year, month)
            if matching >> day & 1:
                time = _next_time(cron, second)
                if time is not None:
                    return (begins + day) * DAY + time
                day += 1
            later = matching >> day << day
            if later:
                return (begins + _lowest(later)) * DAY + _first_time(cron)
        year, month, day, second = year + month // 12, month % 12 + 1, 1, 0
    return None


def matches_day(cron: Cron, day: date) -> bool:
    """Whether a date matches the fields of days; the month is another field."""
    return bool(_month(cron, day.year, day.month)[1] >> day.day & 1)


def count_local(cron: Cron, start: int, end: int) -> int:
    """Return how many local times in [start, end) match, without looking at each."""
    if end <= start:
        return 0
    (first, since), (last, until) = divmod(start, DAY), divmod(end, DAY)
    per_day = cron.hours.bit_count() * cron.minutes.bit_count() * cron.seconds.bit_count()
    whole = _count_days(cron, first, last) * per_day
    cut = _times_before(cron, since) if _count_days(cron, first, first + 1) else 0
    more = _times_before(cron, until) if until and _count_days(cron, last, last + 1) else 0
    return whole - cut + more


def _count_days(cron: Cron, first: int, end: int) -> int:
    """Return how many days match, from one to another that is not counted, both in days since 1970."""
    count, at = 0, date.fromordinal(first + _EPOCH)
    year, month, day = at.year, at.month, at.day
    while True:
        begins, matching = _month(cron, year, month)
        if begins + 1 >= end:
            return count
        if cron.months >> month & 1:
            left = matching >> day << day
            count += (left & ((1 << min(end - begins, 32)) - 1)).bit_count()
        year, month, day = year + month // 12, month % 12 + 1, 1


def _month(cron: Cron, year: int, month: int) -> tuple[int, int]:
    """Return the day before the first of the month, in days since 1970, and the matching days as bits."""
    before = date(year, month, 1).toordinal() - 1
    leap = month == _FEBRUARY and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return before - _EPOCH, days_of_month(cron.days, (before + 1) % 7, _LENGTHS[month - 1] + leap)


def _next_time(cron: Cron, second: int) -> int | None:
    """Return the first matching second of a day at or after a second of it."""
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    if cron.hours >> hour & 1:
        if cron.minutes >> minute & 1 and cron.seconds >> second:
            return hour * 3600 + minute * 60 + second + _lowest(cron.seconds >> second)
        later = cron.minutes >> minute + 1 << minute + 1
        if later:
            return hour * 3600 + _lowest(later) * 60 + _lowest(cron.seconds)
    later = cron.hours >> hour + 1 << hour + 1
    return _lowest(later) * 3600 + _first_time(cron) % 3600 if later else None


def _first_time(cron: Cron) -> int:
    return _lowest(cron.hours) * 3600 + _lowest(cron.minutes) * 60 + _lowest(cron.seconds)


def _times_before(cron: Cron, second: int) -> int:
    """Return how many matching seconds a matching day has before a second of it."""
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    per_minute = cron.seconds.bit_count()
    count = _below(cron.hours, hour) * cron.minutes.bit_count() * per_minute
    if cron.hours >> hour & 1:
        count += _below(cron.minutes, minute) * per_minute
        if cron.minutes >> minute & 1:
            count += _below(cron.seconds, second)
    return count


def _lowest(numbers: int) -> int:
    return (numbers & -numbers).bit_length() - 1


def _below(numbers: int, limit: int) -> int:
    return (numbers & ((1 << limit) - 1)).bit_count()
