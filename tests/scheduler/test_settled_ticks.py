"""Ticks that have a row when they are due: those before them say what is true, and none is lost."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from aetherflow.store.firings import NewFiring, insert_firing
from tests.scheduler.scheduler_parts import MIDNIGHT, CountingClock, rows, schedule, server

pytestmark = pytest.mark.asyncio
EVERY_MINUTE = "id: a, cron: '* * * * *'"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


async def test_a_run_of_before_the_clock_was_put_back_stands_for_the_ticks_before_it(
    tmp_path: Path, state: Path
) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await one.tick(60)
        await one.begin("r1")
        await one.end("r1")
        clock.jump(-180)
        await one.tick()
        await one.tick(210)
        reason = "run r1 of 2026-01-01T00:01:00Z stands for it"
        assert rows(state, "scheduled_at, outcome, reason") == [
            ("23:59:00", "SKIPPED", reason),
            ("00:00:00", "SKIPPED", reason),
            ("00:01:00", "SUCCESS", ""),
        ]


async def test_a_tick_that_was_skipped_stands_for_no_other(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        new = NewFiring(
            "night", "a", MIDNIGHT + timedelta(minutes=3), "tick", "SKIPPED", reason="a run met it"
        )
        await one.database.transact(lambda raw: insert_firing(raw, new, clock.now()))
        await one.tick(210)
        assert rows(state, "scheduled_at, outcome, reason") == [
            ("00:01:00", "SKIPPED", "one run stands for all ticks that were due at once"),
            ("00:02:00", "QUEUED", ""),
            ("00:03:00", "SKIPPED", "a run met it"),
        ]


async def test_of_many_late_ticks_each_is_in_one_row(tmp_path: Path, state: Path) -> None:
    """More than a hundred share a row; those that a person fired have their own."""
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        for minute in (150, 191, 192, 250):
            at = MIDNIGHT + timedelta(minutes=minute)
            new = NewFiring("night", "a", at, "manual", "SUCCESS", run_id=f"m{minute}")
            await one.database.transact(partial(insert_firing, new=new, now=clock.now()))
        await one.tick(300 * 60)
        found = rows(state, "ticks, scheduled_at")
        assert sum(row[0] for row in found) == 300
        assert [row for row in found if row[0] > 1] == [(190, "03:13:00")], "193 without three of them"
