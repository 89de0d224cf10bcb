"""Jobs that start ahead of their turn: they wait for it, work in order, and end like any other job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.events import run_events as e
from aetherflow.execution.turns import PATIENCE_SECONDS
from aetherflow.sdk.context import StepContext
from tests.execution.live_run import LiveRun, flow, live, query, stored
from tests.polling import eventually
from tests.store.clock_double import FakeClock

QUICK, SLOW, TURNS, AHEAD = 12, 12, 2, 6


class Work:
    """The step types `quick`, which ends at once, and `slow`, which ends when it is let go."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.working: set[str] = set()
        self.most = 0
        self._ends = {f"s{number}": anyio.Event() for number in range(SLOW)}

    def end(self, *numbers: int) -> None:
        """Let slow jobs end."""
        for number in numbers:
            self._ends[f"s{number}"].set()

    @property
    def types(self) -> dict[str, Any]:
        """The step types by name."""

        async def quick(context: StepContext, inputs: dict[str, Any]) -> None:
            del context, inputs

        async def slow(context: StepContext, inputs: dict[str, Any]) -> None:
            del inputs
            self.began.append(context.job_id)
            self.working.add(context.job_id)
            self.most = max(self.most, len(self.working))
            try:
                await self._ends[context.job_id].wait()
            finally:
                self.working.discard(context.job_id)

        return {"quick": quick, "slow": slow}


def quick_then_slow(more: str = "", head: str = "") -> str:
    quick = [f"{{id: q{number}, steps: [{{id: s, type: quick}}]}}" for number in range(QUICK)]
    slow = [f"{{id: s{number}, steps: [{{id: s, type: slow{more}}}]}}" for number in range(SLOW)]
    return flow(*quick, *slow, head=head)


def slow_jobs_started(folder: Path) -> list[str]:
    return [line for line in stored(folder) if line.startswith("step_started s")]


def status_of(folder: Path, job_id: str) -> Any:
    return query(folder, "SELECT status FROM step_state WHERE job_id = ?", job_id)[0][0]


@asynccontextmanager
async def waiting(
    folder: Path, work: Work, clock: FakeClock, more: str = "", head: str = ""
) -> AsyncIterator[LiveRun]:
    """Execute the flow until two slow jobs work and six that have started wait for their turn."""
    text = quick_then_slow(more, head)
    async with (
        live(text, folder, work.types, clock=clock, limit=TURNS, most_ahead=AHEAD) as run,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(run.run)
        assert await eventually(lambda: len(slow_jobs_started(folder)) == TURNS + AHEAD)
        assert await eventually(lambda: work.began == ["s0", "s1"])
        yield run


@pytest.mark.asyncio
async def test_more_jobs_start_than_work_and_those_that_wait_work_in_the_order_of_the_file(
    tmp_path: Path,
) -> None:
    work = Work()
    async with waiting(tmp_path, work, FakeClock()) as run:
        work.end(1)
        assert await eventually(lambda: work.began == ["s0", "s1", "s2"])
        work.end(*range(SLOW))
        await run.ended.wait()
    assert run.state.phase == "SUCCESS"
    assert work.began == [f"s{number}" for number in range(SLOW)]
    assert work.most == TURNS


@pytest.mark.asyncio
async def test_a_job_gives_its_turn_to_the_next_while_its_end_waits_for_the_disk(tmp_path: Path) -> None:
    work = Work()
    async with waiting(tmp_path, work, FakeClock()) as run:
        held, go = anyio.Event(), anyio.Event()
        publish = run.bus.publish

        async def slowly(events: Any) -> None:
            if any(isinstance(event, e.StepFinished) and event.job_id == "s0" for event in events):
                held.set()
                await go.wait()
            await publish(events)

        run.bus.publish = slowly  # type: ignore[method-assign]
        work.end(0)
        await held.wait()
        assert await eventually(lambda: work.began == ["s0", "s1", "s2"])
        assert status_of(tmp_path, "s0") == "RUNNING"
        go.set()
        work.end(*range(SLOW))
    assert run.state.phase == "SUCCESS"


@pytest.mark.asyncio
async def test_the_time_limit_of_a_step_begins_with_its_work(tmp_path: Path) -> None:
    work, clock = Work(), FakeClock()
    async with waiting(tmp_path, work, clock, ", timeout_seconds: 10") as run:
        clock.advance(9)
        work.end(0, 1)
        assert await eventually(lambda: {"s2", "s3"} <= set(work.began))
        clock.advance(9)
        work.end(*range(SLOW))
        await run.ended.wait()
    assert run.state.phase == "SUCCESS"
    durations = {event.job_id: event.duration_seconds for event in run.seen.of(e.StepFinished)}
    assert (durations["s0"], durations["s2"], durations["s11"]) == (9, 9, 0)


@pytest.mark.asyncio
async def test_jobs_that_wait_for_their_turn_are_cancelled_without_having_worked(tmp_path: Path) -> None:
    work = Work()
    async with waiting(tmp_path, work, FakeClock(), head="locks: {scope: job}") as run:
        run.executor.cancel("enough")
    assert run.state.phase == "CANCELLED"
    assert work.began == ["s0", "s1"]
    lines = stored(tmp_path)
    ended = [f"step_finished s{number}.s CANCELLED" for number in range(TURNS + AHEAD)]
    assert sorted(line for line in lines if line.startswith("step_finished s")) == ended
    assert lines.count("job_finished s9 CANCELLED") == 1


@pytest.mark.asyncio
async def test_a_run_that_is_left_while_jobs_wait_is_resumed_and_each_of_them_works_once(
    tmp_path: Path,
) -> None:
    work = Work()
    async with waiting(tmp_path, work, FakeClock()) as run:
        run.executor.leave("the server stops")
    assert run.state.phase == "RUNNING"
    assert work.began == ["s0", "s1"]
    assert status_of(tmp_path, "s7") == "RUNNING"
    again = Work()
    again.end(*range(SLOW))
    async with live(quick_then_slow(), tmp_path, again.types, limit=TURNS, most_ahead=AHEAD) as run:
        await run.run()
    assert run.state.phase == "SUCCESS"
    assert sorted(again.began) == sorted(f"s{number}" for number in range(SLOW))


@pytest.mark.asyncio
async def test_jobs_that_wait_for_long_are_reported_once(tmp_path: Path) -> None:
    work, clock = Work(), FakeClock()
    async with waiting(tmp_path, work, clock) as run:
        await anyio.wait_all_tasks_blocked()  # all six wait now, and are known to
        for _ in range(3):
            clock.advance(PATIENCE_SECONDS)
            await anyio.wait_all_tasks_blocked()
        work.end(*range(SLOW))
    notices = [event.message for event in run.seen.of(e.Notice)]
    assert notices == ["6 jobs that have started wait for a turn: at most 2 work at the same time"]


@pytest.mark.asyncio
async def test_a_step_that_may_not_run_again_never_starts_ahead(tmp_path: Path) -> None:
    work, text = Work(), quick_then_slow(", on_interrupt: fail")
    async with (
        live(text, tmp_path, work.types, clock=FakeClock(), limit=TURNS, most_ahead=AHEAD) as run,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(run.run)
        for number in range(SLOW - 1):
            assert await eventually(lambda: len(work.working) == TURNS)
            assert slow_jobs_started(tmp_path)[number + TURNS :] == []
            work.end(number)
            assert await eventually(lambda: len(work.began) > min(number + TURNS, SLOW - 1))  # noqa: B023 - used here
        work.end(SLOW - 1)
    assert run.state.phase == "SUCCESS"
