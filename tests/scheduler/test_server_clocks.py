"""Servers on one database compare their clocks: one that is off decides nothing until it agrees again."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from aetherflow.cli.server_words import server_words
from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.scheduler.boot_source import BootSource
from aetherflow.scheduler.firing_decision import FiringDecider
from aetherflow.scheduler.server_clocks import COMPARING, ClockOffset, StandsBy, reference
from aetherflow.server.server_status import ServerStatus, server_status
from aetherflow.store.backfills import Backfill, insert_backfill
from aetherflow.store.pauses import Pause, put_pause
from aetherflow.store.projection import timestamp
from tests.scheduler.scheduler_parts import CountingClock, Server, fire_once, rows, schedule, server
from tests.store.real_parts import query

pytestmark = pytest.mark.asyncio
EVERY_MINUTE = "id: a, cron: '* * * * *'"
HOUR = 3600


def notices(one: Server) -> list[str]:
    """Return the codes of the notices since the last time, or COMPARING."""
    found = [
        COMPARING if COMPARING in event.message else event.code
        for event in one.reported
        if isinstance(event, ScheduleNotice)
    ]
    one.reported.clear()
    return found


async def beat(*servers: Server, seconds: int = 5) -> None:
    """Let time pass with a heartbeat of each server."""
    for _ in range(2):
        for one in servers:
            one.clock.advance(seconds / 2)
            await one.live()
        for one in servers:
            await one.beat()


@pytest.mark.parametrize("off", [HOUR, -HOUR])
async def test_a_server_whose_clock_is_off_stands_by_and_returns(tmp_path: Path, off: int) -> None:
    state = tmp_path / "state.sqlite"
    right, wrong = CountingClock("r"), CountingClock("w")
    wrong.jump(off)
    async with server(state, "a", right) as first, server(state, "b", wrong) as second:
        for _ in range(4):
            await beat(first)
        await first.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        wrong.advance(20)
        await second.beat()
        assert second.scheduler.standby.why() == COMPARING
        await second.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await beat(first, second)
        assert first.scheduler.standby.why() == ""
        side = "ahead of" if off > 0 else "behind"
        assert second.scheduler.standby.why().endswith(f"{side} that of server a")
        for _ in range(12):
            await beat(first, second)
            await second.tick()
            await second.tick()
        assert notices(second) == ["AF217"]
        assert rows(state) == []
        await first.tick()
        assert [row[1:] for row in rows(state)] == [("00:01:00", "QUEUED")]
        wrong.jump(-off)
        await beat(first, second)
        await second.tick()
        assert second.scheduler.standby.why() == ""
        assert "" in notices(second), "it says that it decides again"


async def test_a_clock_that_jumps_is_noticed_before_anything_is_decided(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    clocks = CountingClock("r"), CountingClock("s")
    async with server(state, "a", clocks[0]) as first, server(state, "b", clocks[1]) as second:
        for _ in range(4):
            await beat(first)
        clocks[1].advance(20)
        await beat(first, second)
        await beat(first, second)
        await second.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        clocks[1].jump(HOUR)
        await second.tick()
        assert rows(state) == []
        assert notices(second) == ["AF217"]


async def test_a_new_server_whose_clock_is_off_does_not_hold_up_an_old_one(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    right, wrong = CountingClock("r"), CountingClock("w")
    wrong.jump(HOUR)
    async with server(state, "a", right) as first, server(state, "b", wrong) as second:
        for _ in range(4):
            await beat(first)
        await second.live()
        await second.beat()
        await first.beat()
        assert first.scheduler.standby.why() == ""
        assert second.scheduler.standby.why() == COMPARING
        await second.tick()
        await second.tick()
        assert (notices(first), notices(second)) == ([], [COMPARING])


async def test_the_difference_of_the_clocks_is_stored(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    right, wrong = CountingClock("r"), CountingClock("w")
    wrong.jump(-HOUR)
    async with server(state, "a", right) as first, server(state, "b", wrong) as second:
        await beat(first)
        assert (await status(first, "a")).clock_ahead_seconds is None, "it is alone"
        for _ in range(3):
            await beat(first)
        wrong.advance(20)
        for _ in range(2):
            await beat(first, second)
        active, off = await status(first, "a"), await status(first, "b")
        assert (active.state, active.standby, active.clock_ahead_seconds) == ("active", "", 0.0)
        assert (off.state, off.version, off.host) == ("standby", "1", "host")
        assert "behind that of server a" in off.standby
        assert off.clock_ahead_seconds == pytest.approx(-HOUR, abs=3)
        assert server_words(off, "Europe/Berlin", right.now()).startswith("standby: its clock is 3")
        assert ", clock 1 h behind" in server_words(off, "Europe/Berlin", right.now())
        assert "+01:00 (by a clock that was ahead), " in server_words(active, "Europe/Berlin", wrong.now())


async def test_on_standby_no_item_begins_no_boot_fires_no_pause_ends_and_no_backfill_runs(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state.sqlite"
    right, wrong = CountingClock("r"), CountingClock("w")
    wrong.jump(HOUR)
    async with server(state, "a", right) as first, server(state, "b", wrong) as second:
        for _ in range(4):
            await beat(first)
        wrong.advance(20)
        await second.beat()
        file = schedule(tmp_path, f"{EVERY_MINUTE}\nid: b, cron: '@reboot'\nid: c, cron: '0 4 * * *'")
        await second.scheduler.put(file)
        assert query(state, "SELECT * FROM schedule_items") == []
        now, days = right.now(), [timestamp(right.now() - timedelta(days=days)) for days in (2, 0)]
        asked = Backfill("k", "night", "c", days[0], days[1], days[0], "all", None, 2, "{}", days[1], "anna")
        await first.database.transact(partial(insert_backfill, new=asked))
        paused = Pause("night", "a", timestamp(now), timestamp(now + timedelta(minutes=30)), "moved", "anna")
        await first.database.transact(lambda raw: put_pause(raw, paused, now))
        for _ in range(3):
            await beat(first, second)
            await second.tick()
            await second.tick()
        boots = BootSource(FiringDecider("server:b", wrong.now, wrong.new_id), second.scheduler.schedules)
        with pytest.raises(StandsBy):
            await boots.fire_next(second.scheduler)
        assert (rows(state), notices(second)) == ([], ["AF217"])
        assert query(state, "SELECT stage FROM pauses") == [("new",)]
        wrong.jump(-HOUR)
        await beat(first, second)
        await second.tick()
        assert [row[0] for row in rows(state, "item_id")] == ["c"] * 2, "the backfill runs"
        await fire_once(boots, second.scheduler)
        assert len(query(state, "SELECT * FROM schedule_items")) == 3
        for _ in range(13):
            await beat(first, second)
        await second.tick()
        assert {row[0] for row in rows(state, "item_id")} == {"a", "b", "c"}


async def status(asking: Server, name: str) -> ServerStatus:
    """Return the status of a server, by the clock of one of them."""
    found = await asking.database.read(lambda raw: server_status(raw, f"server:{name}", asking.clock.now()))
    assert found is not None
    return found


async def test_a_server_alone_decides_by_its_own_clock(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite", "a", CountingClock()) as one:
        await beat(one)
        one.clock.advance(1)
        assert one.scheduler.standby.why() == ""


@pytest.mark.parametrize(
    ("clocks", "decides"),
    [
        ([("a", 0, 1), ("b", 3600, 50), ("c", 1, 2)], "c"),
        ([("a", 0, 100), ("b", 3600, 5)], "a"),
        ([("a", 0, 5), ("b", 3600, 100)], "b"),
        ([("a", 0, 9), ("b", 1, 20), ("c", 2, 8), ("d", 3600, 500)], "b"),
        ([("a", 0, 9), ("b", 3600, 9)], "a"),
    ],
)
async def test_the_median_decides_and_of_two_the_oldest(
    clocks: list[tuple[str, float, int]], decides: str
) -> None:
    offsets = [ClockOffset(name, seconds, beats) for name, seconds, beats in clocks]
    assert reference(offsets).server == decides
