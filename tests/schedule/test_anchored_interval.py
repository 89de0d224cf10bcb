"""Intervals from an anchor: elapsed hours, days and weeks at one local time; against counting day by day."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from aetherflow.schedule.anchored_interval import anchored, parse_every
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.timetable import Timetable, count_ticks, latest_ticks, ticks
from aetherflow.schedule.zone import load_zone, seconds
from tests.schedule.seeds import drawn_seed


def table(every: str, anchor: str, zone: str = "Europe/Berlin") -> Timetable:
    info = load_zone(zone)
    return Timetable("i", anchored(parse_every(every), anchor, info), info)


def local(one: Timetable, begin: datetime, end: datetime) -> list[str]:
    return [f"{at.astimezone(one.zone.info):%Y-%m-%dT%H:%M}" for at in ticks(one, begin, end)]


def day(month: int, number: int) -> datetime:
    return datetime(2026, month, number, tzinfo=UTC)


def test_hours_are_elapsed_time_from_the_anchor_on() -> None:
    found = local(table("6h", "2026-03-28T20:30"), day(1, 1), day(3, 30))
    assert found == ["2026-03-28T20:30", "2026-03-29T03:30", "2026-03-29T09:30", "2026-03-29T15:30",
                     "2026-03-29T21:30"]  # fmt: skip


def test_every_second_week_keeps_its_local_time() -> None:
    found = local(table("2w", "2026-03-16T06:00"), day(1, 1), day(4, 20))
    assert found == ["2026-03-16T06:00", "2026-03-30T06:00", "2026-04-13T06:00"]


def test_days_in_a_gap_come_right_after_it() -> None:
    assert local(table("1d", "2026-03-28T02:30"), day(1, 1), day(3, 31)) == [
        "2026-03-28T02:30",
        "2026-03-29T03:00",
        "2026-03-30T02:30",
    ]


def test_an_anchor_with_an_offset_is_an_instant() -> None:
    assert local(table("1w", "2026-01-05T05:00Z"), day(1, 1), day(1, 14)) == [
        "2026-01-05T06:00",
        "2026-01-12T06:00",
    ]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe"])
def test_days_against_counting(zone: str) -> None:
    rng = random.Random(drawn_seed())  # noqa: S311 - repeatable, keeps no secret
    for _ in range(20):
        number, hour, minute = rng.randint(1, 40), rng.randint(0, 23), rng.choice((0, 30))
        first = datetime(2026, rng.randint(1, 12), rng.randint(1, 28), hour, minute)  # noqa: DTZ001 - local
        one = table(f"{number}d", first.isoformat(), zone)
        begin, end = seconds(day(1, 1)), seconds(datetime(2031, 1, 1, tzinfo=UTC))
        expected = []
        at = first
        while at.year < 2032:
            # fold=0: the first of two; of a time that does not exist, the instant after the gap
            instant = at.replace(tzinfo=one.zone.info).astimezone(UTC)
            if instant.astimezone(one.zone.info).replace(tzinfo=None) != at:
                instant = datetime.fromtimestamp(one.zone.period(seconds(instant)).start, UTC)
            expected.append(seconds(instant))
            at += timedelta(days=number)
        expected = [second for second in expected if begin <= second < end]
        assert latest_ticks(one, begin, end, 10_000) == expected
        assert count_ticks(one, begin, end) == len(expected)


@pytest.mark.parametrize("every", ["", "often", "0s", "1.5s", "1d12h", "2 weeks", "999999w"])
def test_what_is_no_interval_is_refused(every: str) -> None:
    with pytest.raises(ScheduleProblem) as caught:
        parse_every(every)
    assert caught.value.code == "AF578"


def test_an_anchor_has_a_time() -> None:
    with pytest.raises(ScheduleProblem, match="interval: anchor: '2026-01-05' is no date") as caught:
        table("2w", "2026-01-05")
    assert caught.value.code == "AF578"
