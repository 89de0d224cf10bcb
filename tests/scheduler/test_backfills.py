"""Backfills: what they run, in which order, beside ticks on time, and how they end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aetherflow.admin.queries import StateQueries
from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.schedule.item import Schedule
from aetherflow.scheduler.backfill_feed import OPEN_AT_MOST
from aetherflow.server.backfill_request import end_backfill
from aetherflow.server.in_force import AskedFile
from aetherflow.store.backfills import Backfill, backfills, insert_backfill, progress
from aetherflow.store.firings import NewFiring, close_firing, insert_firing
from aetherflow.store.pauses import Pause, end_pause, put_pause
from aetherflow.store.projection import timestamp
from aetherflow.store.served_files import ServedFile, record_served_file
from tests.scheduler.scheduler_parts import MIDNIGHT, CountingClock, Server, rows, schedule, server

DAY = timedelta(days=1)
pytestmark = pytest.mark.asyncio


def backfill(begin: int, end: int, which: Any = "all", parallel: int | None = None) -> Backfill:
    """Return a backfill of days before midnight."""
    first, last = (timestamp(MIDNIGHT - days * DAY) for days in (begin, end))
    asked = timestamp(MIDNIGHT)
    return Backfill("b1", "night", "a", first, last, first, which, parallel, begin - end, "{}", asked, "anna")


async def begin(one: Server, folder: Path, new: Backfill, keys: str = "") -> Schedule:
    """Serve a daily item, and request a backfill."""
    served = schedule(folder, f"id: a, cron: '0 4 * * *'{keys}")
    await one.scheduler.put(served)
    await one.database.transact(partial(insert_backfill, new=new))
    return served


async def work_off(one: Server) -> list[str]:
    """End every run that starts until none does; return the days in their order."""
    days = []
    await one.tick()
    while one.runs.submitted:
        for run_id, (_, firing, _) in list(one.runs.submitted.items()):
            days.append(firing.scheduled_at[:10])
            assert await one.begin(run_id)
            await one.end(run_id)
        await one.tick()
    return days


async def test_days_run_one_after_the_other_a_window_at_a_time(tmp_path: Path) -> None:
    async with server(tmp_path / "s.sqlite") as one:
        await begin(one, tmp_path, backfill(50, 0))
        await one.tick()
        assert len(one.runs.submitted) == 1
        assert len(rows(tmp_path / "s.sqlite")) == OPEN_AT_MOST
        days = await work_off(one)
        assert (len(days), days) == (50, sorted(set(days)))
        found = await one.database.read(partial(progress, one=backfill(50, 0)))
        assert (found.succeeded, found.failed, found.running, found.left) == (50, 0, 0, 0)


async def test_what_succeeded_is_not_repeated_and_what_failed_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    async with server(path) as one:
        await begin(one, tmp_path, backfill(4, 0))
        outcomes: Any = ["SUCCESS", "FAILED", "MISSED"]
        for days, outcome in zip((4, 3, 2), outcomes, strict=True):
            at = MIDNIGHT - days * DAY + timedelta(hours=4)
            run_id = None if outcome == "MISSED" else f"old{days}"
            new = NewFiring("night", "a", at, "tick", "QUEUED", run_id=run_id, server=one.name)
            stored = await one.database.transact(partial(insert_firing, new=new, now=MIDNIGHT))
            assert stored is not None
            await one.database.transact(
                partial(
                    close_firing,
                    firing_id=stored.firing_id,
                    server=one.name,
                    outcome=outcome,
                    reason="",
                    now=MIDNIGHT,
                )
            )
        worked = await work_off(one)
        assert worked == ["2025-12-29", "2025-12-30", "2025-12-31"]
        found = rows(path, "cause, outcome, run_id")
        assert found[:2] == [("tick", "SUCCESS", "old4"), ("backfill", "SUCCESS", "old3")]
        assert [cause for cause, _, _ in found[2:]] == ["backfill", "backfill"]


async def test_a_shared_row_is_split(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    async with server(path) as one:
        await begin(one, tmp_path, backfill(5, 0))
        last = MIDNIGHT - DAY + timedelta(hours=4)
        new = NewFiring("night", "a", last, "tick", "MISSED", reason="no server (9 ticks)", ticks=9)
        await one.database.transact(partial(insert_firing, new=new, now=MIDNIGHT))
        assert len(await work_off(one)) == 5
        found = rows(path, "substr(scheduled_at, 1, 10), outcome, ticks")
        assert found[0] == ("2025-12-26", "MISSED", 4)
        assert found[1:] == [(f"2025-12-{day}", "SUCCESS", 1) for day in range(27, 32)]


async def test_parallel_is_a_limit_of_its_own_and_ticks_on_time_are_not_held_up(tmp_path: Path) -> None:
    async with server(tmp_path / "s.sqlite") as one:
        await begin(one, tmp_path, backfill(10, 0, parallel=3))
        await one.tick()
        assert len(one.runs.submitted) == 3
        for run_id in list(one.runs.submitted):
            assert await one.begin(run_id)
        await one.tick(4 * 3600)
        on_time = [firing for _, firing, _ in one.runs.submitted.values() if firing.cause == "tick"]
        assert [firing.outcome for firing in on_time] == ["QUEUED"]


async def test_a_tick_on_time_goes_before_those_that_wait(tmp_path: Path) -> None:
    async with server(tmp_path / "s.sqlite") as one:
        await begin(one, tmp_path, backfill(10, 0), keys=", overlap: skip")
        await one.tick()
        (run_id,) = one.runs.submitted
        assert await one.begin(run_id)
        await one.tick(4 * 3600)
        await one.end(run_id)
        await one.tick()
        (following,) = (firing for _, firing, _ in one.runs.submitted.values())
        assert (following.cause, following.scheduled) == ("tick", MIDNIGHT + timedelta(hours=4))


async def test_cancel_ends_what_waits_and_what_runs(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    async with server(path) as one:
        await begin(one, tmp_path, backfill(50, 0))
        await one.tick()
        (run_id,) = one.runs.submitted
        assert await one.begin(run_id)
        now = datetime(2026, 1, 1, tzinfo=UTC)
        await one.database.transact(partial(end_backfill, name="b1", by="anna", now=now))
        await one.tick()
        assert one.runs.cancelled[0] == (run_id, "backfill b1 was cancelled by anna")
        await one.end(run_id, "CANCELLED", "cancelled")
        await one.tick(60)
        assert {outcome for (outcome,) in rows(path, "outcome")} == {"CANCELLED"}
        assert not one.runs.submitted


async def test_the_params_of_the_request_win(tmp_path: Path) -> None:
    async with server(tmp_path / "s.sqlite") as one:
        new = backfill(1, 0)
        await begin(
            one,
            tmp_path,
            Backfill(**{name: getattr(new, name) for name in new.__struct_fields__} | {"params": '{"n": 1}'}),
        )
        await one.tick()
        ((_, firing, _),) = one.runs.submitted.values()
        assert json.loads(firing.params) == {"n": 1}


async def test_a_pause_of_the_item_holds_its_backfills_also_those_with_a_limit_of_their_own(
    tmp_path: Path,
) -> None:
    for parallel in (None, 3):
        folder = tmp_path / str(parallel)
        folder.mkdir()
        async with server(folder / "s.sqlite") as one:
            await begin(one, folder, backfill(10, 0, parallel=parallel), keys=", catch_up: latest")
            await one.tick()
            (run_id, *_) = one.runs.submitted
            assert await one.begin(run_id)
            pause = Pause("night", "a", timestamp(one.clock.now()), None, "migration", "anna")
            await one.database.transact(partial(put_pause, pause=pause, now=one.clock.now()))
            for name in list(one.runs.submitted):
                await one.end(name)
            await one.tick(3600)
            assert not one.runs.submitted
            found = await one.database.read(partial(progress, one=backfill(10, 0)))
            assert found.reason == "paused by anna: migration"
            await one.database.transact(partial(end_pause, pause=pause, by="anna", now=one.clock.now()))
            assert len(await work_off(one)) == 10 - found.succeeded


async def test_a_backfill_of_an_item_that_was_removed_is_cancelled_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    async with server(path) as one:
        await begin(one, tmp_path, backfill(50, 0))
        await one.tick()
        (run_id,) = one.runs.submitted
        assert await one.begin(run_id)
        await one.scheduler.put(schedule(tmp_path, "id: b, cron: '0 4 * * *'"))
        one.events()
        await one.tick()
        await one.tick()
        (notice,) = (event for event in one.reported if isinstance(event, ScheduleNotice))
        assert notice.level == "warning"
        assert notice.message == (
            "backfill b1 is cancelled, as the item is no longer in the scheduler file: "
            "0 succeeded, 0 failed, 1 running, 49 left of 50"
        )
        await one.end(run_id)  # what runs continues
        (stored,) = await one.database.read(backfills)
        found = await one.database.read(partial(progress, one=stored))
        assert (found.state, found.succeeded, found.cancelled, found.left) == ("cancelled", 1, 19, 30)
        assert found.reason == "the item is no longer in the scheduler file"


async def test_a_server_whose_file_lacks_the_item_leaves_the_backfill_to_another(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    clock = CountingClock()
    async with server(path, "a", clock) as one, server(path, "b", clock) as other:
        await begin(one, tmp_path / "old", backfill(50, 0))
        await other.scheduler.put(schedule(tmp_path / "new", "id: b, cron: '0 4 * * *'"))
        for served in (one, other):
            record = partial(
                record_served_file, scheduler="night", served=ServedFile("s.yaml", b""), now=MIDNIGHT
            )
            await served.database.transact(partial(record, server=served.name))
        await other.tick()
        assert len(await work_off(one)) == 50
        await other.tick(3600)
        assert [event for event in other.reported if isinstance(event, ScheduleNotice)] == []


async def test_the_beginning_and_the_end_of_a_backfill_are_reported_once(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    clock = CountingClock()
    async with server(path, "a", clock) as one, server(path, "b", clock) as other:
        await begin(one, tmp_path, backfill(2, 0))
        await other.scheduler.put(schedule(tmp_path, "id: a, cron: '0 4 * * *'"))
        await work_off(one)
        for served in (one, other, one, other):
            await served.tick()
        notices = [event for event in one.reported + other.reported if isinstance(event, ScheduleNotice)]
        assert [notice.message for notice in notices] == [
            "backfill b1 of 2 ticks from 2025-12-30T00:00:00Z to 2026-01-01T00:00:00Z, by anna",
            "backfill b1 is over: 2 succeeded, 0 failed of 2",
        ]


async def test_the_ticks_of_a_window_run_but_nothing_starts_in_one(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    async with server(path) as one:
        await begin(one, tmp_path, backfill(3, 0), keys=", not_between: ['03:00-05:00']")
        await one.tick()
        (run_id,) = one.runs.submitted
        assert await one.begin(run_id)
        await one.tick(4 * 3600)
        await one.end(run_id)
        await one.tick()
        assert not one.runs.submitted
        found = await one.database.read(partial(progress, one=backfill(3, 0)))
        assert found.reason == "waits for the end of the window 03:00-05:00 (not_between)"
        one.clock.advance(3600)
        assert await work_off(one) == ["2025-12-30", "2025-12-31"]
        assert rows(path, "outcome") == [("SUCCESS",)] * 3 + [("SKIPPED",)]  # today's


async def test_a_backfill_of_old_ticks_does_not_make_the_item_known_earlier(tmp_path: Path) -> None:
    async with server(tmp_path / "s.sqlite") as one:
        file = await begin(one, tmp_path, backfill(3, 2))
        await work_off(one)
        asked = AskedFile(file.file, file)
        (found,) = await StateQueries(one.database, one.clock).explain_tick(asked, "a", "2025-12-31T04:00")
        assert found.answer == "not run: no server knew the item before 2026-01-01T00:00:00+00:00"


async def test_an_explanation_of_a_pause_is_on_the_clocks_of_the_item(tmp_path: Path) -> None:
    async with server(tmp_path / "s.sqlite") as one:
        file = schedule(tmp_path, "id: a, cron: '0 4 * * *', catch_up: latest, timezone: Asia/Tokyo")
        await one.scheduler.put(file)
        until = timestamp(MIDNIGHT + timedelta(days=2))
        held = Pause("night", "a", timestamp(MIDNIGHT), until, "moved", "anna@host")
        await one.database.transact(lambda raw: put_pause(raw, held, MIDNIGHT))
        one.clock.advance(86_400)
        asked = AskedFile(file.file, file)
        (found,) = await StateQueries(one.database, one.clock).explain_tick(asked, "a", "2026-01-02T04:00")
        assert found.answer == (
            "not decided: the item is paused by anna@host until 2026-01-03T09:00:00+09:00: moved"
        )
