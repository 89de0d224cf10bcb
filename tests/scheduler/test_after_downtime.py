"""After downtime one event is for the ticks of an item that do not run; each tick keeps its row."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.events.schedule_events import FiringMissed
from tests.scheduler.scheduler_parts import rows, schedule, server

pytestmark = pytest.mark.asyncio
HOURS = 9
EVERY_TEN_MINUTES = "id: {}, cron: '*/10 * * * *'"


async def test_one_event_for_the_ticks_of_an_item_and_a_row_for_each(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    names = ["a", "b", "c"]
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, "\n".join(map(EVERY_TEN_MINUTES.format, names))))
        await one.tick(HOURS * 3600)
        missed = [event for event in one.reported if isinstance(event, FiringMissed)]
        assert [(event.item_id, event.ticks, event.runs) for event in missed] == [
            (name, HOURS * 6 - 1, 1) for name in names
        ]
        first, last = missed[0].first_at, missed[0].scheduled_at
        assert first is not None
        assert (last - first).total_seconds() == (HOURS * 6 - 2) * 600
        assert "misfire_grace_time" in missed[0].reason
        assert len(one.reported) == 2 * len(names)
        assert [row[0] for row in rows(state)].count("a") == HOURS * 6


async def test_the_one_tick_that_does_not_run_is_reported_as_itself(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        await one.scheduler.put(schedule(tmp_path, "id: a, cron: '0 * * * *'"))
        await one.tick(3600 + 600)
        (event,) = one.reported
        assert isinstance(event, FiringMissed)
        assert (event.ticks, event.first_at) == (1, None)
