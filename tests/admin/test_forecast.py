"""What a scheduler file will do: next firings, simulations with DST, calendars and overlaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aetherflow.admin.forecast import Forecast, next_firings
from aetherflow.admin.forecast import simulate as simulated
from aetherflow.errors import UsageError
from aetherflow.schedule.instant_text import parse_instant
from aetherflow.store.pauses import EVERY_ITEM, Pause
from aetherflow.store.projection import timestamp
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
    assert parse_instant("2026-10-25T02:30", BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "the first"
    for text in ("2026-03-29T02:00", "2026-03-29T02:30", "2026-03-29T02:59:59.5", "2026-03-29T03:00"):
        assert parse_instant(text, BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC), "clocks skip it: the end"
    assert parse_instant("2026-04-24", ZoneInfo("Africa/Cairo")) == datetime(2026, 4, 23, 22, tzinfo=UTC)
    samoa = ZoneInfo("Pacific/Apia")
    assert parse_instant("2011-12-30", samoa) == parse_instant("2011-12-31", samoa), "a day that was skipped"
    with pytest.raises(UsageError, match="no date and no instant"):
        parse_instant("tomorrow", BERLIN)


@pytest.mark.parametrize("text", ["0001-01-01", "1970-01-01", "9999-12-31", "9999-12-31T23:59-23:00"])
def test_an_instant_outside_the_time_of_schedules_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="the year is not in a scheduler's time"):
        parse_instant(text, BERLIN)


def paused(item: str, begin: datetime, until: datetime | None) -> Pause:
    end = timestamp(until) if until else None
    return Pause("night", item, timestamp(begin), end, "migration", "anna@host")


def test_a_simulation_shows_windows_and_what_follows_out_of_them(tmp_path: Path) -> None:
    text = (
        "id: a, cron: '0 */6 * * *', not_between: ['11:00-13:00']\n"
        "id: b, cron: '0 22 * * *', not_between: ['21:30-23:30']\n"
        "id: c, after: [b], not_between: ['22:00-06:00']\n"
        "id: d, after: [a]\n"
        "id: e, cron: '0 22 * * *', calendar: c, catch_up: latest"
    )
    file = schedule(tmp_path, text, "calendars: {c: {not_between: ['22:00-22:30']}}")
    found = simulate(file, MIDNIGHT, MIDNIGHT + timedelta(days=1), {})
    assert [(one.item, one.scheduled.hour, one.runs, one.notes) for one in found] == [
        ("a", 0, True, []),
        ("c", 0, False, [f"missed: b does not run that day: {IN_WINDOW}", "after b"]),
        ("d", 0, True, ["after a"]),
        ("a", 6, True, []),
        ("a", 12, False, ["skipped: in the window 11:00-13:00 (not_between)"]),
        ("a", 18, True, []),
        ("b", 22, False, [f"skipped: {IN_WINDOW}"]),
        (
            *("e", 22, True),
            ["decided by catch_up after the window 22:00-22:30 of the calendar 'c' (not_between)"],
        ),
    ]


IN_WINDOW = "in the window 21:30-23:30 (not_between)"
BY_ANNA = "paused by anna@host until 2026-01-01T07:00:00Z: migration"


@pytest.mark.parametrize("of", ["a", EVERY_ITEM])
def test_pauses_are_shown_before_they_are_over(tmp_path: Path, of: str) -> None:
    text = "id: a, cron: '0 */3 * * *'\nid: b, cron: '0 6 * * *', catch_up: all\nid: c, after: [a]"
    file = schedule(tmp_path, text)
    pauses = [paused(of, MIDNIGHT + timedelta(hours=1), MIDNIGHT + timedelta(hours=7))]
    found = next_firings(file, MIDNIGHT, 4, pauses)
    later = [] if of == "a" else [f"decided by catch_up after the pause: {BY_ANNA}"]
    assert [(one.item, one.scheduled.hour, one.runs, one.notes) for one in found] == [
        ("a", 3, False, [f"skipped: {BY_ANNA}"]),
        ("a", 6, False, [f"skipped: {BY_ANNA}"]),
        ("b", 6, True, later),
        ("a", 9, True, []),
    ]
    every = simulate(file, MIDNIGHT, MIDNIGHT + timedelta(days=1), {}, [], pauses)
    assert [one.scheduled.hour for one in every if one.item == "a" and not one.runs] == [3, 6]


def test_what_follows_an_item_that_is_paused_all_day_does_not_run(tmp_path: Path) -> None:
    text = "id: a, cron: '0 6,22 * * *'\nid: c, cron: '0 23 * * *', after: [a]"
    file = schedule(tmp_path, text)

    def of_c(*pauses: Pause) -> list[str]:
        (found,) = (one for one in next_firings(file, MIDNIGHT, 3, pauses) if one.item == "c")
        return found.notes

    morning = paused("a", MIDNIGHT, MIDNIGHT + timedelta(hours=7))
    evening = paused("a", MIDNIGHT + timedelta(hours=8), None)
    assert of_c(morning) == of_c(evening) == ["after a"]
    why = "missed: a does not run that day: paused by anna@host: migration"
    assert of_c(morning, evening) == [why, "after a"]
