"""What a scheduler file will do: next firings, simulations with DST, calendars and overlaps."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aetherflow.admin.forecast import Forecast, next_firings
from aetherflow.admin.forecast import simulate as simulated
from aetherflow.errors import UsageError
from aetherflow.schedule.instant_text import parse_instant
from tests.scheduler.scheduler_parts import MIDNIGHT, schedule


def simulate(*arguments: Any) -> list[Forecast]:
    return list(simulated(*arguments))


BERLIN = ZoneInfo("Europe/Berlin")


def test_the_next_firings_of_all_items_come_in_order(tmp_path: Path) -> None:
    text = (
        "id: a, cron: '*/20 * * * *'\nid: b, cron: '30 * * * *'\nid: off, cron: '* * * * *', enabled: false"
    )
    found = next_firings(schedule(tmp_path, text), MIDNIGHT, 5)
    assert [(one.item, f"{one.scheduled:%H:%M}") for one in found] == [
        ("a", "00:20"),
        ("b", "00:30"),
        ("a", "00:40"),
        ("a", "01:00"),
        ("a", "01:20"),
    ]


def test_an_item_that_is_over_fires_no_more(tmp_path: Path) -> None:
    assert next_firings(schedule(tmp_path, "id: a, at: '2025-01-01T00:00'"), MIDNIGHT, 5) == []


def test_a_simulation_shows_what_clocks_do(tmp_path: Path) -> None:
    file = schedule(tmp_path, "id: a, cron: '30 2 * * *'", "timezone: Europe/Berlin")
    spring = simulate(file, parse_instant("2026-03-29", BERLIN), parse_instant("2026-03-30", BERLIN), {})
    assert [(one.local, one.runs) for one in spring] == [("2026-03-29T03:00:00+02:00", True)]
    assert "does not exist" in spring[0].notes[0]
    autumn = simulate(file, parse_instant("2026-10-25", BERLIN), parse_instant("2026-10-26", BERLIN), {})
    assert [one.local for one in autumn] == ["2026-10-25T02:30:00+02:00"]
    assert autumn[0].notes == ["first of two 02:30:00"]


def test_a_simulation_shows_what_the_calendar_leaves_out(tmp_path: Path) -> None:
    head = "calendars: {banking: {weekdays: [mon-fri], exclude: ['2026-12-25']}}"
    file = schedule(tmp_path, "id: a, cron: '0 6 * * *', calendar: banking", head)
    found = simulate(file, datetime(2026, 12, 24, tzinfo=UTC), datetime(2026, 12, 28, tzinfo=UTC), {})
    assert [(one.scheduled.day, one.runs) for one in found] == [
        (24, True),
        (25, False),
        (26, False),
        (27, False),
    ]
    assert found[1].notes == ["2026-12-25 is excluded by the calendar 'banking'"]


@pytest.mark.parametrize(
    ("overlap", "notes", "run"),
    [
        ("skip", [[], ["skipped: the one before has not ended (runs take 90 s)"], []], [True, False, True]),
        (
            "queue",
            [
                [],
                ["waits 30 s for the one before (runs take 90 s)"],
                ["waits 60 s for the one before (runs take 90 s)"],
            ],
            [True, True, True],
        ),
        (
            "cancel_running",
            [[], ["cancels the one before (runs take 90 s)"], ["cancels the one before (runs take 90 s)"]],
            [True, True, True],
        ),
    ],
)
def test_a_simulation_shows_overlaps_of_recorded_durations(
    tmp_path: Path, overlap: str, notes: list[list[str]], run: list[bool]
) -> None:
    file = schedule(tmp_path, f"id: a, cron: '* * * * *', overlap: {overlap}")
    end = datetime(2026, 1, 1, 0, 3, tzinfo=UTC)
    found = simulate(file, MIDNIGHT, end, {"a": [30.0, 90.0, 100.0]})
    assert [one.notes for one in found] == notes
    assert [one.runs for one in found] == run


def test_a_simulation_has_an_end(tmp_path: Path) -> None:
    file = schedule(tmp_path, "id: a, interval_seconds: 1")
    far = simulated(file, MIDNIGHT, datetime(9000, 2, 1, tzinfo=UTC), {"a": [5.0]})
    assert [one.scheduled.second for one in islice(far, 3)] == [0, 1, 2], "nothing is computed ahead"
    with pytest.raises(UsageError, match="--to is not later"):
        simulate(file, MIDNIGHT, MIDNIGHT, {})


def test_a_queue_that_only_grows_is_skipped_in_the_end(tmp_path: Path) -> None:
    file = schedule(tmp_path, "id: a, interval_seconds: 1, overlap: queue")
    found = list(islice(simulated(file, MIDNIGHT, datetime(9000, 2, 1, tzinfo=UTC), {"a": [5000.0]}), 300))
    assert [one.runs for one in found] == [True] * 101 + [False] * 199
    assert found[-1].notes == ["skipped: 100 firings wait already (runs take 5000 s)"]


def test_a_simulation_of_some_items_leaves_out_the_others(tmp_path: Path) -> None:
    file = schedule(tmp_path, "id: a, cron: '0 * * * *'\nid: b, cron: '0 * * * *'\nid: c, cron: '0 1 * * *'")
    end = datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert [one.item for one in simulate(file, MIDNIGHT, end, {}, ["a", "c"])] == ["a", "a", "c"]
    with pytest.raises(UsageError, match="there is no item 'bb'"):
        simulate(file, MIDNIGHT, end, {}, ["bb"])


def test_an_item_that_follows_a_closed_one_does_not_run(tmp_path: Path) -> None:
    head = "calendars: {banking: {weekdays: [mon-fri], exclude: ['2026-01-01']}}"
    text = (
        "id: load, cron: '0 5 * * *', calendar: banking\n"
        "id: check, cron: '0 6 * * *', after: [load]\nid: report, after: [check]"
    )
    file = schedule(tmp_path, text, head)
    closed = "load does not run that day: 2026-01-01 is excluded by the calendar 'banking'"
    expected = [
        ("report", False, f"missed: check does not run that day: {closed}"),
        ("load", False, "2026-01-01 is excluded by the calendar 'banking'"),
        ("check", False, f"missed: {closed}"),
        ("report", True, ""),
        ("load", True, ""),
        ("check", True, ""),
    ]
    found = simulate(file, MIDNIGHT, datetime(2026, 1, 3, tzinfo=UTC), {})
    assert [(one.item, one.runs, one.notes[0] if not one.runs else "") for one in found] == expected
    before = datetime(2025, 12, 31, 23, 59, tzinfo=UTC)
    upcoming = next_firings(file, before, 5)
    assert [(one.item, one.runs, one.notes[0] if not one.runs else "") for one in upcoming] == [
        one for one in expected if one[1] or one[0] != "load"
    ]


@pytest.mark.parametrize(
    ("followed", "why"),
    [
        ("id: load, cron: '0 5 * * *', enabled: false", "load is disabled"),
        ("id: load, cron: '0 5 2 * *'", "load has no tick that day"),
    ],
)
def test_an_item_that_follows_one_without_a_tick_does_not_run(
    tmp_path: Path, followed: str, why: str
) -> None:
    file = schedule(tmp_path, f"{followed}\nid: report, cron: '0 9 * * *', after: [load]")
    (one,) = simulate(file, MIDNIGHT, datetime(2026, 1, 2, tzinfo=UTC), {})
    assert (one.runs, one.notes) == (False, [f"missed: {why}", "after load"])


def test_instants_are_read_on_the_clocks_of_the_file() -> None:
    assert parse_instant("2026-07-01", BERLIN) == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert parse_instant("2026-07-01T12:00", BERLIN) == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert parse_instant("2026-07-01T12:00Z", BERLIN) == datetime(2026, 7, 1, 12, tzinfo=UTC)
    with pytest.raises(UsageError, match="no date and no instant"):
        parse_instant("tomorrow", BERLIN)


@pytest.mark.parametrize("text", ["0001-01-01", "1970-01-01", "9999-12-31", "9999-12-31T23:59-23:00"])
def test_an_instant_outside_the_time_of_schedules_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="the year is not in a scheduler's time"):
        parse_instant(text, BERLIN)
