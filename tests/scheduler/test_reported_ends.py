"""Which ends of runs the messages of items report: one for a broken night, by one of several servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aetherflow.scheduler.late_watch import AlertRun, LateWatch
from tests.scheduler.scheduler_parts import CountingClock, Server, schedule, server
from tests.store.clock_double import FakeClock

pytestmark = pytest.mark.asyncio

ENDED = "INSERT INTO run_state VALUES (?, 'f', 'f.yaml', 'SUCCESS', 1, '2026', '2026', '{}', '', '')"
HOURLY = "id: a, cron: '0 * * * *'"


def on(*occasions: str) -> str:
    """Return the keys of an item with one message about these."""
    return f"notify: [{{to: command, command: [page], on: [{', '.join(occasions)}]}}]"


class Nights:
    """A server whose item runs each hour."""

    def __init__(self, one: Server) -> None:
        self.server = one
        self.started: list[AlertRun] = []
        self.reported: list[object] = []
        self.watch = LateWatch(
            one.database,
            one.scheduler.schedules,
            one.scheduler.standby,
            one.clock,
            self.reported.append,
            self._start,
        )

    async def _start(self, run: AlertRun) -> None:
        self.started.append(run)

    async def run(self, outcome: str, *, begins: bool = True, reason: str = "job a failed") -> list[str]:
        """Let an hour pass and the run of its tick end so; return what messages are sent."""
        await self.server.tick(3600)
        run_id = list(self.server.runs.submitted)[-1]
        if begins:
            await self.server.begin(run_id)
        await self.server.end(run_id, outcome, reason if outcome == "FAILED" else "")
        return await self.look()

    async def look(self) -> list[str]:
        """Look once; return what messages are sent now."""
        self.started.clear()
        await self.watch.look()
        return [f"{one.alert}: {one.reason}" for one in self.started if one.on_late_run]


@asynccontextmanager
async def nights(
    path: Path, keys: str, name: str = "a", clock: FakeClock | None = None
) -> AsyncIterator[Nights]:
    async with server(path / "state.sqlite", name, clock or CountingClock(name)) as one:
        await one.scheduler.put(schedule(path, f"{HOURLY}, {keys}"))
        yield Nights(one)


async def test_a_broken_night_is_reported_once_and_its_end_once(tmp_path: Path) -> None:
    async with nights(tmp_path, on("failure", "recovery")) as one:
        assert await one.run("SUCCESS") == []
        assert await one.run("FAILED") == ["failure: its run failed: job a failed"]
        assert await one.run("FAILED") == []
        assert await one.run("FAILED") == []
        (back,) = await one.run("SUCCESS")
        assert back.startswith("recovery: its run succeeded, after a failure reported 20")
        assert await one.run("SUCCESS") == []
        assert await one.run("FAILED") == ["failure: its run failed: job a failed"]
        assert one.reported == [], "an end has an event of its own"


async def test_a_run_that_could_not_start_is_a_failure_and_not_late_as_well(tmp_path: Path) -> None:
    async with nights(tmp_path, on("failure")) as one:
        found = await one.run("FAILED", begins=False, reason="AF101: there is no such file")
        assert found == ["failure: its run could not start: AF101: there is no such file"]


async def test_without_recovery_each_new_failure_after_a_success_is_reported(tmp_path: Path) -> None:
    async with nights(tmp_path, on("failure")) as one:
        assert len(await one.run("FAILED")) == 1
        assert await one.run("FAILED") == []
        assert await one.run("SUCCESS") == []
        assert len(await one.run("FAILED")) == 1


async def test_who_is_not_on_for_failures_gets_recoveries_and_successes(tmp_path: Path) -> None:
    async with nights(tmp_path, on("recovery", "success")) as one:
        assert await one.run("SUCCESS") == ["success: its run succeeded"]
        assert await one.run("FAILED") == []
        assert await one.run("SUCCESS") == ["recovery: its run succeeded, the one before had failed"]


async def test_a_run_that_a_person_cancelled_is_not_reported(tmp_path: Path) -> None:
    async with nights(tmp_path, on("failure", "recovery", "success")) as one:
        assert await one.run("CANCELLED") == []


async def test_a_run_that_a_person_resumes_is_a_recovery(tmp_path: Path) -> None:
    async with nights(tmp_path, on("failure", "recovery")) as one:
        assert len(await one.run("FAILED")) == 1

        def resumed(raw: object) -> None:  # as the trigger of the end of the run does
            raw.execute("UPDATE firings SET outcome = 'SUCCESS', reason = ''")  # type: ignore[attr-defined]

        await one.server.database.transact(resumed)
        (back,) = await one.look()
        assert back.startswith("recovery: ")


async def test_after_something_late_the_first_success_is_a_recovery(tmp_path: Path) -> None:
    keys = f"deadline: {{start_within: 15m}}, {on('failure', 'recovery', 'late')}"
    async with nights(tmp_path, keys) as one:
        await one.server.tick(3600)
        one.server.clock.advance(1000)
        (late,) = await one.look()
        assert late.startswith("late_start: its run has not started")
        assert len(one.reported) == 1
        (run_id,) = one.server.runs.submitted
        await one.server.begin(run_id)
        await one.server.end(run_id, "SUCCESS")
        (back,) = await one.look()
        assert back.startswith("recovery: its run succeeded, after late_start, reported 20")


async def test_two_servers_report_a_failure_once(tmp_path: Path) -> None:
    clock = CountingClock("a")
    async with (
        nights(tmp_path, on("failure"), clock=clock) as one,
        nights(tmp_path, on("failure"), "b", clock) as two,
    ):
        found = await one.run("FAILED")
        assert [*found, *await two.look()] == ["failure: its run failed: job a failed"]


async def test_a_failure_whose_message_was_not_sent_is_reported_by_the_next_one(tmp_path: Path) -> None:
    async with nights(tmp_path, on("failure")) as one:
        assert len(await one.run("FAILED")) == 1
        (alert,) = one.started

        def not_sent(raw: object) -> None:
            raw.execute(  # type: ignore[attr-defined]
                ENDED,
                (alert.on_late_run,),
            )

        await one.server.database.transact(not_sent)
        assert len(await one.run("FAILED")) == 1
