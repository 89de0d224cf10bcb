"""Items that follow others of the day before, or of a week or month."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aetherflow.admin.forecast import next_firings
from aetherflow.schedule.followed import Followed, usual_tick
from aetherflow.schedule.item import Item
from tests.scheduler.scheduler_parts import MIDNIGHT, Server, rows, schedule, server

HOUR = 3600
DAY = 24 * HOUR
MONTHLY = "id: a, cron: '30 5 * * *', catch_up: all\nid: b, after: [{item: a, period: month}]"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


async def run_all(one: Server, outcome: str = "SUCCESS", until: datetime | None = None) -> None:
    """Let days pass until a time, and end each run of `a`, at 06:00."""
    while until is None or one.clock.now() < until:
        for run_id in [run for run, (item, _, _) in one.runs.submitted.items() if item.id == "a"]:
            assert await one.begin(run_id)
            await one.end(run_id, outcome)
        await one.tick()
        if until is None:
            return
        await one.tick(6 * HOUR)


def of_b(state: Path) -> list[Any]:
    return [row[1:] for row in rows(state, "item_id, outcome, reason") if row[0] == "b"]


@pytest.mark.asyncio
@pytest.mark.parametrize("outcome", ["SUCCESS", "FAILED"])
async def test_a_monthly_item_starts_after_the_last_daily_one(
    tmp_path: Path, state: Path, outcome: str
) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, MONTHLY))
        await run_all(one, "FAILED", MIDNIGHT + timedelta(days=30, hours=18))  # January: b is new
        assert of_b(state) == []
        await run_all(one, "FAILED", MIDNIGHT + timedelta(days=45))
        assert of_b(state) == [("WAITING", "waits for a in 2026-02")]
        await run_all(one, until=MIDNIGHT + timedelta(days=58))
        assert of_b(state) == [("WAITING", "waits for a in 2026-02")]
        await one.tick(6 * HOUR)
        assert of_b(state) == [("WAITING", "waits for a in 2026-02")], "the last one runs"
        (last,) = one.runs.submitted
        await one.begin(last)
        await one.end(last, outcome)
        await one.tick()
        ended = [("SKIPPED", f"a ended FAILED in 2026-02 (run {last})")]
        assert of_b(state) == ([("QUEUED", "")] if outcome == "SUCCESS" else ended)


@pytest.mark.asyncio
async def test_of_a_month_the_last_tick_counts_also_if_it_was_missed(tmp_path: Path, state: Path) -> None:
    text = "id: a, cron: '30 5 * * *'\nid: b, cron: '0 6 1 * *', after: [{item: a, period: previous_month}]"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await run_all(one, until=MIDNIGHT + timedelta(days=30))
        one.clock.advance(DAY + HOUR)  # no server was there on the 31st
        await one.tick()
        await one.tick(5 * HOUR)
        assert of_b(state) == [
            ("MISSED", "a in 2025-12 did not succeed"),
            ("MISSED", "a ended MISSED in 2026-01"),
        ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("of_a", "found"),
    [
        ("SUCCESS", ("QUEUED", "")),
        ("FAILED", ("SKIPPED", "a ended FAILED on 2026-01-01 (run r2)")),
        ("", ("WAITING", "waits for a on 2026-01-01")),
    ],
)
async def test_the_day_before_counts(tmp_path: Path, state: Path, of_a: str, found: Any) -> None:
    text = "id: a, cron: '0 23 * * *'\nid: b, cron: '0 3 * * *', after: [{item: a, offset_days: -1}]"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(3 * HOUR)
        assert of_b(state) == [("MISSED", "a on 2025-12-31 did not succeed")]
        await one.tick(20 * HOUR)
        assert await one.begin("r2")
        if of_a:
            await one.end("r2", of_a)
        await one.tick(4 * HOUR)
        assert of_b(state)[1:] == [found]


def test_periods() -> None:
    day = date(2026, 3, 1)  # a Sunday
    cases: list[tuple[Followed, tuple[date, date], str, str]] = [
        (Followed("a"), (day, date(2026, 3, 2)), "that day", "a"),
        (Followed("a", -1), (date(2026, 2, 28), day), "on 2026-02-28", "a (1 day before)"),
        (
            Followed("a", 0, "week"),
            (date(2026, 2, 23), date(2026, 3, 2)),
            "in the week from 2026-02-23 on",
            "a (week)",
        ),
        (
            Followed("a", 0, "previous_week"),
            (date(2026, 2, 16), date(2026, 2, 23)),
            "in the week from 2026-02-16 on",
            "a (previous week)",
        ),
        (Followed("a", 0, "month"), (day, date(2026, 4, 1)), "in 2026-03", "a (month)"),
        (
            Followed("a", 0, "previous_month"),
            (date(2026, 2, 1), day),
            "in 2026-02",
            "a (previous month)",
        ),
        (Followed("a", -2, "month"), (date(2026, 2, 1), day), "in 2026-02", "a (2 days before, month)"),
    ]
    for one, dates, when, text in cases:
        assert (one.dates(day), one.when(day), str(one)) == (dates, when, text)
    begin, end = Followed("a", 0, "month").span(date(2026, 3, 9), ZoneInfo("Europe/Berlin"))
    assert (begin, end) == (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))
    for month in range(1, 13):
        for day_of_month in range(1, 29):
            first, after = Followed("a", 0, "month").dates(date(2028, month, day_of_month))
            assert (first.day, first.month, after.day) == (1, month, 1)
            before, until = Followed("a", 0, "previous_month").dates(date(2028, month, day_of_month))
            assert (until, before.day, (until - before).days in (28, 29, 30, 31)) == (first, 1, True)


def test_an_item_without_a_time_of_its_own_is_due_when_its_shortest_period_begins(tmp_path: Path) -> None:
    assert usual_tick([Followed("a", 0, "month"), Followed("b", 0, "previous_week")]) == "0 0 * * mon"
    assert usual_tick([Followed("a", 0, "previous_month")]) == "0 0 1 * *"
    assert usual_tick([Followed("a", 0, "month"), Followed("b", -1)]) == usual_tick([]) == "0 0 * * *"

    def item(after: str) -> Item:
        return schedule(tmp_path, f"id: a, cron: '0 1 * * *'\nid: b, after: [{after}]").items["b"]

    plain, same, monthly = map(item, ("a", "{item: a}", "{item: a, period: month}"))
    assert plain.definition == same.definition != monthly.definition

    def timed(after: str) -> str:
        return (
            schedule(tmp_path, f"id: a, at: '2030-01-01T00:00', after: [{after}]\nid: c, cron: '0 1 * * *'")
            .items["a"]
            .definition
        )

    assert timed("c") == timed("{item: c, period: month}"), "it has times of its own, which do not change"


def test_the_forecast_names_the_last_one_and_why_it_cannot_run(tmp_path: Path) -> None:
    text = (
        "id: a, cron: '30 5 * * *', calendar: working\n"
        "id: b, after: [{item: a, period: month}]\n"
        "id: c, cron: '0 3 4 1 *', after: [{item: a, offset_days: -1}]"
    )
    head = "calendars: {working: {weekdays: [mon-fri]}}"
    found = next_firings(schedule(tmp_path, text, head), MIDNIGHT, 60)
    (of_b,) = (one for one in found if one.item == "b" and one.scheduled.month == 2)
    assert of_b.notes == ["after a (month)", "the last a in 2026-02 is that of 2026-02-27T05:30:00+00:00"]
    (of_c,) = (one for one in found if one.item == "c")
    weekend = "2026-01-03 is a saturday, no working day of the calendar 'working'"
    assert of_c.notes[0] == f"missed: a does not run on 2026-01-03: {weekend}"
    assert not of_c.runs
