"""Recurrence rules: against dateutil, asked from the beginning each time, and against dates found by hand."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from time import process_time

import pytest
from dateutil.rrule import rrulestr

from aetherflow.schedule.catch_up import CatchUpPolicy, decide_due
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.rrule_text import parse_rrule
from aetherflow.schedule.timetable import Timetable, count_ticks, ticks
from aetherflow.schedule.zone import EPOCH, load_zone, seconds
from tests.schedule.seeds import drawn_seed
from tests.sizes import LARGE

UTC_ZONE, BERLIN = load_zone("UTC"), load_zone("Europe/Berlin")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def local(text: str, number: int, after: str = "2026-01-01", zone: str = "Europe/Berlin") -> list[str]:
    info = load_zone(zone)
    table = Timetable("i", parse_rrule(text, info), info)
    found = []
    for tick in ticks(
        table, datetime.fromisoformat(after).replace(tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
    ):
        found.append(f"{tick.astimezone(info.info):%Y-%m-%dT%H:%M}")
        if len(found) == number:
            break
    return found


def test_the_last_working_day_of_the_month() -> None:
    assert local("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;BYHOUR=18;BYMINUTE=30", 5) == [
        "2026-01-30T18:30",
        "2026-02-27T18:30",
        "2026-03-31T18:30",
        "2026-04-30T18:30",
        "2026-05-29T18:30",
    ]


def test_examples_of_rfc_5545() -> None:
    """Section 3.8.5.3, in New York."""
    zone = "America/New_York"
    friday13 = "DTSTART:19970902T090000 EXDATE:19970902T090000 RRULE:FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13"
    assert local(friday13, 3, "1997-01-01", zone) == [
        "1998-02-13T09:00",
        "1998-03-13T09:00",
        "1998-11-13T09:00",
    ]
    other_week = "DTSTART:19970902T090000 RRULE:FREQ=WEEKLY;INTERVAL=2;WKST=SU"
    assert local(other_week, 3, "1997-01-01", zone) == [
        "1997-09-02T09:00",
        "1997-09-16T09:00",
        "1997-09-30T09:00",
    ]
    week20 = "DTSTART:19970512T090000 RRULE:FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO"
    assert local(week20, 3, "1997-01-01", zone) == [
        "1997-05-12T09:00",
        "1998-05-11T09:00",
        "1999-05-17T09:00",
    ]
    count = "DTSTART:19970902T090000 RRULE:FREQ=DAILY;COUNT=10"
    assert local(count, 99, "1997-01-01", zone)[-1] == "1997-09-11T09:00"
    until = "DTSTART:19970902T090000 RRULE:FREQ=DAILY;UNTIL=19971224T000000Z"
    assert local(until, 999, "1997-01-01", zone)[-1] == "1997-12-23T09:00"
    third = "DTSTART:19970904T090000 RRULE:FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3"
    assert local(third, 99, "1997-01-01", zone) == [
        "1997-09-04T09:00",
        "1997-10-07T09:00",
        "1997-11-06T09:00",
    ]


def test_the_rule_for_clock_changes_holds() -> None:
    assert local("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", 3, "2026-03-28") == [
        "2026-03-28T02:30",
        "2026-03-29T03:00",
        "2026-03-30T02:30",
    ]


def test_dates_are_added_and_removed() -> None:
    text = "DTSTART:20260105T060000 RRULE:FREQ=WEEKLY EXDATE:20260112T060000 RDATE:20260113T070000"
    assert local(text, 3) == ["2026-01-05T06:00", "2026-01-13T07:00", "2026-01-19T06:00"]


def drawn(rng: random.Random) -> tuple[str, datetime]:
    """Return a rule and its start."""
    frequency = rng.choice(("YEARLY", "MONTHLY", "WEEKLY", "DAILY"))
    parts = [f"FREQ={frequency}", f"INTERVAL={rng.choice((1, 1, 2, 3, 5))}"]
    if rng.random() < 0.5:
        days = ",".join(sorted(set(rng.choices(WEEKDAYS, k=3))))
        if frequency == "MONTHLY" and rng.random() < 0.5:
            days = f"{rng.choice((1, 2, -1, -2))}{rng.choice(WEEKDAYS)}"
        parts.append(f"BYDAY={days}")
    elif frequency != "WEEKLY" and rng.random() < 0.6:
        parts.append(f"BYMONTHDAY={rng.choice((1, 15, 29, 31, -1))}")
    if rng.random() < 0.3:
        parts.append(f"BYMONTH={','.join(map(str, sorted(set(rng.choices(range(1, 13), k=4)))))}")
    if rng.random() < 0.4:
        parts.append(f"BYHOUR={','.join(map(str, sorted(set(rng.choices(range(24), k=2)))))}")
    if rng.random() < 0.3 and frequency in ("MONTHLY", "YEARLY"):
        parts.append(f"BYSETPOS={rng.choice((1, -1, 2))}")
    if rng.random() < 0.3:
        parts.append(f"COUNT={rng.randint(1, 40)}")
    elif rng.random() < 0.3:
        parts.append("UNTIL=20300615T120000")
    parts.append(f"WKST={rng.choice(('MO', 'SU'))}")
    start = datetime(2020, 1, 1) + timedelta(days=rng.randint(0, 1500), hours=rng.randint(0, 23))  # noqa: DTZ001
    return ";".join(parts), start


def test_rules_are_those_of_dateutil() -> None:
    rng = random.Random(drawn_seed())  # noqa: S311 - repeatable, keeps no secret
    end = datetime(2034, 1, 1)  # noqa: DTZ001 - of the wall clock
    never = 0
    for _ in range(2000 if LARGE else 60):
        text, start = drawn(rng)
        # dateutil sees the count of the clipped first period as RFC 5545 does only for whole periods
        expected = [
            seconds(one.replace(tzinfo=UTC))
            for one in takewhile(lambda one: one < end, rrulestr(text, dtstart=start))
        ]
        try:
            rule = parse_rrule(f"DTSTART:{start:%Y%m%dT%H%M%S} RRULE:{text}", UTC_ZONE)
        except ScheduleProblem:
            never += 1
            assert expected == [], text
            continue
        found, at = [], 0
        while (at := rule.find(at) or 0) and at < seconds(end.replace(tzinfo=UTC)):
            found.append(at)
            at += 1
        assert found == expected, (text, start)
        for _ in range(5):
            low, high = sorted(
                rng.randint(seconds(EPOCH.replace(year=2019)), 2_000_000_000) for _ in range(2)
            )
            assert rule.count(low, high) == sum(low <= one < high for one in expected), (text, start)
    assert never < 30


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FREQ=SOMETIMES",
        "FREQ=HOURLY",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=2",
        "FREQ=WEEKLY",
        "FREQ=DAILY;COUNT=3;UNTIL=20270101",
        "FREQ=DAILY;UNTIL=20271301",
        "FREQ=DAILY;BYDAY=1MO",
        "FREQ=MONTHLY;BYDAY=99MO",
        "FREQ=MONTHLY;BYWEEKNO=3;BYDAY=MO",
        "FREQ=DAILY;BYHOUR=24",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;UNTIL=19600101",
        "RRULE:FREQ=DAILY RRULE:FREQ=DAILY",
        "DTSTART;TZID=Asia/Tokyo:20260101T000000 RRULE:FREQ=DAILY",
        "EXRULE:FREQ=DAILY RRULE:FREQ=DAILY",
        "DTSTART:20260101T000000 RRULE:FREQ=DAILY;COUNT=1 EXDATE:20260101T000000",
    ],
)
def test_what_is_no_rule_or_never_fires_is_refused(text: str) -> None:
    begun = process_time()
    with pytest.raises(ScheduleProblem) as caught:
        parse_rrule(text, BERLIN)
    assert caught.value.code == "AF576"
    assert caught.value.hint
    assert process_time() - begun < 2


def test_ten_years_of_downtime_are_decided_at_once() -> None:
    every_minute = ",".join(map(str, range(60)))
    rule = parse_rrule(f"FREQ=DAILY;BYHOUR={','.join(map(str, range(24)))};BYMINUTE={every_minute}", BERLIN)
    table = Timetable("i", rule, BERLIN)
    begun = process_time()
    now = datetime(2036, 6, 1, tzinfo=UTC)
    decision = decide_due(table, CatchUpPolicy(300), now.replace(year=2026), now)
    assert sum(some.count for some in decision.not_run) + len(decision.runs) == count_ticks(
        table, seconds(now.replace(year=2026)) + 1, seconds(now) + 1
    )
    assert process_time() - begun < 2
