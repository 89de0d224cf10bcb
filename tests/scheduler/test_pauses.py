"""Pauses: no tick of a paused item runs, on no server, and each is reported once."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from aetherflow.cli.item_words import item_words
from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.scheduler.pause_watch import check_pauses
from aetherflow.scheduler.server_clocks import StandsBy
from aetherflow.server.in_force import AskedFile
from aetherflow.server.scheduler_status import status_of
from aetherflow.store.pauses import EVERY_ITEM, Pause, end_pause, put_pause, read_pauses
from aetherflow.store.projection import timestamp
from tests.scheduler.scheduler_parts import MIDNIGHT, CountingClock, Server, rows, schedule, server

pytestmark = pytest.mark.asyncio

EVERY_MINUTE = "id: a, cron: '* * * * *'"


async def pause(one: Server, item: str = "a", until: datetime | None = None) -> None:
    now = one.clock.now()
    row = Pause("night", item, timestamp(now), timestamp(until) if until else None, "migration", "anna@host")
    await one.database.transact(lambda raw: put_pause(raw, row, now))


async def resume(one: Server) -> None:
    now = one.clock.now()

    def end(raw: object) -> None:
        for row in read_pauses(raw, "night"):  # type: ignore[arg-type]  # a connection
            end_pause(raw, row, "bob@host", now)  # type: ignore[arg-type]  # as above

    await one.database.transact(end)


def notices(one: Server) -> list[str]:
    found = [event.message for event in one.reported if isinstance(event, ScheduleNotice)]
    one.reported.clear()
    return found


async def test_ticks_of_before_a_pause_that_no_run_stands_for_are_paused_too(tmp_path: Path) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        one.clock.advance(150)
        await pause(one)
        await one.tick(60)
        reason = "paused by anna@host: migration"
        assert rows(path, "outcome, reason") == [("SKIPPED", reason)] * 3


async def test_ticks_inside_a_pause_are_skipped_and_those_after_it_run(tmp_path: Path) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await one.tick(30)
        await pause(one, until=MIDNIGHT + timedelta(minutes=3))
        await one.tick()
        began = (
            "paused by anna@host until 2026-01-01T00:03:00Z: migration; "
            "what runs, is queued or waits continues, but backfills wait"
        )
        assert notices(one) == [began]
        for _ in range(5):
            await one.tick(30)
        over = "the pause is over (paused by anna@host until 2026-01-01T00:03:00Z: migration)"
        assert notices(one) == [over]
        await one.tick(3 * 86_400)
        assert await one.database.read(lambda raw: read_pauses(raw, "night")) == [], "deleted after a day"
        assert rows(path)[:3] == [
            ("a", "00:01:00", "SKIPPED"),
            ("a", "00:02:00", "SKIPPED"),
            ("a", "00:03:00", "QUEUED"),
        ]
        reason = "paused by anna@host until 2026-01-01T00:03:00Z: migration"
        assert rows(path, "reason")[:2] == [(reason,), (reason,)]


@pytest.mark.parametrize("with_server", [True, False])
async def test_a_tick_of_the_last_minutes_of_a_pause_does_not_fire_at_the_resume(
    tmp_path: Path, *, with_server: bool
) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await pause(one)
        if with_server:
            await one.tick(61)
            await one.tick(88)
        else:
            one.clock.advance(149)  # no server decides about anything
        await resume(one)
        one.clock.advance(10)
        await one.scheduler.check()
        await one.tick()
        await one.tick(60)
        assert [row[1:] for row in rows(path)] == [
            ("00:01:00", "SKIPPED"),
            ("00:02:00", "SKIPPED"),
            ("00:03:00", "QUEUED"),
        ]


@pytest.mark.parametrize(("catch_up", "ran"), [("latest", ["00:05:00"]), ("all", ["00:01:00", "00:02:00"])])
async def test_an_item_that_catches_up_decides_at_the_resume(
    tmp_path: Path, catch_up: str, ran: list[str]
) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, f"{EVERY_MINUTE}, catch_up: {catch_up}")
        await one.scheduler.put(file)
        await pause(one, EVERY_ITEM)
        for _ in range(11):
            await one.tick(30)
        assert rows(path) == []
        (found,) = await one.database.read(
            lambda raw: status_of(raw, AskedFile(file.file, file), one.clock.now())
        )
        (item,) = found.items
        assert item.due_since is None
        assert item.paused is not None
        assert item.paused.whole_file
        await resume(one)
        await one.tick()  # notices it
        await one.tick()
        assert [at for _, at, outcome in rows(path) if outcome in ("QUEUED", "WAITING")][: len(ran)] == ran


async def test_a_pause_holds_for_all_servers_and_is_reported_by_one(tmp_path: Path) -> None:
    clock = CountingClock()
    path = tmp_path / "state.sqlite"
    async with server(path, "a", clock) as one, server(path, "b", clock) as other:
        file = schedule(tmp_path, f"{EVERY_MINUTE}, catch_up: all")
        for each in (one, other):
            await each.scheduler.put(file)
        await pause(one)
        clock.advance(60)
        for each in (one, other):
            await each.tick()
        await resume(other)
        for _ in range(2):
            for each in (other, one):
                await each.tick()
        said = sorted(notices(one) + notices(other))
        assert [text.partition(" by ")[0] for text in said] == ["paused", "resumed"]
        assert rows(path) == [("a", "00:01:00", "QUEUED")]


async def test_what_waits_when_a_pause_begins_still_starts(tmp_path: Path) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, f"{EVERY_MINUTE}, overlap: queue"))
        await one.tick(60)
        await one.tick(60)
        await pause(one)
        await one.begin("r1")
        await one.end("r1")
        await one.tick(60)
        assert [row[2] for row in rows(path)] == ["SUCCESS", "QUEUED", "SKIPPED"]


async def test_what_was_due_before_a_pause_does_not_start_in_it(tmp_path: Path) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        one.clock.advance(90)  # no server was there
        await pause(one)
        await one.tick(60)
        assert [row[1:] for row in rows(path)] == [("00:01:00", "SKIPPED"), ("00:02:00", "SKIPPED")]


async def test_only_the_ticks_of_a_pause_that_is_over_are_skipped_for_it(tmp_path: Path) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, f"{EVERY_MINUTE}, coalesce: false"))
        one.clock.advance(90)
        await pause(one, until=MIDNIGHT + timedelta(minutes=3))
        one.clock.advance(120)
        await one.tick()
        found = rows(path, "scheduled_at, outcome, reason")
        assert [(at, outcome == "SKIPPED" and "paused" in why) for at, outcome, why in found] == [
            ("00:01:00", False),
            ("00:02:00", True),
            ("00:03:00", False),
        ]


async def test_a_pause_that_somebody_ended_has_no_end_of_its_own(tmp_path: Path) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await pause(one, until=MIDNIGHT + timedelta(days=1))
        await one.scheduler.check()
        one.clock.advance(90)
        notices(one)
        await resume(one)
        await one.scheduler.check()
        assert notices(one) == ["resumed by bob@host (paused by anna@host: migration)"]
        await one.tick(30)
        assert rows(path, "reason")[0] == ("paused by anna@host: migration",)


async def test_a_server_whose_clock_is_off_reports_no_pause_and_ends_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await pause(one)
        parts = one.scheduler
        check = partial(
            check_pauses,
            one.database,
            parts.standby,
            parts.schedules,
            parts.timetable,
            one.clock,
            one.reported.append,
        )
        notices(one)
        with monkeypatch.context() as patch:
            patch.setattr(one.clocks, "standby", lambda: "its clock is 3600 s ahead")
            with pytest.raises(StandsBy):
                await check()
        assert notices(one) == []
        await check()
        assert len(notices(one)) == 1


@pytest.mark.parametrize(
    ("catch_up", "days", "words"),
    [
        ("none", 1, "next 2026-01-02T04:00:00+00:00 (in 1 d 4 h)"),
        ("none", None, "no next firing before it is resumed"),
        ("latest", 1, "next 2026-01-01T04:00:00+00:00 (in 4 h), decided after the pause"),
        ("latest", None, "next 2026-01-01T04:00:00+00:00 (in 4 h), decided after the pause"),
    ],
)
async def test_the_status_names_the_next_tick_that_the_pause_leaves(
    tmp_path: Path, catch_up: str, days: int | None, words: str
) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, f"id: a, cron: '0 4 * * *', catch_up: {catch_up}")
        await one.scheduler.put(file)
        await pause(one, until=MIDNIGHT + timedelta(days=days) if days else None)
        (found,) = await one.database.read(lambda raw: status_of(raw, AskedFile(file.file, file), MIDNIGHT))
        assert item_words(found.items[0], MIDNIGHT)[1] == words
