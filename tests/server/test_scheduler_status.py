"""How a scheduler stands, by a clock that the test moves: what is late is never hidden."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from aetherflow.schedule.item import Schedule
from aetherflow.server.in_force import AskedFile
from aetherflow.server.scheduler_status import USUAL_SECONDS, ItemStatus, status_of
from tests.scheduler.scheduler_parts import MIDNIGHT, Server, schedule, server

pytestmark = pytest.mark.asyncio


async def item_of(one: Server, file: Schedule) -> ItemStatus:
    found = await one.database.read(lambda raw: status_of(raw, AskedFile(file.file, file), one.clock.now()))
    (item,) = found[0].items
    return item


async def test_ticks_that_no_server_decides_about_are_reported(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, "id: a, cron: '* * * * *'")
        assert (await item_of(one, file)).due_since is None, "no server has ever known the item"
        await one.scheduler.put(file)
        await one.tick(60)
        one.clock.advance(60 + USUAL_SECONDS)  # the server is dead, paused, or cannot write
        assert (await item_of(one, file)).due_since is None
        one.clock.advance(1)
        assert (await item_of(one, file)).due_since == f"{MIDNIGHT + timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}"
        await one.tick()
        assert (await item_of(one, file)).due_since is None


@pytest.mark.parametrize("items", ["id: a, cron: '* * * * *', enabled: false", "id: a, cron: '*/2 * * * *'"])
async def test_an_item_that_is_off_or_begins_again_is_not_late(tmp_path: Path, items: str) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, "id: a, cron: '* * * * *'"))
        one.clock.advance(600)
        assert (await item_of(one, schedule(tmp_path, items))).due_since is None


async def test_what_a_window_skips_is_no_problem_of_the_item(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, "id: a, cron: '0 * * * *', not_between: ['02:00-05:00']")
        await one.scheduler.put(file)
        await one.tick(3600)
        (run,) = one.runs.submitted
        await one.begin(run)
        await one.end(run, "FAILED", "step load.copy failed")
        await one.tick(3600)
        await one.tick(3600)
        found = await item_of(one, file)
        assert (found.last, found.outcome) == ("2026-01-01T03:00:00.000000Z", "SKIPPED")
        assert (found.last_problem, found.problem_reason) == (
            "2026-01-01T01:00:00.000000Z",
            "step load.copy failed",
        )
