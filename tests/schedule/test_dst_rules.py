"""What a person reads in the manual about clocks that are put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.timetable import Timetable, notes, ticks
from aetherflow.schedule.trigger import parse_interval, parse_moment, rule_for
from aetherflow.schedule.zone import load_zone
from aetherflow.spec.schedule import DstGap, DstOverlap

GAP, OVERLAP = "2027-03-28", "2027-10-31"
"""In Berlin 02:00 becomes 03:00, and 03:00 becomes 02:00."""


def on(
    day: str,
    expression: str,
    zone: str = "Europe/Berlin",
    gap: DstGap | None = None,
    both: DstOverlap | None = None,
) -> list[str]:
    """Return the ticks of a local day as `hour:minute±offset`, with what is special about them."""
    cron, place = parse_cron(expression), load_zone(zone)
    table = Timetable("item", cron, place, rule_for(cron, gap, both))
    start = datetime.fromisoformat(day).replace(tzinfo=place.info).astimezone(UTC)
    found = []
    for tick in ticks(table, start - timedelta(seconds=1), start + timedelta(hours=26)):
        local = tick.astimezone(place.info)
        if local.date().isoformat() == day:
            found.append(f"{local:%H:%M%z} {' '.join(notes(table, tick))}".strip())
    return found


def test_a_fixed_time_in_the_gap_runs_once_right_after_it() -> None:
    moved = f"03:00+0200 moved out of the gap: 02:30:00, which does not exist on {GAP}"
    assert on(GAP, "30 2 * * *") == [moved]
    assert on(GAP, "30 2 * * *", gap="skip") == []
    assert on(GAP, "30,45 2 * * *") == [moved]  # one run, not two at the same time


def test_a_tick_right_after_the_gap_also_stands_for_one_in_it() -> None:
    also = f"03:00+0200 also stands for 02:00:00, which does not exist on {GAP}"
    assert on(GAP, "0 2,3 * * *") == [also]
    assert on(GAP, "0 2,3 * * *", gap="skip") == ["03:00+0200"]


def test_a_fixed_time_that_comes_twice_runs_once() -> None:
    first, second = "02:30+0200 first of two 02:30:00", "02:30+0100 second of two 02:30:00"
    assert on(OVERLAP, "30 2 * * *") == [first]
    assert on(OVERLAP, "30 2 * * *", both="both") == [first, second]
    assert on(OVERLAP, "0 3 * * *") == ["03:00+0100"]  # 03:00 itself comes once: it was 02:00 again


def test_the_first_second_after_the_gap_is_not_in_it_and_the_first_of_the_overlap_comes_twice() -> None:
    assert on(GAP, "59 1 * * *") == ["01:59+0100"]
    assert on(GAP, "0 3 * * *") == ["03:00+0200"]
    assert on(OVERLAP, "59 1 * * *") == ["01:59+0200"]
    assert on(OVERLAP, "0 2 * * *") == ["02:00+0200 first of two 02:00:00"]
    assert on(OVERLAP, "59 2 * * *", both="both") == [
        "02:59+0200 first of two 02:59:00",
        "02:59+0100 second of two 02:59:00",
    ]
    assert on(OVERLAP, "0 3 * * *", both="both") == ["03:00+0100"]


def test_wildcards_follow_elapsed_time() -> None:
    assert len(on(GAP, "*/30 * * * *")) == 46
    assert len(on(OVERLAP, "*/30 * * * *")) == 50
    assert on(GAP, "*/30 1-3 * * *") == ["01:00+0100", "01:30+0100", "03:00+0200", "03:30+0200"]
    assert on(GAP, "*/5 2 * * *") == []
    assert len(on(OVERLAP, "*/5 2 * * *")) == 24


def test_a_declared_rule_holds_for_wildcards_too() -> None:
    assert on(GAP, "*/30 2 * * *", gap="run_once") == [
        f"03:00+0200 moved out of the gap: 02:00:00, which does not exist on {GAP}"
    ]
    assert len(on(OVERLAP, "*/30 * * * *", both="first")) == 48


@pytest.mark.parametrize(
    ("expression", "is_wildcard"),
    [
        ("30 2 * * *", False),
        ("0,30 2-5 * * *", False),
        ("@daily", False),
        ("30 * * * *", True),
        ("30 */2 * * *", True),
        ("*/5 2 * * *", True),
        ("* 30 2 * * *", True),
        ("@hourly", True),
        ("0 1,*/6 * * *", False),  # Vixie's cron looks at the first character
    ],
)
def test_which_expressions_are_wildcards(expression: str, *, is_wildcard: bool) -> None:
    rule = rule_for(parse_cron(expression))
    assert (rule.gap, rule.overlap) == (("skip", "both") if is_wildcard else ("run_once", "first"))


def test_gaps_at_midnight_of_half_an_hour_and_of_a_day() -> None:
    assert on("2027-04-30", "0 0 * * *", "Africa/Cairo") == [
        "01:00+0300 moved out of the gap: 00:00:00, which does not exist on 2027-04-30"
    ]
    assert on("2027-10-03", "15 2 * * *", "Australia/Lord_Howe") == [
        "02:30+1100 moved out of the gap: 02:15:00, which does not exist on 2027-10-03"
    ]
    assert on("2027-03-28", "30 1 * * *", "Antarctica/Troll") == [
        "03:00+0200 moved out of the gap: 01:30:00, which does not exist on 2027-03-28"
    ]
    assert on("2011-12-31", "0 9 * * *", "Pacific/Apia") == [
        "00:00+1400 moved out of the gap: 09:00:00, which does not exist on 2011-12-30",
        "09:00+1400",
    ]


def test_a_change_at_new_year_is_no_edge() -> None:
    """Years are looked at one by one: Kathmandu left 15 minutes out as 1986 began."""
    assert on("1986-01-01", "5 0 * * *", "Asia/Kathmandu") == [
        "00:15+0545 moved out of the gap: 00:05:00, which does not exist on 1986-01-01"
    ]
    assert on("2027-12-31", "59 23 * * *", "Asia/Kathmandu") == ["23:59+0545"]


def test_moments() -> None:
    berlin, start = load_zone("Europe/Berlin"), datetime(2027, 1, 1, tzinfo=UTC)

    def of(text: str, overlap: DstOverlap | None = None) -> list[str]:
        moment = parse_moment(text)
        table = Timetable("item", moment, berlin, rule_for(moment, overlap=overlap))
        return [f"{tick:%m-%d %H:%M}" for tick in ticks(table, start, start.replace(year=2099))]

    assert of("2027-12-24T18:00") == ["12-24 17:00"]
    assert of("2027-12-24 18:00:00+03:00") == ["12-24 15:00"]
    assert of("2027-12-24T18:00Z") == ["12-24 18:00"]
    assert of("2027-03-28T02:30") == ["03-28 01:00"]
    assert of("2027-10-31T02:30") == ["10-31 00:30"]
    assert of("2027-10-31T02:30", "both") == ["10-31 00:30", "10-31 01:30"]
    assert of("2026-12-31T23:00") == []


def test_intervals_are_elapsed_time_from_a_fixed_instant() -> None:
    start = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)
    table = Timetable("item", parse_interval(3600), load_zone("Europe/Berlin"))
    found = list(ticks(table, start, start + timedelta(hours=3)))
    assert found == [start.replace(hour=hour, minute=0) for hour in (1, 2, 3)]
    assert [notes(table, tick) for tick in found] == [(), (), ()]

    anchored = Timetable("item", parse_interval(7000, start), load_zone("UTC"))
    assert next(ticks(anchored, datetime(2020, 1, 1, tzinfo=UTC), start)) == start
    assert next(ticks(anchored, start, start.replace(year=2028))) == start + timedelta(seconds=7000)
