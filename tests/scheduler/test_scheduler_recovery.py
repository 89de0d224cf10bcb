"""Servers that die, sleep or lose their clock: nothing runs twice, nothing is forgotten, nothing floods."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.schedule.catch_up import decide_due
from aetherflow.scheduler.firing_decision import FiringDecider
from aetherflow.scheduler.recovery import ITEM_REMOVED
from aetherflow.scheduler.scheduler import Scheduler
from aetherflow.scheduler.wall_clock_timer import LOOK_SECONDS, WallClockTimer
from aetherflow.store.process_identity import ProcessIdentity, this_process
from aetherflow.store.served_files import ServedFile, record_served_file
from tests.scheduler.scheduler_parts import MIDNIGHT, CountingClock, Server, rows, schedule, server

pytestmark = pytest.mark.asyncio
EVERY_MINUTE = "id: a, cron: '* * * * *'"
DEAD = ProcessIdentity(this_process().host, 2**22 + 1, "1")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


async def test_what_a_dead_server_had_queued_is_run_under_its_id(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as first, server(state, "b", clock) as second:
        await first.live(DEAD)
        for one in (first, second):
            await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        clock.advance(60)
        await first.fire_due()
        await second.tick()
        assert list(second.runs.submitted) == ["r1"]
        assert not second.runs.submitted["r1"][2], "it had not begun: nothing is to be recovered"
        assert second.events() == ["firing_taken_over"]
        assert await second.begin("r1")
        assert not await first.begin("r1")


async def test_what_a_dead_server_was_running_is_resumed(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as first:
        await first.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await first.tick(60)
        assert await first.begin("r1")
        clock.advance(31)  # it is paused for longer than its lease
        async with server(state, "b", clock) as second:
            await second.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
            await second.tick()
            assert second.runs.submitted["r1"][2], "the run is to be recovered"
            assert await second.begin("r1")
            first.events()
            await first.end("r1")  # the paused one wakes up and believes that it has ended the run
            (notice,) = first.reported
            assert isinstance(notice, ScheduleNotice)
            assert "run r1 of item a ended here SUCCESS" in notice.message
            assert notice.level == "warning"
            assert rows(state, "outcome, server") == [("RUNNING", "server:b")]
            await second.end("r1")
            assert rows(state, "outcome, server") == [("SUCCESS", "server:b")]


async def test_a_live_server_keeps_its_firings(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as first, server(state, "b", clock) as second:
        for one in (first, second):
            await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await first.tick(29)
        await first.live()
        clock.advance(29)
        await first.live()
        await first.tick(2)
        await second.tick()
        assert second.runs.submitted == {}


async def test_a_server_that_stops_leaves_its_queue_to_the_next(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as first:
        await first.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await first.tick(60)
        await first.scheduler.release()
        assert rows(state, "outcome, server") == [("QUEUED", "")]
    async with server(state, "b", clock) as second:
        await second.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await second.tick()
        assert list(second.runs.submitted) == ["r1"]


async def serves(one: Server, folder: Path, items: str) -> None:
    """Let a server serve a file with these items, and note that it does."""
    await one.scheduler.put(schedule(folder, items))
    await one.database.transact(
        lambda raw: record_served_file(raw, "night", one.name, ServedFile("file", b""), one.clock.now())
    )


NEWER = EVERY_MINUTE + ", enabled: false\nid: b, cron: '* * * * *', overlap: queue"


async def test_firings_of_items_that_only_another_server_knows_are_left_to_it(
    tmp_path: Path, state: Path
) -> None:
    clock = CountingClock()
    async with (
        server(state, "old", clock) as old,
        server(state, "new", clock) as new,
        server(state, "dying", clock) as dying,
    ):
        await serves(old, tmp_path, EVERY_MINUTE + ", enabled: false")
        await serves(new, tmp_path, NEWER)
        await dying.live(DEAD)
        await dying.scheduler.put(schedule(tmp_path, NEWER))
        clock.advance(60)
        await dying.fire_due()  # QUEUED
        await dying.database.transact(
            lambda raw: FiringDecider("", clock.now, clock.new_id).fire(
                raw, new.scheduler.schedules["night"].items["b"]
            )
        )  # WAITING
        for one in (old, new):
            await one.live()
        await old.scheduler.check()
        assert [row[0] for row in rows(state, "outcome")] == ["QUEUED", "WAITING"]
        await new.scheduler.check()
        assert rows(state, "outcome, server") == [("QUEUED", "server:new"), ("WAITING", "server:new")]


async def test_a_server_whose_file_lost_an_item_leaves_its_firings_to_those_that_have_it(
    tmp_path: Path, state: Path
) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as first, server(state, "b", clock) as second:
        await serves(first, tmp_path, NEWER)
        await first.tick(60)
        await first.tick(60)
        await serves(second, tmp_path, NEWER)
        await serves(first, tmp_path, EVERY_MINUTE + ", enabled: false")
        await second.live()
        await first.scheduler.check()
        assert rows(state, "outcome, server") == [("QUEUED", ""), ("WAITING", "")]
        assert not await first.begin("r1")
        await second.scheduler.check()
        assert list(second.runs.submitted) == ["r1"]


async def test_a_firing_whose_item_no_server_knows_is_closed_in_the_end(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as first, server(state, "b", clock) as second:
        await serves(first, tmp_path, NEWER)
        await first.tick(60)
        await first.tick(60)
        for one in (first, second):
            await serves(one, tmp_path, EVERY_MINUTE + ", enabled: false")
        for seconds in range(0, 70, 10):
            clock.advance(10)
            for one in (first, second):
                await one.live()
            for one in (first, second):
                await one.scheduler.check()
            assert rows(state, "outcome")[1] == ("WAITING" if seconds < 60 else "SKIPPED",)
        assert rows(state, "outcome, reason")[1] == ("SKIPPED", ITEM_REMOVED)


async def test_overlap_holds_across_servers(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as first, server(state, "b", clock) as second:
        text = EVERY_MINUTE + ", overlap: cancel_running"
        await first.scheduler.put(schedule(tmp_path, text))
        await first.tick(60)
        assert await first.begin("r1")
        await second.scheduler.put(schedule(tmp_path, text))
        for one in (first, second):
            await one.live()
        clock.advance(29)
        for one in (first, second):
            await one.live()
        clock.advance(31 - 1)
        for one in (first, second):
            await one.live()
        clock.advance(1)
        await second.fire_due()
        assert rows(state, "outcome, server") == [("RUNNING", "server:a"), ("WAITING", "server:b")]
        await first.scheduler.check()
        assert first.runs.cancelled == [("r1", "replaced by the firing of 2026-01-01T00:02:00Z")]
        await first.end("r1", "CANCELLED")
        await second.scheduler.check()
        assert list(second.runs.submitted) == ["r2"]


async def test_a_queue_is_one_for_all_servers(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as first, server(state, "b", clock) as second:
        file = schedule(tmp_path, "id: a, interval_seconds: 5, overlap: queue")
        for one in (first, second):
            await one.scheduler.put(file)
        for one in (first, first, second):
            clock.advance(5)
            await one.fire_due()
        assert rows(state, "outcome, server") == [
            ("QUEUED", "server:a"),
            ("WAITING", "server:a"),
            ("WAITING", "server:b"),
        ]
        await first.begin("r1")
        await first.end("r1")
        await second.scheduler.check()
        assert second.runs.submitted == {}, "what waits with the other server is older"
        await first.scheduler.check()
        assert list(first.runs.submitted) == ["r2"]
        await first.begin("r2")
        await first.end("r2")
        await second.scheduler.check()
        assert list(second.runs.submitted) == ["r3"]


async def test_what_waits_for_other_items_holds_up_nobody(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        file = schedule(
            tmp_path, "id: a, at: '2026-01-02T00:00'\nid: b, cron: '0 * * * *', after: [a], overlap: queue"
        )
        await one.scheduler.put(file)
        await one.tick(3600)
        decider = FiringDecider("", one.clock.now, one.clock.new_id)
        await one.database.transact(lambda raw: decider.fire(raw, file.items["b"]))
        await one.tick()
        assert rows(state, "cause, outcome") == [("tick", "WAITING"), ("manual", "QUEUED")]


async def test_after_downtime_what_ran_is_what_the_policy_says(tmp_path: Path) -> None:
    """Generated downtimes and forward jumps, each against the pure policy, and never a flood."""
    number = random.SystemRandom().randrange(2**32)
    chance = random.Random(number)  # noqa: S311 - chance, not secrets
    clock = CountingClock()
    for turn in range(60):
        path = tmp_path / f"{turn}.sqlite"
        policy = ", ".join(
            (
                f"catch_up: {chance.choice(['none', 'latest', 'all'])}",
                f"catch_up_maximum: {chance.randrange(1, 6)}",
                f"misfire_grace_time: {chance.choice([0, 90, 300])}",
                f"coalesce: {chance.choice(['true', 'false'])}",
                "max_instances: 1000",
            )
        )
        async with server(path, "a", clock) as one:
            file = schedule(tmp_path, f"{EVERY_MINUTE}, {policy}")
            await one.scheduler.put(file)
            began = clock.now()
            downtime = chance.choice([30, 200, 4000, 90_000, 3_000_000])
            if chance.random() < 0.5:
                clock.jump(downtime)
                await one.tick()
            else:
                clock.advance(downtime)
                again = Server(one.database, "again", clock)
                await again.scheduler.put(file)
                await again.tick()
            item = file.items["a"]
            expected = decide_due(item.table, item.policy, began, clock.now())
            ran = [f"{run.tick:%H:%M:%S}" for run in expected.runs]
            found = rows(path, "scheduled_at, outcome, ticks")
            assert [row[0] for row in found if row[1] == "QUEUED"] == ran, (number, turn, policy)
            reported = sum(row[2] for row in found if row[1] != "QUEUED")
            assert reported == sum(some.count for some in expected.not_run), (number, turn, policy)
            assert len(found) <= 5 + 2 * 101 + 1 + 5, "a flood of rows"


async def _after_a_break(folder: Path, state: Path, item: str, seconds: float) -> None:
    """Let a second server come after so long a time without one."""
    async with server(state, "a") as one:
        file = schedule(folder, item)
        await one.scheduler.put(file)
        one.clock.advance(seconds)
        again = Server(one.database, "again", one.clock)
        await again.scheduler.put(file)
        await again.tick()


@pytest.mark.parametrize(
    ("minutes", "shared"),
    [
        (100, ("00:01:00", 1, "")),
        (101, ("00:01:00", 1, "")),
        (102, ("00:02:00", 2, " (2 ticks from 2026-01-01T00:01:00Z on)")),
        (105, ("00:05:00", 5, " (5 ticks from 2026-01-01T00:01:00Z on)")),
    ],
)
async def test_of_very_many_missed_ticks_the_earliest_share_a_row(
    tmp_path: Path, state: Path, minutes: int, shared: tuple[str, int, str]
) -> None:
    await _after_a_break(tmp_path, state, f"{EVERY_MINUTE}, misfire_grace_time: 0", minutes * 60 + 30)
    found = rows(state, "scheduled_at, ticks, outcome, reason")
    assert {outcome for _, _, outcome, _ in found} == {"MISSED"}
    assert len(found) == min(minutes, 101)
    reason = found[-1][3]
    assert [(at, ticks, text.removeprefix(reason)) for at, ticks, _, text in found[:1]] == [shared]
    assert {(ticks, text) for _, ticks, _, text in found[1:]} == {(1, reason)}


async def test_the_tick_right_after_those_that_it_stands_for_runs(tmp_path: Path, state: Path) -> None:
    item = "id: a, cron: '* * * * * *', catch_up: latest, misfire_grace_time: 0"
    await _after_a_break(tmp_path, state, item, 5.5)
    assert rows(state, "scheduled_at, outcome") == [
        ("00:00:01", "SKIPPED"),
        ("00:00:02", "SKIPPED"),
        ("00:00:03", "SKIPPED"),
        ("00:00:04", "SKIPPED"),
        ("00:00:05", "QUEUED"),
    ]


@pytest.mark.parametrize(("catch_up", "missed"), [("all", 3), ("latest", 1)])
async def test_what_is_made_up_for_waits_its_turn_where_other_ticks_are_skipped(
    tmp_path: Path, state: Path, catch_up: str, missed: int
) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        await one.scheduler.put(
            schedule(tmp_path, f"{EVERY_MINUTE}, catch_up: {catch_up}, misfire_grace_time: 0")
        )
        await one.tick(60)
        assert await one.begin("r1")
        await one.tick(200)  # three more ticks were due meanwhile, late ones
        assert rows(state, "outcome")[-missed:] == [("WAITING",)] * missed
        await one.tick(40)
        assert rows(state, "outcome")[-1] == ("SKIPPED",), "a tick in time is skipped as ever"
        for number in range(1, missed + 2):
            assert list(one.runs.submitted) == [f"r{number}"], "one after the other"
            if number > 1:
                assert await one.begin(f"r{number}")
            await one.end(f"r{number}")
            await one.scheduler.check()
        ended = [row[0] for row in rows(state, "outcome")]
        assert ended.count("SUCCESS") == missed + 1


async def test_a_clock_that_is_put_back_fires_no_tick_twice_and_the_item_continues(
    tmp_path: Path, state: Path
) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", max_instances: 100"))
        clock.jump(3600 * 24 * 365)
        await one.tick()
        fired = len(rows(state, "1"))
        clock.jump(-3600 * 24 * 365)
        one.events()
        await one.tick()
        await one.tick()
        assert "schedule_notice" in one.events()
        await one.tick(60)
        await one.tick(60)
        assert len(rows(state, "1")) == fired + 2
        assert len(set(rows(state, "item_id, scheduled_at || ''"))) == fired + 2


async def test_the_alarm_reads_the_wall_clock_again_and_again() -> None:
    clock = CountingClock()
    alarm = WallClockTimer(clock)
    rang = anyio.Event()

    async def wait() -> None:
        await alarm.wait(MIDNIGHT + timedelta(hours=1))
        rang.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await clock.sleeping(1)
        clock.jump(3600)  # the machine was suspended, or the clock put forward
        assert not rang.is_set()
        clock.advance(LOOK_SECONDS)
        with anyio.fail_after(20):
            await rang.wait()


async def test_an_alarm_that_is_moved_ends_its_wait() -> None:
    clock = CountingClock()
    alarm = WallClockTimer(clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alarm.wait, None)
        await clock.sleeping(1)
        alarm.move()
    alarm.move()
    await alarm.wait(None)  # one that was moved before does not wait at all


@pytest.mark.parametrize("table", ["firings", "schedule_items"])  # without the second, looking succeeds
async def test_a_database_that_fails_is_reported_once_and_tried_again(
    tmp_path: Path, state: Path, table: str
) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        scheduler: Scheduler = one.scheduler
        await scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await one.database.transact(lambda raw: raw.execute(f"ALTER TABLE {table} RENAME TO gone"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.run)
            for _ in range(70):
                await clock.sleeping(1)
                clock.advance(1)
                await anyio.sleep(0.002)
            assert one.events().count("schedule_notice") == 1
            await one.database.transact(lambda raw: raw.execute(f"ALTER TABLE gone RENAME TO {table}"))
            with anyio.fail_after(20):
                while not (one.runs.submitted and any(isinstance(e, ScheduleNotice) for e in one.reported)):
                    await clock.sleeping(1)
                    clock.advance(1)
                    await anyio.sleep(0.002)
            scheduler.stop()
        (notice,) = [one for one in one.reported if isinstance(one, ScheduleNotice)]
        assert (notice.message, notice.level) == ("the state database can be used again", "info")
        assert rows(state, "scheduled_at")[0] == ("00:01:00",)


async def test_the_end_of_a_run_that_cannot_be_stored_is_stored_later(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await one.tick(60)
        assert await one.begin("r1")
        one.events()
        await one.database.transact(lambda raw: raw.execute("ALTER TABLE firings RENAME TO gone"))
        await one.end("r1")
        assert one.events() == ["schedule_notice"]
        await one.database.transact(lambda raw: raw.execute("ALTER TABLE gone RENAME TO firings"))
        await one.scheduler.check()
        assert one.events() == ["firing_finished"]
        assert rows(state, "outcome") == [("SUCCESS",)]
