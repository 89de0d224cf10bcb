"""Read the dates of the events of an iCalendar file, to be left out of a calendar as holidays.

The library `icalendar` is imported when a calendar names a file; it comes with the extra `calendar`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from typing import Any

import msgspec

from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.spec.suggest import quoted

LAST_HOLIDAY = date(2100, 12, 31)
"""Events that recur for ever are read up to here."""

_MOST_DATES = 100_000
_UNTIL = re.compile(r"UNTIL=(\d{8})[TZ\d]*")


class Holidays(msgspec.Struct, frozen=True):
    """The dates of a file with the names of their events; alike if the files are."""

    digest: str
    names: dict[date, str]

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holidays) and other.digest == self.digest


def read_holidays(file: str, data: bytes) -> Holidays:
    """Read the events of a file; `file` is its name, for messages.

    Raises:
        ScheduleProblem: it is no iCalendar file, has too many dates, or the library is not installed.
    """
    try:
        from icalendar import Calendar  # noqa: PLC0415 - only calendars with a file of holidays need it
    except ImportError as error:
        raise ScheduleProblem(
            "holidays: the library icalendar is not installed",
            hint="install it: pip install 'aetherflow[calendar]'",
            code="AF577",
        ) from error
    names: dict[date, str] = {}
    try:
        events = list(Calendar.from_ical(data).walk("VEVENT"))
        for event in events:
            for day in _days(event):
                names.setdefault(day, str(event.get("SUMMARY", "")).strip())
                if len(names) > _MOST_DATES:
                    raise ValueError(f"more than {_MOST_DATES} dates")  # noqa: TRY301 - reported below
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:  # by what is wrong in it
        raise ScheduleProblem(
            f"holidays: {quoted(file)} cannot be read as an iCalendar file: {error}",
            hint="export it again as .ics, with events that have a DTSTART",
            code="AF577",
        ) from error
    if not names:
        hint = "a file of holidays has a VEVENT for each"
        raise ScheduleProblem(f"holidays: {quoted(file)} has no events", hint=hint, code="AF577")
    return Holidays(sha256(data).hexdigest()[:16], names)


def _days(event: Any) -> Iterator[date]:
    """Yield the dates of an event, with those on which it recurs."""
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return
    start = event.decoded("DTSTART")
    begin, length = _date(start), _length(event, start)
    starts = {begin, *_times(event, "RDATE")}
    if "RRULE" in event:
        from dateutil.rrule import rrulestr  # noqa: PLC0415 - comes with icalendar

        rule = _UNTIL.sub(r"UNTIL=\1T235959", event["RRULE"].to_ical().decode())
        for number, found in enumerate(rrulestr(rule, dtstart=datetime.combine(begin, time()))):
            if found.date() > LAST_HOLIDAY:
                break
            if number > _MOST_DATES:
                raise ValueError(f"more than {_MOST_DATES} dates")
            starts.add(found.date())
    for first in sorted(starts - set(_times(event, "EXDATE"))):
        for day in range(length):
            yield first + timedelta(days=day)


def _length(event: Any, start: date) -> int:
    """Return on how many dates an event lies; its end is exclusive."""
    end = event.decoded("DTEND") if "DTEND" in event else None
    if end is None and "DURATION" in event:
        end = start + event.decoded("DURATION")
    if end is None:
        return 1
    days = (_date(end) - _date(start)).days
    is_within = isinstance(end, datetime) and end.time() != time()
    if days > _MOST_DATES:
        raise ValueError(f"more than {_MOST_DATES} dates")
    return max(1, days + is_within)


def _times(event: Any, name: str) -> Iterator[date]:
    found = event.get(name, [])
    for some in found if isinstance(found, list) else [found]:
        yield from (_date(one.dt) for one in some.dts)


def _date(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value
