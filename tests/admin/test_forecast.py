"""What a scheduler file will do: next firings, simulations with DST, calendars and overlaps."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aetherflow.admin.forecast import next_firings, simulate
from aetherflow.errors import UsageError
from aetherflow.schedule.instant_text import parse_instant
from tests.scheduler.scheduler_parts import MIDNIGHT, schedule

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
    with pytest.raises(UsageError, match="more than 100000 firings"):
        simulate(file, MIDNIGHT, datetime(2026, 2, 1, tzinfo=UTC), {})
    with pytest.raises(UsageError, match="--to is not later"):
        simulate(file, MIDNIGHT, MIDNIGHT, {})


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
