"""The tasks that attempts run in: one after the other in the same, more only when none is free."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aetherflow.events import run_events as e
from aetherflow.execution.workers import Report, Workers
from aetherflow.sdk.context import StepContext
from tests.execution.live_run import flow, live


class Log:
    """Notes which work began in which task."""

    def __init__(self) -> None:
        self.tasks: dict[str, object] = {}

    async def work(self, name: str, report: Callable[[], None] = lambda: None) -> Report:
        """Note the task, yield once, and return the report."""
        self.tasks[name] = asyncio.current_task()
        await anyio.lowlevel.checkpoint()
        return report


@pytest.mark.asyncio
async def test_what_a_report_starts_runs_in_the_task_that_reported() -> None:
    log = Log()
    async with anyio.create_task_group() as tasks:
        workers = Workers(tasks)
        workers.start(
            partial(log.work, "a", lambda: workers.start(partial(log.work, "b", tasks.cancel_scope.cancel)))
        )
    assert log.tasks["a"] is log.tasks["b"]


@pytest.mark.asyncio
async def test_work_at_the_same_time_has_tasks_of_its_own_and_later_work_takes_the_free_ones() -> None:
    log = Log()
    async with anyio.create_task_group() as tasks:
        workers = Workers(tasks)
        for name in ("a", "b"):
            workers.start(partial(log.work, name))
        await anyio.wait_all_tasks_blocked()
        for name in ("c", "d", "e"):
            workers.start(partial(log.work, name))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert log.tasks["a"] is not log.tasks["b"]
    assert {log.tasks["c"], log.tasks["d"]} == {log.tasks["a"], log.tasks["b"]}
    assert len(set(log.tasks.values())) == 3


@pytest.mark.asyncio
async def test_a_cancelled_scope_of_one_work_does_not_reach_the_next() -> None:
    ended: list[str] = []

    async def cancelled() -> Report:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep_forever()
        return partial(ended.append, "cancelled")

    async def sound() -> Report:
        await anyio.lowlevel.checkpoint()
        return partial(ended.append, "sound")

    async with anyio.create_task_group() as tasks:
        workers = Workers(tasks)
        for work in (cancelled, sound, cancelled, sound):
            workers.start(work)
            await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert ended == ["cancelled", "sound", "cancelled", "sound"]


class Result:
    """What a report holds."""


@pytest.mark.asyncio
async def test_a_free_task_keeps_nothing_of_what_it_did() -> None:
    result = Result()
    watched = weakref.ref(result)

    def take(_result: Result) -> None:
        pass

    async def work(result: Result) -> Report:
        return partial(take, result)

    async with anyio.create_task_group() as tasks:
        workers = Workers(tasks)
        workers.start(partial(work, result))
        del result
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        kept = watched()
        tasks.cancel_scope.cancel()
    assert kept is None


@pytest.mark.asyncio
async def test_a_cancel_scope_that_a_step_left_open_fails_this_step_and_reaches_no_other(
    tmp_path: Path,
) -> None:
    left: list[anyio.CancelScope] = []

    async def leaves(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        left.append(anyio.CancelScope())
        left[-1].__enter__()
        left[-1].cancel()

    async def waits(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        await anyio.lowlevel.checkpoint()

    steps = "{id: a, type: leaves, continue_on_error: true}, {id: b, type: waits}"
    jobs = [f"{{id: j{number}, steps: [{steps}]}}" for number in range(8)]
    async with live(flow(*jobs), tmp_path, {"leaves": leaves, "waits": waits}, limit=2) as run:
        await run.run()
    assert run.state.phase == "SUCCESS"
    ends = [(event.step_id, event.status) for event in run.seen.of(e.StepFinished)]
    assert sorted(ends) == [("a", "FAILED")] * 8 + [("b", "SUCCESS")] * 8
