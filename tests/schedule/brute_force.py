"""An oracle for ticks: walk every minute of a window, match its local fields, apply the rule.

It shares nothing with the code under test: local times and folds are zoneinfo's, days of the month are looked
for one by one, and expressions are generated together with what they mean, so nothing is parsed here.
"""

from __future__ import annotations

import random
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAY = 86_400

MatchDay = Callable[[date], bool]
MONTHS = ["jan", "FEB", "mar", "Apr", "may", "JUN", "jul", "Aug", "sep", "OCT", "nov", "Dec"]
WEEKDAYS = ["sun", "MON", "tue", "Wed", "thu", "FRI", "sat"]


class Change(NamedTuple):
    """A transition: its first second, and the offsets before and after."""

    at: int
    before: int
    after: int


class Minute(NamedTuple):
    """A minute of a window: when it is, what the wall clock says, whether it says so for the second time."""

    at: int
    day: date
    minute: int
    is_repeated: bool


class Window(NamedTuple):
    """The minutes of a window, and the ones that the clock leaves out before some of them."""

    minutes: list[Minute]
    days: frozenset[date]
    left_out: dict[int, list[tuple[date, int]]]


class Expression(NamedTuple):
    """An expression of five fields and what it means: minutes of the day, and days."""

    text: str
    times: frozenset[int]
    match_day: MatchDay


def offset_at(zone: ZoneInfo, at: int) -> int:
    """Return the offset in seconds that zoneinfo has for an instant."""
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@lru_cache(maxsize=1)
def changes_of_all(first_year: int, last_year: int) -> dict[str, tuple[Change, ...]]:
    """Return the transitions of every zone that has any, between the beginnings of two years."""
    start, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (first_year, last_year))
    found = {}
    for name in sorted(zoneinfo.available_timezones() - {"localtime"}):
        zone = ZoneInfo(name)
        offsets = [(at, offset_at(zone, at)) for at in range(start, end, DAY)]
        changes = [
            _change(zone, low, high, before, after)
            for (low, before), (high, after) in pairwise(offsets)
            if before != after
        ]
        if changes:
            found[name] = tuple(changes)
    return found


def _change(zone: ZoneInfo, low: int, high: int, before: int, after: int) -> Change:
    while high - low > 60:
        middle = (low + high) // 120 * 60
        low, high = (middle, high) if offset_at(zone, middle) == before else (low, middle)
    return Change(high, before, after)


def window(zone: ZoneInfo, start: int, end: int) -> Window:
    """Walk the minutes from `start` to `end`, which are whole minutes."""
    minutes: list[Minute] = []
    left_out: dict[int, list[tuple[date, int]]] = {}
    expected: datetime | None = None
    for at in range(start, end, 60):
        local = datetime.fromtimestamp(at, zone)
        wall = local.replace(tzinfo=None, fold=0)
        minutes.append(Minute(at, wall.date(), wall.hour * 60 + wall.minute, local.fold == 1))
        if expected is not None and wall > expected:
            left_out[at] = list(_walk(expected, wall))
        expected = wall + timedelta(minutes=1)
    return Window(minutes, frozenset(minute.day for minute in minutes), left_out)


def _walk(start: datetime, end: datetime) -> Iterator[tuple[date, int]]:
    while start < end:
        yield start.date(), start.hour * 60 + start.minute
        start += timedelta(minutes=1)


def brute_ticks(seen: Window, expression: Expression) -> dict[tuple[str, str], list[int]]:
    """Return the ticks of a window in seconds since 1970, under each pair of rules."""
    times, matching = expression.times, {day for day in seen.days if expression.match_day(day)}
    found = [minute for minute in seen.minutes if minute.minute in times and minute.day in matching]
    both = {minute.at for minute in found}
    first = {minute.at for minute in found if not minute.is_repeated}
    moved = {
        at
        for at, missing in seen.left_out.items()
        if any(minute in times and expression.match_day(day) for day, minute in missing)
    }
    return {
        ("skip", "both"): sorted(both),
        ("skip", "first"): sorted(first),
        ("run_once", "both"): sorted(both | moved),
        ("run_once", "first"): sorted(first | moved),
    }


def generate(rng: random.Random) -> Expression:
    """Return an expression; most touch the night, when clocks are changed, and most days."""
    minute_text, minutes = _field(rng, 0, 59, star=0.15, likely=(0, 30, 59))
    hour_text, hours = _field(rng, 0, 23, star=0.3, likely=(0, 1, 2, 3, 23))
    month_text, months = _field(rng, 1, 12, star=0.8, names=MONTHS)
    dom_text, of_month = _of_month(rng)
    dow_text, of_week = _of_week(rng)
    both = dom_text[0] == "*" or dow_text[0] == "*"

    def match_day(day: date) -> bool:
        if day.month not in months:
            return False
        return (of_month(day) and of_week(day)) if both else (of_month(day) or of_week(day))

    return Expression(
        f"{minute_text} {hour_text} {dom_text} {month_text} {dow_text}",
        frozenset(hour * 60 + minute for hour in hours for minute in minutes),
        match_day,
    )


def _field(
    rng: random.Random,
    low: int,
    high: int,
    *,
    star: float,
    likely: tuple[int, ...] = (),
    names: list[str] | None = None,
) -> tuple[str, set[int]]:
    if rng.random() < star:
        step = rng.choice((1, 1, rng.randint(2, max(2, (high - low) // 2))))
        return "*" if step == 1 else f"*/{step}", set(range(low, high + 1, step))
    texts, numbers = [], set()
    for _ in range(rng.choice((1, 1, 2, 3))):
        first = rng.choice(likely) if likely and rng.random() < 0.6 else rng.randint(low, high)
        last, step = rng.randint(first, high), rng.randint(1, high - low)
        kind = rng.choice(("number", "number", "name", "range", "range/step", "number/step"))
        texts.append({
            "number": f"{first}",
            "name": names[first - low] if names else f"{first}",
            "range": f"{first}-{last}",
            "range/step": f"{first}-{last}/{step}",
            "number/step": f"{first}/{step}",
        }[kind])  # fmt: skip
        until = high if kind == "number/step" else last if kind.startswith("range") else first
        numbers |= set(range(first, until + 1, step if kind.endswith("step") else 1))
    return ",".join(texts), numbers


def length_of(day: date) -> int:
    """Return how many days the month of a date has."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1).toordinal() - day.replace(
        day=1
    ).toordinal()


def _nearest(day: date, wanted: int) -> bool:
    working = [n for n in range(1, length_of(day) + 1) if day.replace(day=n).weekday() < 5]
    return wanted <= length_of(day) and day.day == min(working, key=lambda n: abs(n - wanted))


def _of_month(rng: random.Random) -> tuple[str, MatchDay]:
    kind, number = rng.choice(("plain",) * 12 + ("L", "L-n", "nW", "LW")), rng.randint(1, 31)
    few = number % 5
    special: dict[str, tuple[str, MatchDay]] = {
        "L": ("L", lambda day: day.day == length_of(day)),
        "L-n": (f"L-{few}", lambda day: day.day == length_of(day) - few),
        "nW": (f"{number}W", lambda day: _nearest(day, number)),
        "LW": ("LW", lambda day: _nearest(day, length_of(day))),
    }
    if kind != "plain":
        return special[kind]
    text, days = _field(rng, 1, 31, star=0.7)
    return text, lambda day: day.day in days


def _of_week(rng: random.Random) -> tuple[str, MatchDay]:
    kind, number, nth = rng.choice(("plain",) * 10 + ("n#k", "nL")), rng.randint(0, 7), rng.randint(1, 4)
    special: dict[str, tuple[str, MatchDay]] = {
        "n#k": (f"{number}#{nth}", lambda day: _is(day, number) and (day.day - 1) // 7 + 1 == nth),
        "nL": (f"{number}L", lambda day: _is(day, number) and day.day + 7 > length_of(day)),
    }
    if kind != "plain":
        return special[kind]
    text, days = _field(rng, 0, 7, star=0.7, names=[*WEEKDAYS, "7"])
    return text, lambda day: any(_is(day, number) for number in days)


def _is(day: date, number: int) -> bool:
    return day.isoweekday() % 7 == number % 7
