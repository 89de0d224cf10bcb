"""Windows (`not_between`): nothing starts in one, each tick in one has a row, what waits starts after it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from aetherflow.cli.item_words import item_words
from aetherflow.events.schedule_events import FiringMissed
from aetherflow.observe.event_level import level_of
from aetherflow.observe.event_record import Recorder
from aetherflow.server.in_force import AskedFile
from aetherflow.server.scheduler_status import WindowStatus, status_of
from tests.scheduler.scheduler_parts import MIDNIGHT, CountingClock, rows, schedule, server
from tests.scheduler.test_boot_source import started
from tests.scheduler.test_pauses import pause

pytestmark = pytest.mark.asyncio

EVERY_MINUTE = "id: a, cron: '* * * * *', not_between: ['00:02-00:04']"
REASON = "in the window 00:02-00:04 (not_between)"


async def test_ticks_in_a_window_are_skipped_with_the_reason(tmp_path: Path) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", overlap: queue"))
        for _ in range(10):
            await one.tick(30)
        assert rows(path, "scheduled_at, outcome, reason")[:3] == [
            ("00:01:00", "QUEUED", ""),
            ("00:02:00", "SKIPPED", REASON),
            ("00:03:00", "SKIPPED", REASON),
        ]
        assert rows(path)[3][2] == "WAITING", "behind the first, which has not ended"


@pytest.mark.parametrize(("catch_up", "ran"), [("latest", ["00:04:00"]), ("all", ["00:02:00", "00:03:00"])])
async def test_an_item_that_catches_up_decides_when_the_window_is_over(
    tmp_path: Path, catch_up: str, ran: list[str]
) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, f"{EVERY_MINUTE}, catch_up: {catch_up}, misfire_grace_time: 10")
        await one.scheduler.put(file)
        one.clock.advance(100)
        await one.tick()
        await one.begin("r1")
        await one.end("r1")
        for _ in range(4):
            await one.tick(30)
        assert len(rows(path)) == 1
        (found,) = await one.database.read(
            lambda raw: status_of(raw, AskedFile(file.file, file), one.clock.now())
        )
        (item,) = found.items
        assert item.due_since is None
        assert item.window == WindowStatus("the window 00:02-00:04 (not_between)", "2026-01-01T00:04:00Z")
        await one.tick(30)  # notices the end
        await one.tick()
        assert [at for _, at, outcome in rows(path)[1:] if outcome in ("QUEUED", "WAITING")][:2] == ran


async def test_windows_that_leave_no_time_have_no_end(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, EVERY_MINUTE.replace("00:02-00:04", "00:00-24:00"))
        await one.scheduler.put(file)
        (found,) = await one.database.read(
            lambda raw: status_of(raw, AskedFile(file.file, file), one.clock.now())
        )
        (item,) = found.items
        assert item.window == WindowStatus("the window 00:00-24:00 (not_between)", None)
        words = "in the window 00:00-24:00 (not_between) at all times, since its windows leave none"
        assert item_words(item, one.clock.now())[-1] == words
        one.clock.advance(60)
        await one.tick()
        (found,) = await one.database.read(
            lambda raw: status_of(raw, AskedFile(file.file, file), one.clock.now())
        )
        assert item_words(found.items[0], one.clock.now())[:3] == [
            "last 2026-01-01T00:01:00+00:00 SKIPPED",
            "in the window 00:00-24:00 (not_between)",
            "never succeeded",
        ], "what did not start has no lag"


async def test_what_was_due_before_a_window_waits_for_its_end(tmp_path: Path) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE.replace("* * * * *", "1 * * * *")))
        one.clock.advance(130)  # no server was there at the tick
        await one.tick()
        await one.tick(60)
        waits = "waits for the end of the window 00:02-00:04 (not_between)"
        assert rows(path, "scheduled_at, outcome, reason") == [("00:01:00", "WAITING", waits)]
        await one.tick(60)
        assert rows(path) == [("a", "00:01:00", "QUEUED")]


async def test_an_item_that_follows_waits_for_the_end_of_its_window(tmp_path: Path) -> None:
    text = "id: a, cron: '0 23 * * *'\nid: b, after: [a], not_between: ['22:00-06:00']"
    async with server(path := tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(23 * 3600)
        await one.begin("r1")
        await one.end("r1")
        await one.tick(3600)  # the next day begins, with a tick of b that is not skipped
        await one.tick()
        (run_of_a,) = one.runs.submitted or [""]
        assert run_of_a == "", "b is new: it has no tick of the first day"
        await one.tick(23 * 3600)
        (run_of_a,) = one.runs.submitted
        await one.begin(run_of_a)
        await one.end(run_of_a)
        await one.tick(600)
        of_b = [row[1:] for row in rows(path, "item_id, outcome, reason") if row[0] == "b"]
        assert of_b == [("WAITING", "waits for the end of the window 22:00-06:00 (not_between)")]
        await one.tick(6 * 3600 + 50 * 60)
        assert next(iter(one.runs.submitted.values()))[0].id == "b"


async def test_after_long_downtime_ticks_in_windows_are_skipped_and_the_others_missed(tmp_path: Path) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        text = "id: a, cron: '*/10 * * * *', not_between: ['22:00-23:30', '22:30-02:00']"
        await one.scheduler.put(schedule(tmp_path, text))
        one.clock.advance(40 * 86_400 + 12 * 3600)
        await one.tick()
        await one.tick()
        found = rows(path, "substr(scheduled_at, 12, 5), outcome, ticks, reason")
        count = {
            what: sum(row[2] for row in found if row[1] == what) for what in ("SKIPPED", "MISSED", "QUEUED")
        }
        inside = 40 * 24 + 12  # four hours each night, and two of the first
        assert count == {"SKIPPED": inside - 1, "MISSED": 40 * 144 + 72 - inside, "QUEUED": 1}
        assert len(found) == 2 * 101 + 1
        for at, outcome, ticks, reason in found:
            is_inside = at >= "22:00" or at < "02:00"
            assert (outcome == "SKIPPED") == is_inside
            name = "22:00-23:30" if "22:00" <= at < "23:30" else "22:30-02:00"
            assert not is_inside or reason.startswith(f"in the window {name} (not_between)")
            assert ticks == 1 or f"({ticks} ticks from 2026-01-01T00:" in reason or "T02:" in reason


async def test_a_pause_and_a_window_and_two_servers(tmp_path: Path) -> None:
    clock = CountingClock()
    path = tmp_path / "state.sqlite"
    async with server(path, "a", clock) as one, server(path, "b", clock) as other:
        file = schedule(tmp_path, f"{EVERY_MINUTE}, overlap: queue")
        for each in (one, other):
            await each.scheduler.put(file)
        await one.tick(30)
        await pause(one, until=MIDNIGHT + timedelta(minutes=3))
        for _ in range(5):
            clock.advance(60)
            for each in (other, one):
                await each.tick()
        paused = "paused by anna@host until 2026-01-01T00:03:00Z: migration"
        assert [row[:3] for row in rows(path, "scheduled_at, outcome, reason")] == [
            ("00:01:00", "SKIPPED", paused),
            ("00:02:00", "SKIPPED", REASON),
            ("00:03:00", "SKIPPED", REASON),
            ("00:04:00", "QUEUED", ""),
            ("00:05:00", "WAITING", "run r1 of 2026-01-01T00:04:00Z has not ended (max_instances 1)"),
        ]


async def test_a_firing_by_hand_starts_in_a_window(tmp_path: Path) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, "id: a, cron: '0 0 1 1 *', not_between: ['00:00-24:00']")
        await one.scheduler.put(file)
        decider = one.scheduler.timetable._decider
        await one.database.transact(lambda raw: decider.fire(raw, file.items["a"]))
        assert [row[2] for row in rows(path)] == ["QUEUED"]


async def test_what_a_pause_or_a_window_skips_is_no_warning(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        text = "id: a, cron: '* * * * *', not_between: ['00:01-00:02', '00:05-00:12'], coalesce: false"
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(60)
        await pause(one, until=MIDNIGHT + timedelta(minutes=4))
        await one.tick(60)
        await one.tick(60)
        one.clock.advance(20 * 60)
        await one.tick()
        found = [event for event in one.reported if isinstance(event, FiringMissed)]
        assert [(one.ticks, one.reason, level_of(one)) for one in found] == [
            (1, "in the window 00:01-00:02 (not_between)", "info"),
            (1, "paused by anna@host until 2026-01-01T00:04:00Z: migration", "info"),
            (1, "paused by anna@host until 2026-01-01T00:04:00Z: migration", "info"),
            (7, "late by more than misfire_grace_time, 300 s", "warning"),
            (7, "in a window (not_between)", "info"),
        ]
        assert "is_planned" not in Recorder().record(found[3])
        assert Recorder().record(found[0])["is_planned"] is True


async def test_an_item_of_the_boot_waits_for_the_end_of_its_window(tmp_path: Path) -> None:
    async with server(path := tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, "id: a, cron: '@reboot', not_between: ['00:00-01:00']"))
        await started(one, "boot-1")
        waits = "waits for the end of the window 00:00-01:00 (not_between)"
        assert [row[1:] for row in rows(path, "item_id, outcome, reason")] == [("WAITING", waits)]
        await one.tick(3600)
        assert [row[2] for row in rows(path)] == ["QUEUED"]
