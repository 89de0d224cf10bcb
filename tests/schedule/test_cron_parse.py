"""Cron expressions are read as crontab(5) says, with Quartz's L, W and #; errors are precise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aetherflow.schedule.cron import NAMES, next_local, parse_cron
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.zone import LAST_YEAR, seconds


def following(expression: str, start: str, count: int = 3) -> list[str]:
    """Return the first local times that match, the start too if it does."""
    cron, local = parse_cron(expression), seconds(datetime.fromisoformat(start).replace(tzinfo=UTC))
    found = []
    for _ in range(count):
        at = next_local(cron, local)
        assert at is not None
        found.append(f"{datetime(1970, 1, 1) + timedelta(seconds=at):%a %Y-%m-%d %H:%M:%S}")  # noqa: DTZ001
        local = at + 1
    return found


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("30 2 * * *", "2027-01-31T02:30", ["Sun 2027-01-31 02:30:00", "Mon 2027-02-01 02:30:00"]),
        ("*/25 * * * *", "2027-01-01T00:26", ["Fri 2027-01-01 00:50:00", "Fri 2027-01-01 01:00:00"]),
        ("5/25 1 * * *", "2027-01-01", ["Fri 2027-01-01 01:05:00", "Fri 2027-01-01 01:30:00"]),
        ("0 8-18/5 * * *", "2027-01-01", ["Fri 2027-01-01 08:00:00", "Fri 2027-01-01 13:00:00"]),
        ("0 0 1,15 JAN,dec *", "2027-01-02", ["Fri 2027-01-15 00:00:00", "Wed 2027-12-01 00:00:00"]),
        ("*/20 59 23 31 12 *", "2027-12-31T23:59:21", ["Fri 2027-12-31 23:59:40", "Sun 2028-12-31 23:59:00"]),
        ("0 0 * * mon-fri", "2027-01-01T00:01", ["Mon 2027-01-04 00:00:00", "Tue 2027-01-05 00:00:00"]),
        ("0 0 * * fri-sun", "2027-01-04", ["Fri 2027-01-08 00:00:00", "Sat 2027-01-09 00:00:00"]),
        ("0 0 * * 0", "2027-01-04", ["Sun 2027-01-10 00:00:00", "Sun 2027-01-17 00:00:00"]),
        ("0 0 * * 7", "2027-01-04", ["Sun 2027-01-10 00:00:00", "Sun 2027-01-17 00:00:00"]),
        ("0 0 29 2 *", "2096-03-01", ["Fri 2104-02-29 00:00:00", "Wed 2108-02-29 00:00:00"]),
        ("0 0 * 2 mon#5", "2027-01-01", ["Mon 2044-02-29 00:00:00", "Mon 2072-02-29 00:00:00"]),
    ],
)
def test_fields(expression: str, start: str, expected: list[str]) -> None:
    assert following(expression, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("0 0 L * *", "2028-01-31T01:00", ["Tue 2028-02-29", "Fri 2028-03-31", "Sun 2028-04-30"]),
        ("0 0 L-3 * *", "2027-02-01", ["Thu 2027-02-25", "Sun 2027-03-28", "Tue 2027-04-27"]),
        ("0 0 LW * *", "2027-01-01", ["Fri 2027-01-29", "Fri 2027-02-26", "Wed 2027-03-31"]),
        ("0 0 15W * *", "2027-05-01", ["Fri 2027-05-14", "Tue 2027-06-15", "Thu 2027-07-15"]),
        ("0 0 15w 8 *", "2027-05-01", ["Mon 2027-08-16", "Tue 2028-08-15", "Wed 2029-08-15"]),
        ("0 0 1W * *", "2027-05-01", ["Mon 2027-05-03", "Tue 2027-06-01", "Thu 2027-07-01"]),
        ("0 0 31W * *", "2027-01-01", ["Fri 2027-01-29", "Wed 2027-03-31", "Mon 2027-05-31"]),
        ("0 0 * * 5#2", "2027-01-01", ["Fri 2027-01-08", "Fri 2027-02-12", "Fri 2027-03-12"]),
        ("0 0 * * fri#5", "2027-01-02", ["Fri 2027-01-29", "Fri 2027-04-30", "Fri 2027-07-30"]),
        ("0 0 * * 5L", "2027-01-01", ["Fri 2027-01-29", "Fri 2027-02-26", "Fri 2027-03-26"]),
        ("0 0 * * sunL", "2027-01-01", ["Sun 2027-01-31", "Sun 2027-02-28", "Sun 2027-03-28"]),
        ("0 0 * * 7L", "2027-01-01", ["Sun 2027-01-31", "Sun 2027-02-28", "Sun 2027-03-28"]),
        ("0 0 1,L 1-3 *", "2027-01-02", ["Sun 2027-01-31", "Mon 2027-02-01", "Sun 2027-02-28"]),
    ],
)
def test_quartz_letters(expression: str, start: str, expected: list[str]) -> None:
    assert following(expression, start) == [f"{day} 00:00:00" for day in expected]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 13 * 5", ["Fri 2027-01-01", "Fri 2027-01-08", "Wed 2027-01-13"]),  # either
        ("0 0 13 * *", ["Wed 2027-01-13", "Sat 2027-02-13", "Sat 2027-03-13"]),
        ("0 0 */15 * 1", ["Mon 2027-02-01", "Mon 2027-03-01", "Mon 2027-05-31"]),  # begins with *: both
        ("0 0 1-31/15 * 1", ["Fri 2027-01-01", "Mon 2027-01-04", "Mon 2027-01-11"]),  # the same days: either
        ("0 0 1 * */3", ["Sat 2027-05-01", "Sun 2027-08-01", "Wed 2027-09-01"]),  # Sun, Wed, Sat
    ],
)
def test_day_of_month_and_day_of_week(expression: str, expected: list[str]) -> None:
    assert following(expression, "2027-01-01") == [f"{day} 00:00:00" for day in expected]


@pytest.mark.parametrize("name", NAMES)
def test_names_stand_for_expressions(name: str) -> None:
    start = "2027-05-05T05:05"
    assert following(name.upper(), start) == following(NAMES[name], start)
    assert parse_cron(name).is_wildcard is (name == "@hourly")


@pytest.mark.parametrize(
    ("expression", "message", "hint", "offset"),
    [
        ("* * * *", "'* * * *' has 4 fields, not 5 or 6", "MINUTE HOUR", 0),
        ("", "'' has 0 fields", "MINUTE HOUR", 0),
        ("* * * * * * *", "has 7 fields", "MINUTE HOUR", 0),
        ("61 * * * *", "minute: '61' is out of range; allowed: 0-59", "", 0),
        ("0  24 * * *", "hour: '24' is out of range; allowed: 0-23", "", 3),
        ("0 0 0 * *", "day of month: '0' is out of range; allowed: 1-31", "", 4),
        ("0 0 * jna *", "month: 'jna' is not understood; allowed: 1-12 or jan-dec", "did you mean", 6),
        ("0 0 * 1,13 *", "month: '13' is out of range", "", 8),
        ("0 0 * * 8", "day of week: '8' is out of range; allowed: 0-7 or sun-sat", "", 8),
        ("60 0 0 * * *", "second: '60' is out of range", "", 0),
        ("*/60 * * * *", "minute: the step '60' is not between 1 and 59", "interval_seconds", 2),
        ("*/0 * * * *", "minute: the step '0' is not between 1 and 59", "", 2),
        ("*/x * * * *", "minute: 'x' is no step", "*/15", 2),
        ("*/99999999999 * * * *", "the step '99999999999' is not", "", 2),
        ("99999999999 * * * *", "'99999999999' is out of range", "", 0),
        ("1,,2 * * * *", "minute: '' is not understood", "", 2),
        ("0 22-3 * * *", "hour: the range '22-3' runs backwards", "write 22-23,0-3", 2),
        ("0 0 ? * *", "day of month: '?' is not understood", "write * for any", 4),
        ("0 0 L-31 * *", "day of month: 'L-31' is before every month", "L-30", 4),
        ("0 0 32W * *", "day of month: '32' is out of range", "", 4),
        ("0 0 5#2 * *", "day of month: '5#2' is not understood", "belongs into the day of week", 4),
        ("0 0 * * L", "day of week: 'L' is not understood", "5L for the last Friday", 8),
        ("0 0 * * 15W", "day of week: '15W' is not understood", "belongs into the day of month", 8),
        ("0 0 * * 5#6", "day of week: there is no '#6' in a month", "5#1 to 5#5", 8),
        ("0 0 * * 5#-1", "day of week: there is no '#-1' in a month", "5#1 to 5#5", 8),
        ("0 0 * * 9L", "day of week: '9' is out of range", "", 8),
        ("\u0661 * * * *", "minute: '\u0661' is not understood", "", 0),
        ("0 0 30 2 *", "no date ever matches '0 0 30 2 *'", "February", 4),
        ("0 0 31 4,6,9,11 *", "no date ever matches", "", 4),
        ("* * */20 * 1L", "no date ever matches", "", 4),  # the 1st or 21st is never the last Monday
        ("@reboot", "'@reboot' is not known", "@hourly", 0),
        ("@dayly", "'@dayly' is not known", "did you mean '@daily'?", 0),
        ("* " * 2000, "has 2000 fields", "", 0),
    ],
)
def test_what_is_wrong_is_reported(expression: str, message: str, hint: str, offset: int) -> None:
    with pytest.raises(ScheduleProblem) as caught:
        parse_cron(expression)
    assert caught.value.message.startswith("cron: ")
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.offset == offset
    assert (caught.value.code, caught.value.exit_code) == ("AF150", 2)


def test_nothing_is_looked_for_beyond_the_last_year() -> None:
    assert next_local(parse_cron("0 0 1 1 *"), seconds(datetime(9990, 1, 2, tzinfo=UTC))) is None


def test_the_last_year_is_the_last() -> None:
    june = parse_cron("0 0 1 6 *")
    last = seconds(datetime(LAST_YEAR, 6, 1, tzinfo=UTC))
    assert next_local(june, last - 1) == last
    assert next_local(june, last + 1) is None
