"""Late ticks over generated histories: what is reported is what the rows say in the end, each once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from aetherflow.events.schedule_events import FiringLate, ScheduleEvent
from aetherflow.scheduler.late_watch import AlertRun, LateWatch
from tests.scheduler.scheduler_parts import CountingClock, Server, schedule, server
from tests.store.real_parts import query

pytestmark = pytest.mark.asyncio

DEADLINE = "deadline: {start_within: 15m, longer_than: 40m, end_by: '06:00'}"
ITEM = f"id: a, cron: '0 * * * *', overlap: queue, {DEADLINE}"
START, LONG, SIX = 900, 2400, 6


def expected(path: Path) -> set[tuple[str, str]]:
    """Say again, from the rows alone, which ticks were late."""
    found = set()
    for tick, due, started, finished in query(
        path, "SELECT scheduled_at, due_at, started_at, finished_at FROM firings"
    ):
        at, due_at, begin, end = (datetime.fromisoformat(text) for text in (tick, due, started, finished))
        six = at.replace(hour=SIX, minute=0, second=0)
        six += timedelta(days=at >= six)
        found |= {(tick, "late_start")} if (begin - due_at).total_seconds() > START else set()
        found |= {(tick, "long")} if (end - begin).total_seconds() > LONG else set()
        found |= {(tick, "late_end")} if end > six else set()
    return found


class Life:
    """One server after another on a database, with a watch; the runs take as long as chance says."""

    def __init__(self, one: Server, random: Random) -> None:
        self.server, self.random = one, random
        self.reported: list[FiringLate] = []
        self.left: dict[str, float] = {}
        self.watch = self.born()

    def born(self) -> LateWatch:
        """Let a server begin that knows nothing."""
        one = self.server

        async def start(_: AlertRun) -> None:
            raise AssertionError("there are no steps")

        def report(event: ScheduleEvent) -> None:
            assert isinstance(event, FiringLate)
            self.reported.append(event)

        return LateWatch(
            one.database, one.scheduler.schedules, one.scheduler.standby, one.clock, report, start
        )

    async def pass_time(self, seconds: float, *, fires: bool = True) -> None:
        """Let time pass; begin what may begin, end what has taken its time, and look now and then."""
        one = self.server
        one.clock.advance(seconds)
        if fires:
            await one.fire_due()
        await one.scheduler.check()
        for run_id in list(one.runs.submitted):
            if run_id in self.left:
                self.left[run_id] -= seconds
                if self.left[run_id] <= 0:
                    del self.left[run_id]
                    await one.end(run_id, self.random.choice(["SUCCESS", "FAILED"]))
            elif self.random.random() < 0.5:
                await one.begin(run_id)
                self.left[run_id] = self.random.choice([60, 900, 2300, 2500, 9000, 9000])
        dies = self.random.random() < 0.05
        if dies:
            self.watch = self.born()
        if dies or self.random.random() < 0.8:
            await self.watch.look()


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_reported_is_what_the_rows_say(tmp_path: Path, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - repeatable on purpose
    path = tmp_path / "state.sqlite"
    async with server(path, "a", CountingClock()) as one:
        await one.scheduler.put(schedule(tmp_path, ITEM))
        life = Life(one, random)
        while one.clock.now() < datetime(2026, 1, 1, 20, 30, tzinfo=UTC):
            await life.pass_time(random.choice([30, 120, 300]))
        while query(path, "SELECT 1 FROM firings WHERE finished_at IS NULL"):
            await life.pass_time(60, fires=False)
        await life.watch.look()
    reported = [(f"{late.scheduled_at:%Y-%m-%dT%H:%M:%S.%fZ}", late.alert) for late in life.reported]
    stored = query(path, "SELECT scheduled_at, kind FROM schedule_alerts")
    assert set(reported) <= set(stored)
    assert len(reported) == len(set(reported)), "nothing is reported twice"
    assert set(stored) == expected(path)
    assert {"late_start", "long"} <= {kind for _, kind in stored}, "the history has something to report"
