"""Late ticks: each is reported once, whatever the number of servers, and nothing while an item is paused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from aetherflow.events.schedule_events import FiringLate
from aetherflow.scheduler.late_watch import AlertRun, LateWatch
from aetherflow.store.pauses import Pause, end_pause, put_pause, read_pauses
from aetherflow.store.projection import timestamp
from tests.scheduler.scheduler_parts import MIDNIGHT, CountingClock, Server, schedule, server
from tests.store.clock_double import FakeClock

pytestmark = pytest.mark.asyncio

HOURLY = "id: a, cron: '0 * * * *'"
PAGE = "on_late: [{id: page, type: external.process, inputs: {command: [page]}}]"


class Watched:
    """A server with a watch; what it has reported and started."""

    def __init__(self, one: Server) -> None:
        self.server = one
        self.late: list[FiringLate] = []
        self.started: list[tuple[str, str]] = []
        self.watch = LateWatch(
            one.database, one.scheduler.schedules, one.scheduler.standby, one.clock, self._report, self._start
        )

    def _report(self, event: object) -> None:
        assert isinstance(event, FiringLate)
        self.late.append(event)

    async def _start(self, event: AlertRun) -> None:
        self.started.append((event.item_id, event.on_late_run))

    async def tick(self, seconds: float = 0) -> list[str]:
        """Let time pass, and the server do what is due; return what is late now."""
        await self.server.tick(seconds)
        return await self.look()

    async def fail(self, reason: str) -> None:
        """Let the run that was submitted end before it starts."""
        (run_id,) = self.server.runs.submitted
        await self.server.end(run_id, "FAILED", reason)

    async def look(self) -> list[str]:
        """Look once; return what is new."""
        await self.watch.look()
        found = [f"{one.scheduled_at:%H:%M} {one.alert} {one.reason}" for one in self.late]
        self.late.clear()
        return found


@asynccontextmanager
async def watched(
    path: Path, items: str, name: str = "a", clock: FakeClock | None = None
) -> AsyncIterator[Watched]:
    async with server(path / "state.sqlite", name, clock or CountingClock(name)) as one:
        await one.scheduler.put(schedule(path, items))
        yield Watched(one)


async def pause(one: Server, seconds: float) -> None:
    now = one.clock.now()
    until = timestamp(now + timedelta(seconds=seconds))
    row = Pause("night", "a", timestamp(now), until, "migration", "anna@host")
    await one.database.transact(lambda raw: put_pause(raw, row, now))


async def test_a_run_that_has_not_started_in_time_is_late_once(tmp_path: Path) -> None:
    async with watched(tmp_path, f"{HOURLY}, deadline: {{start_within: 15m}}") as one:
        assert await one.tick(3600) == []
        assert await one.tick(15 * 60) == []
        assert await one.tick(1) == [
            "01:00 late_start its run has not started 15 min after its time (start_within 15m)"
        ]
        assert await one.tick(600) == [], "it is reported once"
        await one.server.begin("a1")
        assert await one.tick(1) == [], "also when it starts at last"


async def test_a_run_that_started_late_between_two_looks_is_late(tmp_path: Path) -> None:
    async with watched(tmp_path, f"{HOURLY}, deadline: {{start_within: 15m}}") as one:
        assert await one.tick(3600) == []
        one.server.clock.advance(1200)
        await one.server.begin("a1")
        await one.server.end("a1")
        assert await one.look() == [
            "01:00 late_start its run started 20 min after its time (start_within 15m)"
        ]


async def test_a_run_in_time_is_not_late(tmp_path: Path) -> None:
    keys = "deadline: {start_within: 15m, end_by: '02:00', longer_than: 30m}"
    async with watched(tmp_path, f"id: a, cron: '0 1 * * *', {keys}, {PAGE}") as one:
        assert await one.tick(3600) == []
        await one.server.begin("a1")
        assert await one.tick(1200) == []
        await one.server.end("a1")
        assert await one.tick(7200) == []
        assert one.started == []


async def test_a_run_that_is_not_over_at_its_time_of_day_is_late(tmp_path: Path) -> None:
    keys = "timezone: Europe/Berlin, deadline: {end_by: '07:00'}"
    async with watched(tmp_path, f"id: a, cron: '0 5 * * *', {keys}") as one:
        assert await one.tick(4 * 3600) == []
        await one.server.begin("a1")
        assert await one.tick(2 * 3600) == []
        assert await one.tick(60) == ["04:00 late_end its run is not over (end_by 07:00 Europe/Berlin)"]
        await one.server.end("a1", "FAILED")
        assert await one.tick(60) == []


async def test_a_run_that_ends_late_between_two_looks_is_late(tmp_path: Path) -> None:
    async with watched(tmp_path, "id: a, cron: '0 5 * * *', deadline: {end_by: '07:00'}") as one:
        await one.tick(5 * 3600)
        await one.server.begin("a1")
        assert await one.look() == []
        one.server.clock.advance(3 * 3600)
        await one.server.end("a1")
        assert await one.look() == ["05:00 late_end its run ended 1 h after end_by 07:00 UTC"]


async def test_a_run_that_takes_longer_than_a_duration_is_long(tmp_path: Path) -> None:
    async with watched(tmp_path, f"{HOURLY}, deadline: {{longer_than: 10m}}") as one:
        await one.tick(3600)
        await one.server.begin("a1")
        assert await one.tick(600) == []
        assert await one.tick(1) == ["01:00 long its run has been executed for 10 min (longer_than 10m)"]


async def test_a_run_that_takes_many_times_as_long_as_usual_is_long(tmp_path: Path) -> None:
    async with watched(tmp_path, f"{HOURLY}, deadline: {{longer_than: 3x}}") as one:
        for run, seconds in enumerate((60, 900, 60), start=1):
            assert await one.tick(3600 - one.server.clock.now().timestamp() % 3600) == []
            await one.server.begin(f"a{run}")
            assert await one.tick(seconds) == [], "nothing is usual yet"
            await one.server.end(f"a{run}")
        await one.tick(3600 - one.server.clock.now().timestamp() % 3600)
        await one.server.begin("a4")
        assert await one.tick(180) == []
        assert await one.tick(20) == [
            "04:00 long its run has been executed for 3 min 20 s (longer_than 3x; usual are 1 min)"
        ]


async def test_ticks_that_were_missed_are_one_alert_with_one_run(tmp_path: Path) -> None:
    async with watched(tmp_path, f"{HOURLY}, {PAGE}") as one:
        await one.tick(3600)
        await one.server.begin("a1")
        await one.server.end("a1")
        assert await one.look() == []
        one.server.clock.advance(9 * 3600 + 1800)
        await one.server.live()
        await one.server.tick()
        await one.watch.look()
        (event,) = one.late
        assert (event.alert, event.ticks, event.scheduled_at) == ("missed", 9, MIDNIGHT + timedelta(hours=10))
        assert event.reason.startswith("its tick is MISSED: ")
        assert one.started == [("a", event.on_late_run)]
        one.late.clear()
        assert await one.tick() == []


async def test_an_item_whose_runs_never_started_has_never_run(tmp_path: Path) -> None:
    async with watched(tmp_path, f"{HOURLY}, {PAGE}") as one:
        await one.tick(3600)
        await one.fail("AF207: the flow is not valid")
        why = "its run could not start: AF207: the flow is not valid"
        assert await one.look() == [f"01:00 never_ran no run of the item has ever started; {why}"]
        assert await one.look() == []
        async with watched(tmp_path, f"{HOURLY}, {PAGE}", "b", one.server.clock) as other:
            assert await other.look() == [], "neither does a server report it that starts later"
        await one.tick(3600)
        await one.fail("AF207: the flow is not valid")
        assert await one.look() == [f"02:00 missed {why}"], "that it never ran is known"


async def test_each_tick_is_reported_but_the_steps_run_once_in_half_an_hour(tmp_path: Path) -> None:
    keys = "overlap: queue, deadline: {start_within: 1m}"
    async with watched(tmp_path, f"id: a, cron: '*/10 * * * *', {keys}, {PAGE}") as one:
        reported = 0
        for _ in range(72):
            reported += len(await one.tick(100))
        assert reported == 11, "two hours, and the last tick has its minute"
        assert len(one.started) == 4


async def test_an_item_that_waits_for_one_that_always_fails_has_never_run(tmp_path: Path) -> None:
    items = f"id: b, cron: '0 1 * * *'\nid: a, cron: '30 1 * * *', after: [b], {PAGE}"
    async with watched(tmp_path, items) as one:
        for day in range(2):
            await one.tick(84600 if day else 3600)
            await one.fail("boom")
            found = await one.tick(1800)
            assert len(found) == (1 if day == 0 else 0), "once for the item"
            assert all("01:30 never_ran" in line and "SKIPPED" in line for line in found)


async def test_what_a_person_fires_is_not_late_to_start(tmp_path: Path) -> None:
    keys = "deadline: {start_within: 1m, end_by: '00:30', longer_than: 5m}"
    async with watched(tmp_path, f"id: a, cron: '0 12 * * *', {keys}") as one:
        await one.tick(60)
        manual = one.server.scheduler.timetable._decider.fire
        item = one.server.scheduler.schedules["night"].items["a"]
        await one.server.database.transact(lambda raw: manual(raw, item))
        assert await one.tick(3600) == []
        await one.server.begin("a1")
        assert await one.tick(301) == ["00:01 long its run has been executed for 5 min 1 s (longer_than 5m)"]


async def test_nothing_is_reported_while_the_item_is_paused(tmp_path: Path) -> None:
    keys = "deadline: {start_within: 1m, longer_than: 30m}"
    async with watched(tmp_path, f"{HOURLY}, {keys}, {PAGE}") as one:
        await one.tick(3600)
        await one.server.begin("a1")
        await pause(one.server, 3 * 3600)
        assert await one.tick(2 * 3600) == []
        assert len(one.watch._seen["night"].opened) == 1, "the skipped ticks are not looked at every second"
        assert await one.tick(3600 + 10) == ["01:00 long its run has been executed for 3 h (longer_than 30m)"]
        assert await one.tick(60) == [], "the ticks inside the pause were not to run"


async def test_ticks_of_a_pause_of_a_new_item_do_not_make_it_one_that_never_ran(tmp_path: Path) -> None:
    async with watched(tmp_path, f"{HOURLY}, {PAGE}") as one:
        await pause(one.server, 2 * 3600)
        assert await one.tick(3700) == []

        def end(raw: object) -> None:
            for row in read_pauses(raw, "night"):  # type: ignore[arg-type]  # a connection
                end_pause(raw, row, "bob@host", one.server.clock.now())  # type: ignore[arg-type]  # as above

        await one.server.database.transact(end)
        assert await one.tick(1) == []


async def test_nothing_is_reported_in_a_window_and_what_was_late_in_it_afterwards(tmp_path: Path) -> None:
    keys = "deadline: {longer_than: 30m}, not_between: ['01:30-04:30']"
    async with watched(tmp_path, f"{HOURLY}, {keys}, {PAGE}") as one:
        await one.tick(3600)
        await one.server.begin("a1")
        assert await one.tick(3600) == []
        await one.server.end("a1")
        assert await one.tick(3600) == []
        assert await one.tick(3600 + 1805) == ["01:00 long its run took 1 h (longer_than 30m)"]
        assert await one.tick(1) == []


async def test_ticks_of_a_window_of_a_new_item_do_not_make_it_one_that_never_ran(tmp_path: Path) -> None:
    async with watched(tmp_path, f"{HOURLY}, not_between: ['00:30-04:30'], {PAGE}") as one:
        assert await one.tick(3600) == []
        assert await one.tick(4 * 3600 - 1000) == []
        assert one.started == []


async def test_two_servers_report_an_alert_once_and_a_server_that_starts_later_reports_nothing(
    tmp_path: Path,
) -> None:
    clock = CountingClock()
    items = f"{HOURLY}, deadline: {{start_within: 5m}}, {PAGE}"
    async with watched(tmp_path, items, "a", clock) as one, watched(tmp_path, items, "b", clock) as other:
        found = [*await one.tick(3600), *await other.tick(400), *await one.tick(0)]
        assert len(found) == 1
        assert len(one.started) + len(other.started) == 1
        async with watched(tmp_path, items, "c", clock) as third:
            assert await third.look() == []


async def test_a_server_that_starts_reports_what_ended_late_when_the_last_one_died(tmp_path: Path) -> None:
    clock = CountingClock()
    items = f"{HOURLY}, deadline: {{longer_than: 5m}}"
    async with watched(tmp_path, items, "a", clock) as one:
        await one.tick(3600)
        await one.server.begin("r1")
        clock.advance(1200)
        await one.server.end("r1")
    clock.advance(30)
    async with watched(tmp_path, items, "b", clock) as other:
        assert await other.look() == ["01:00 long its run took 20 min (longer_than 5m)"]


async def test_an_alert_by_a_clock_that_was_ahead_does_not_count(tmp_path: Path) -> None:
    clock = CountingClock()
    async with watched(tmp_path, f"{HOURLY}, deadline: {{longer_than: 1h}}", clock=clock) as one:
        await one.tick(3600)
        await one.server.begin("r1")
        clock.jump(86400)
        assert len(await one.look()) == 1
        clock.jump(-86400)
        assert await one.look() == []
        clock.advance(3601)
        assert await one.look() == ["01:00 long its run has been executed for 1 h (longer_than 1h)"]
        clock.advance(60)
        assert await one.look() == []


async def test_items_without_the_keys_cost_no_read(tmp_path: Path) -> None:
    async with watched(tmp_path, HOURLY) as one:
        await one.tick(3600)
        one.watch._database = None  # type: ignore[assignment]
        await one.watch.look()
