"""A clock that was ahead and is right again: no item sleeps, no tick is lost, none runs twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.cli.item_words import item_words
from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.server.in_force import AskedFile
from aetherflow.server.scheduler_status import status_of
from tests.scheduler.scheduler_parts import CountingClock, Server, rows, schedule, server

pytestmark = pytest.mark.asyncio
EVERY_MINUTE = "id: a, cron: '* * * * *'"
HOUR = 3600


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


def notices(one: Server) -> list[tuple[str, str]]:
    """Return the codes and items of the notices since the last time."""
    found = [(event.code, event.item_id) for event in one.reported if isinstance(event, ScheduleNotice)]
    one.reported.clear()
    return found


async def run_all(one: Server) -> None:
    """Begin and end what was submitted."""
    for run_id in list(one.runs.submitted):
        if await one.begin(run_id):
            await one.end(run_id)
        else:
            await one.end(run_id, "TAKEN_OVER")


async def test_after_a_restart_an_item_decided_ahead_fires_its_next_tick(tmp_path: Path, state: Path) -> None:
    """The clock is an hour ahead at the boot of the machine, and right when the server starts again."""
    clock = CountingClock()
    clock.jump(HOUR)
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await one.tick(60)
        await run_all(one)
    clock.jump(-HOUR)
    async with server(state, "b", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        assert notices(one) == [("AF215", "")]
        await one.tick()
        assert one.reported == [], "it is said once"
        await one.tick(60)
        assert list(one.runs.submitted) == ["r2"]
        assert rows(state, "scheduled_at, outcome") == [("00:02:00", "QUEUED"), ("01:01:00", "SUCCESS")]


async def test_a_tick_that_ran_while_the_clock_was_ahead_does_not_run_again(
    tmp_path: Path, state: Path
) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        for _ in range(3):
            await one.tick(60)
            await run_all(one)
        clock.jump(-120)
        await one.tick()
        assert ("AF215", "") in notices(one)
        for _ in range(4):
            await one.tick(60)
            await run_all(one)
        assert notices(one) == []
        assert rows(state, "scheduled_at, outcome") == [
            (f"00:0{minute}:00", "SUCCESS") for minute in range(1, 6)
        ]


async def test_ticks_that_a_clock_ahead_called_missed_run_when_their_time_comes(
    tmp_path: Path, state: Path
) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", misfire_grace_time: 30"))
        clock.jump(HOUR + 20)
        await one.tick()
        assert [row[1] for row in rows(state)].count("01:00:00") == 1
        await run_all(one)
        clock.jump(-HOUR - 20)
        await one.tick()
        assert notices(one) == [("AF215", "")]
        for _ in range(62):
            await one.tick(60)
            await run_all(one)
        outcomes = rows(state, "scheduled_at, outcome, ticks")
        assert len(outcomes) == 62
        assert {row[1:] for row in outcomes} == {("SUCCESS", 1)}
        assert notices(one) == [("AF216", "a")] * 59, "each says that it was decided before"


async def test_a_run_that_has_not_started_waits_for_its_time(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await one.tick(60)
        await run_all(one)
        clock.jump(HOUR)
        await one.tick(60)
        assert rows(state)[-1] == ("a", "01:02:00", "QUEUED")
        clock.jump(-HOUR)
        await one.tick()
        assert rows(state, "outcome, reason")[-1] == (
            "WAITING",
            "its time has not come: a clock that was ahead fired it",
        )
        assert ("AF216", "a") in notices(one)
        await run_all(one)  # the run pool comes to it: it may not start
        await one.tick()
        await run_all(one)
        for _ in range(60):
            await one.tick(60)
            await run_all(one)
        assert {row[1:] for row in rows(state, "item_id, outcome, ticks")} == {("SUCCESS", 1)}
        assert len(rows(state)) == 62


async def test_a_row_of_many_ticks_stays_for_those_before_the_wrong_decision(
    tmp_path: Path, state: Path
) -> None:
    """After downtime a clock ahead made one row of what was missed and of what was still to come."""
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", misfire_grace_time: 30"))
    clock.advance(10 * 60 + 20)
    clock.jump(2 * HOUR)
    async with server(state, "b", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", misfire_grace_time: 30"))
        await one.tick()
        shared = [row for row in rows(state, "scheduled_at, ticks") if row[1] > 1]
        assert shared == [("00:29:00", 29)]
        await run_all(one)
        clock.jump(-2 * HOUR)
        await one.tick()
        for _ in range(130):
            await one.tick(60)
            await run_all(one)
        found = rows(state, "scheduled_at, outcome, ticks")
        assert found[0] == ("00:10:00", "MISSED", 10)
        assert {row[1:] for row in found[1:]} == {("SUCCESS", 1)}
        assert len(found) == 1 + 130


async def test_a_clock_that_is_behind_for_a_moment_erases_nothing(tmp_path: Path, state: Path) -> None:
    """As at the boot of a machine without a battery: it shows a time of years ago until it is set."""
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await one.tick(60)
        await one.tick(60)  # skipped: the first has not ended
        await run_all(one)
        before = rows(state)
        clock.jump(-365 * 24 * HOUR)
        await one.tick()
        clock.jump(365 * 24 * HOUR)
        await one.tick(60)
        await run_all(one)
        assert rows(state)[-3:-1] == before
        assert rows(state)[-1] == ("a", "00:03:00", "SUCCESS")


async def test_a_follower_does_not_see_what_lies_ahead(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    items = "id: load, cron: '0,30 * * * *'\nid: report, cron: '5 * * * *', after: [load]"
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, items))
        clock.jump(2 * HOUR)
        await one.tick()
        clock.jump(-2 * HOUR)
        await one.tick()
        await one.tick(30 * 60)
        await run_all(one)
        await one.tick(35 * 60)
        await run_all(one)
        await one.tick(1)
        await run_all(one)
        assert ("report", "01:05:00", "SUCCESS") in rows(state)


async def test_the_status_says_what_ran_ahead_and_names_the_next_tick_that_has_not_run(
    tmp_path: Path, state: Path
) -> None:
    clock = CountingClock()
    clock.jump(HOUR)
    async with server(state, "a", clock) as one:
        file = schedule(tmp_path, "id: a, cron: '30 * * * *'")
        await one.scheduler.put(file)
        await one.tick(HOUR // 2)  # 01:30 by its clock
        await run_all(one)
        clock.jump(-HOUR)
        clock.advance(HOUR // 2)  # 01:00
        (found,) = await one.database.read(
            lambda raw: status_of(raw, AskedFile(file.file, file), clock.now())
        )
        (item,) = found.items
        assert item.next == "2026-01-01T02:30:00Z", "01:30 has run"
        last = "last 2026-01-01T01:30:00+00:00 (in 30 min: a clock was ahead) SUCCESS"
        assert item_words(item, clock.now())[0] == last
