"""Read the text of a recurrence rule: `FREQ=...`, with DTSTART, RDATE and EXDATE as in an iCalendar file."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import NamedTuple, NoReturn, cast

from msgspec.structs import replace

from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.rrule import Rrule
from aetherflow.schedule.rrule_years import Frequency, YearlyRule, year_of
from aetherflow.schedule.zone import DAY, EPOCH, LAST_YEAR, Zone, seconds
from aetherflow.spec.suggest import did_you_mean, quoted

_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_RANGES = {
    "INTERVAL": (1, 1000),
    "COUNT": (1, 36_600),
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYSETPOS": (-366, 366),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
}
_PARTS = ("FREQ", "UNTIL", "BYDAY", "WKST", *_RANGES)
_OF_DATES = ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY")
_CHOOSE_DAYS = frozenset(_OF_DATES) - {"BYMONTH"}
_TIME = re.compile(r"\d{8}(?:T\d{6}Z?)?")
_BYDAY = re.compile(r"[+-]?\d{0,2}(?:MO|TU|WE|TH|FR|SA|SU)")
_MOST_TIMES = 24
_LONGEST = 10_000
_COUNTED_YEARS = 200


class _Lines(NamedTuple):
    rule: str
    start: int | None
    extra: list[int]
    removed: list[int]


def parse_rrule(text: str, zone: Zone) -> Rrule:
    """Read a rule; times with `Z` are converted to the clocks of the zone.

    Raises:
        ScheduleProblem: it is not understood, or no date ever matches it.
    """
    lines = _lines(text, zone)
    parts = _parts(lines.rule)
    made = _made(text, parts, lines)
    if "UNTIL" in parts:
        made = replace(made, until=_time(parts["UNTIL"], zone, is_end=True))
    if "COUNT" in parts:
        made = replace(made, until=_last_of(made, int(parts["COUNT"])))
    removed = [one for one in sorted(set(lines.removed)) if made.find_by_rule(one) == one]
    extra = [one for one in sorted(set(lines.extra) - set(lines.removed)) if made.find_by_rule(one) != one]
    made = replace(made, extra=tuple(extra), removed=tuple(removed))
    if made.find(0) is None:
        hint = "look at its BY parts and UNTIL together: no February has a 30th"
        raise ScheduleProblem(f"rrule: no date ever matches {quoted(text)}", hint=hint, code="AF576")
    return made


def _lines(text: str, zone: Zone) -> _Lines:
    """Return the rule and what the other lines say; white space separates lines too."""
    rules: list[str] = []
    starts: list[int] = []
    extra: list[int] = []
    removed: list[int] = []
    if len(text) > _LONGEST:
        _refuse(f"the text has {len(text)} characters", f"write {_LONGEST} at most")
    for line in text.split():
        name, colon, value = line.partition(":")
        head, _, option = name.upper().partition(";")
        if option.startswith("TZID=") and name.partition("=")[2] != zone.name:
            _refuse(
                f"{quoted(name)} is not the zone of the item", f"write timezone: {name.partition('=')[2]}"
            )
        if not colon:
            rules.append(line)
        elif head == "RRULE":
            rules.append(value)
        elif head == "DTSTART":
            starts.append(_time(value, zone))
        elif head in ("RDATE", "EXDATE"):
            (extra if head == "RDATE" else removed).extend(_time(one, zone) for one in value.split(","))
        else:
            _refuse(f"{quoted(head)} is not known", "there are DTSTART, RRULE, RDATE and EXDATE")
    if len(rules) != 1 or len(starts) > 1:
        _refuse(
            f"{quoted(text)} has {len(rules)} rules and {len(starts)} DTSTARTs, not one of each",
            "write one: DTSTART:20260105T060000 RRULE:FREQ=WEEKLY;INTERVAL=2",
        )
    return _Lines(rules[0], starts[0] if starts else None, extra, removed)


def _parts(rule: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in rule.upper().strip(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name not in _PARTS or name in parts:
            what = "is there twice" if name in parts else "is not known"
            _refuse(
                f"{quoted(part)} {what}", did_you_mean(name, _PARTS) or f"the parts are {', '.join(_PARTS)}"
            )
        if name in _RANGES:
            _numbers(name, value)
        parts[name] = value
    frequency = parts.get("FREQ", "")
    if frequency in ("HOURLY", "MINUTELY", "SECONDLY"):
        hint = "write interval: {every: 2h, anchor: ...} or cron for times within a day, or BYHOUR with DAILY"
        _refuse(f"FREQ={frequency} is not supported", hint)
    if frequency not in _FREQUENCIES:
        _refuse(f"FREQ={frequency} is not known", f"write one of {', '.join(_FREQUENCIES)}")
    _check_days(frequency, parts)
    return parts


def _check_days(frequency: str, parts: dict[str, str]) -> None:
    for day in parts.get("BYDAY", "").split(",") if "BYDAY" in parts else ():
        if not _BYDAY.fullmatch(day):
            _refuse(f"{quoted(day)} is no weekday", "write MO, TU, WE, TH, FR, SA, SU; or 2MO, -1FR")
        if len(day) > 2 and (frequency in ("WEEKLY", "DAILY") or not 1 <= abs(int(day[:-2])) <= 53):  # noqa: PLR2004 - a number before it
            _refuse(f"{quoted(day)} has no meaning with FREQ={frequency}", "write 2MO with MONTHLY or YEARLY")
    if parts.get("WKST", "MO") not in _WEEKDAYS:
        _refuse(f"WKST={parts['WKST']} is no weekday", "write WKST=MO or WKST=SU")
    if "BYWEEKNO" in parts and frequency != "YEARLY":
        _refuse("BYWEEKNO belongs to FREQ=YEARLY", "remove it, or write FREQ=YEARLY")
    if "COUNT" in parts and "UNTIL" in parts:
        _refuse("COUNT and UNTIL exclude each other", "keep one of them")


def _numbers(name: str, value: str) -> list[int]:
    low, high = _RANGES[name]
    texts = value.split(",") if name.startswith("BY") else [value]
    found = []
    for text in texts:
        number = int(text) if re.fullmatch(r"[+-]?\d{1,5}", text, re.ASCII) else high + 1
        if not low <= number <= high or (number == 0 and low < 0):
            _refuse(f"{name}={text} is not a number from {low} to {high}", "correct the number")
        found.append(number)
    return found


def _made(text: str, parts: dict[str, str], lines: _Lines) -> Rrule:
    """Return the rule without an end, with what DTSTART says where the rule says nothing."""
    start = lines.start or 0
    begin = EPOCH + timedelta(seconds=start)
    frequency = cast("Frequency", parts["FREQ"])
    weekday = _WEEKDAYS[begin.weekday()]
    dates = {name: parts[name] for name in _OF_DATES if name in parts}
    implied = {}
    if frequency == "WEEKLY" and "BYDAY" not in dates:
        implied["BYDAY"] = weekday
    elif frequency in ("YEARLY", "MONTHLY") and not _CHOOSE_DAYS & dates.keys():
        implied["BYMONTHDAY"] = str(begin.day)
        if frequency == "YEARLY" and "BYMONTH" not in dates:
            implied["BYMONTH"] = str(begin.month)
    elif dates.keys() & _CHOOSE_DAYS == {"BYWEEKNO"}:
        implied["BYDAY"] = weekday
    interval = int(parts.get("INTERVAL", "1"))
    if lines.start is None and (implied or interval > 1 or "COUNT" in parts):
        why = "its days" if implied else "where INTERVAL and COUNT begin"
        _refuse(f"{quoted(text)} does not say {why}", "add a start: DTSTART:20260105T060000 RRULE:FREQ=...")
    hours, minutes, in_minute = (
        sorted(set(_numbers(name, parts.get(name, str(usual)))))
        for name, usual in (("BYHOUR", begin.hour), ("BYMINUTE", begin.minute), ("BYSECOND", begin.second))
    )
    times = tuple(
        hour * 3600 + minute * 60 + second for hour, minute, second in product(hours, minutes, in_minute)
    )
    written = {
        "FREQ": frequency,
        "INTERVAL": str(interval),
        "WKST": parts.get("WKST", "MO"),
        **dates,
        **implied,
    }
    if "BYSETPOS" in parts:
        if len(times) > _MOST_TIMES:
            _refuse(f"BYSETPOS with {len(times)} times a day", f"write {_MOST_TIMES} times a day at most")
        of_day = (hours, minutes, in_minute)
        written |= {"BYSETPOS": parts["BYSETPOS"]}
        times = (0,)
    else:
        of_day = ([0], [0], [0])
    for name, numbers in zip(("BYHOUR", "BYMINUTE", "BYSECOND"), of_day, strict=True):
        written[name] = ",".join(map(str, numbers))
    since = begin.date().toordinal() if interval > 1 else 0
    rule = YearlyRule(
        ";".join(f"{name}={value}" for name, value in written.items()),
        frequency,
        interval,
        since,
        _WEEKDAYS.index(parts.get("WKST", "MO")),
    )
    return Rrule(text, rule, times, start)


def _last_of(rule: Rrule, count: int) -> int | None:
    """Return the time of the last of so many; None if that is too far away to matter."""
    first = year_of(rule.start)
    low, high = rule.start, rule.start
    for year in range(first + 1, min(first + _COUNTED_YEARS, LAST_YEAR)):
        high = (datetime(year, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(seconds=1)
        if rule.count_by_rule(rule.start, high) >= count:
            break
    else:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if rule.count_by_rule(rule.start, middle) >= count:
            high = middle
        else:
            low = middle
    return high - 1


def _time(text: str, zone: Zone, *, is_end: bool = False) -> int:
    """Return a local time; a date alone is its midnight, as an end its last second."""
    found = text.upper()
    try:
        if not _TIME.fullmatch(found):
            raise ValueError(text)  # noqa: TRY301 - reported below like any other text that is no time
        read = datetime.strptime(f"{found.rstrip('Z')}T000000"[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        if not EPOCH.year <= read.year < LAST_YEAR:
            raise ValueError(text)  # noqa: TRY301 - the same
    except ValueError:
        _refuse(f"{quoted(text)} is no time", "write 20260105T060000, or 20260105T050000Z for UTC")
    at = seconds(read)
    if found.endswith("Z"):
        return at + zone.period(at).offset
    return at + DAY - 1 if is_end and "T" not in found else at


def _refuse(message: str, hint: str) -> NoReturn:
    raise ScheduleProblem(f"rrule: {message}", hint=hint, code="AF576")
