"""Generated lives with windows and pauses: each tick has a row with a true reason; none starts in one."""

from __future__ import annotations

import random
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import ticks
from aetherflow.schedule.zone import seconds
from aetherflow.store.database import Database
from tests.schedule.seeds import drawn_seed
from tests.schedule.test_windows import TEXTS, is_inside
from tests.scheduler.clock_lives import _DirectDatabase as DirectDatabase
from tests.scheduler.clock_lives import database_in_memory
from tests.scheduler.scheduler_parts import MIDNIGHT, CountingClock, Server, schedule
from tests.scheduler.test_pauses import pause, resume
from tests.sizes import LARGE

pytestmark = pytest.mark.asyncio

LIVES = 100 if LARGE else 5
ZONE = "Europe/Berlin"
CRONS = ("*/20 * * * *", "0 22,2 * * *", "30 * * * *", "59 21 * * *")


async def end_all(one: Server) -> None:
    """End what runs, and what runs then."""
    while one.runs.submitted:
        for run_id in [*one.runs.submitted]:
            assert await one.begin(run_id)
            await one.end(run_id)
        await one.scheduler.check()


async def live(one: Server, rng: random.Random, item: Item, texts: tuple[str, ...]) -> None:
    """Let time pass, with a pause now and then; look at each start."""
    known: set[str] = set()
    for _ in range(rng.randint(10, 40)):
        await one.tick(rng.choice((30, 600, 1800, 3600, 6 * 3600, 40 * 3600)))
        for run_id in one.runs.submitted.keys() - known:
            known.add(run_id)
            assert not is_inside(texts, ZONE, seconds(one.clock.now())), (item.spec, one.clock.now())
        if rng.random() < 0.7:
            await end_all(one)
        if rng.random() < 0.1:
            long = rng.choice((None, 1, 5))
            await pause(one, until=one.clock.now() + timedelta(hours=long) if long else None)
        elif rng.random() < 0.1:
            await resume(one)
    await resume(one)
    hours = 60
    while hours > 0 or is_inside(texts, ZONE, seconds(one.clock.now())):  # until its windows are over
        await one.tick(3600)
        await end_all(one)
        hours -= 1


def check_rows(raw: sqlite3.Connection, item: Item, texts: tuple[str, ...]) -> None:
    """Look whether each tick has a row, or shares one, with a reason that is true."""
    (decided,) = raw.execute("SELECT decided_to FROM schedule_items").fetchone()
    end = datetime.fromisoformat(decided).replace(microsecond=0)
    found = raw.execute(
        "SELECT substr(scheduled_at, 1, 19), outcome, reason, ticks, run_id FROM firings"
    ).fetchall()
    counted = {True: 0, False: 0}
    for at, outcome, reason, number, run_id in found:
        tick = datetime.fromisoformat(at + "+00:00")
        inside = is_inside(texts, ZONE, seconds(tick))
        in_window = reason.startswith("in the window")
        if item.skips_in_windows:
            assert in_window == (inside and "paused" not in reason), (at, outcome, reason)
            assert not inside or (outcome, run_id) == ("SKIPPED", None)
        else:
            assert not in_window
        assert number == 1 or "ticks from" in reason
        counted[inside and item.skips_in_windows] += number
        assert outcome not in ("WAITING", "QUEUED", "RUNNING"), (at, reason)
    every = [seconds(tick) for tick in ticks(item.table, MIDNIGHT, end)]
    in_windows = sum(is_inside(texts, ZONE, tick) for tick in every) if item.skips_in_windows else 0
    assert counted == {True: in_windows, False: len(every) - in_windows}


async def test_lives_with_windows_and_pauses(tmp_path: Path) -> None:
    rng = random.Random(drawn_seed())  # noqa: S311 - a test draws cases
    drawn = []
    for number in range(LIVES):
        texts = tuple(rng.sample([text for text in TEXTS if text != "00:00-24:00"], rng.randint(1, 2)))
        keys = f"jitter_seconds: {rng.choice((0, 0, 300))}, overlap: {rng.choice(('skip', 'queue'))}"
        keys += f", coalesce: {rng.choice(('true', 'false'))}"
        keys += f", catch_up: {rng.choice(('none', 'none', 'latest', 'all'))}"
        drawn.append((texts, f"id: i{number}, cron: '{rng.choice(CRONS)}', {keys}, not_between: {[*texts]}"))
    file = schedule(tmp_path, "\n".join(line for _, line in drawn), f"timezone: {ZONE}")
    empty = await database_in_memory(tmp_path)
    for (texts, _), item in zip(drawn, file.items.values(), strict=True):
        raw = sqlite3.connect(":memory:", isolation_level=None)
        empty.backup(raw)
        one = Server(cast("Database", DirectDatabase(raw)), "a", CountingClock())
        await one.live()
        await one.scheduler.put(replace(file, items={item.id: item}))
        await live(one, rng, item, texts)
        check_rows(raw, item, texts)
        raw.close()
    empty.close()
