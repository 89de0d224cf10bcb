"""A run that its executor leaves: attempts end in order, what succeeded is stored, the rest is cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.sdk.context import StepContext
from tests.execution.live_run import flow, live, query, stored
from tests.execution.test_executor_stopping import TWO_JOBS, Hang, hanging


@pytest.mark.asyncio
async def test_a_run_that_is_left_has_its_running_step_cut_off_and_is_resumed(tmp_path: Path) -> None:
    hang = Hang()
    async with live(TWO_JOBS, tmp_path, hanging(hang)) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await hang.began.wait()
        run.executor.leave("the server stops")
        run.executor.leave("the server stops")
    assert hang.stopped
    assert (run.state.phase, run.state.cancelling) == ("RUNNING", "stop")
    assert stored(tmp_path)[-2:] == ["step_started a.s", "cancel_requested"]
    assert query(tmp_path, "SELECT status FROM step_state") == [("RUNNING",)]
    assert query(tmp_path, "SELECT status, reason FROM run_state") == [("RUNNING", "the server stops")]

    async def nothing(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs

    async with live(TWO_JOBS, tmp_path, {"hang": nothing, "t": nothing}) as run:
        await run.run()
    assert run.state.phase == "SUCCESS"


@pytest.mark.asyncio
async def test_what_ends_well_while_a_run_is_left_is_stored_and_nothing_follows(tmp_path: Path) -> None:
    began: list[str] = []
    both, go = anyio.Event(), anyio.Event()

    async def shielded(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        began.append(f"{context.job_id}.{context.step_id}")
        if len(began) == 2:
            both.set()
        with anyio.CancelScope(shield=True):
            await go.wait()

    text = flow(
        "{id: a, steps: [{id: s, type: t}, {id: next, type: t}]}",
        "{id: b, steps: [{id: s, type: t}]}",
        "{id: c, depends_on: [b], steps: [{id: s, type: t}]}",
    )
    async with live(text, tmp_path, {"t": shielded}) as run:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.run)
            await both.wait()
            run.executor.leave("the server stops")
            await anyio.wait_all_tasks_blocked()
            go.set()
        assert sorted(began) == ["a.s", "b.s"]
        assert run.state.phase == "RUNNING"
        assert (run.step("a.s").status, run.step("b.s").status) == ("SUCCESS", "SUCCESS")

    async with live(text, tmp_path, {"t": shielded}) as run:
        await run.run()
    assert sorted(began) == ["a.next", "a.s", "b.s", "c.s"]
    assert run.state.phase == "SUCCESS"


@pytest.mark.asyncio
async def test_an_effect_that_is_intended_while_a_run_is_left_is_stored(tmp_path: Path) -> None:
    began = anyio.Event()

    async def sends(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        try:
            began.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                async with context.effect("mail"):
                    pass

    async with live(flow("{id: a, steps: [{id: s, type: t}]}"), tmp_path, {"t": sends}) as run:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.run)
            await began.wait()
            run.executor.leave("the server stops")
        assert [*run.step("a.s").effects] == ["mail"]
        assert run.step("a.s").status == "RUNNING"


@pytest.mark.asyncio
async def test_a_run_that_is_left_before_it_begins_runs_nothing(tmp_path: Path) -> None:
    hang = Hang()
    async with live(TWO_JOBS, tmp_path, hanging(hang)) as run:
        run.executor.leave("the server stops")
        await run.run()
    assert not hang.began.is_set()
    assert stored(tmp_path)[-1] == "cancel_requested"
    assert run.state.phase == "RUNNING"


@pytest.mark.asyncio
async def test_a_wait_for_the_next_attempt_is_left(tmp_path: Path) -> None:
    failed = anyio.Event()

    async def fails(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        failed.set()
        raise ConnectionError("no")

    retry = "retry: {max_attempts: 2, backoff_seconds: 600}"
    text = flow(f"{{id: a, steps: [{{id: s, type: t, {retry}}}]}}")
    async with live(text, tmp_path, {"t": fails}) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await failed.wait()
        await anyio.wait_all_tasks_blocked()
        run.executor.leave("the server stops")
    assert any(name.startswith("step_retrying") for name in stored(tmp_path))
    assert run.state.phase == "RUNNING"
    assert run.step("a.s").status == "PENDING"


@pytest.mark.asyncio
@pytest.mark.parametrize("at_once", [False, True])
async def test_hooks_end_before_a_run_is_left_unless_it_is_left_at_once(
    tmp_path: Path, *, at_once: bool
) -> None:
    began, go = anyio.Event(), anyio.Event()

    async def hook(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        began.set()
        await go.wait()

    async def nothing(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs

    text = flow("{id: a, steps: [{id: s, type: t}]}", head="on_exit: [{id: h, type: hook}]")
    steps = {"hook": hook, "t": nothing}
    async with live(text, tmp_path, steps) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await began.wait()
        (run.executor.leave_at_once if at_once else run.executor.leave)("the server stops")
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert run.state.phase == ("RUNNING" if at_once else "SUCCESS")
    if at_once:
        async with live(text, tmp_path, steps) as run:
            assert (await run.run()).phase == "SUCCESS"


@pytest.mark.asyncio
async def test_a_run_that_is_being_cancelled_is_not_left(tmp_path: Path) -> None:
    began, go = anyio.Event(), anyio.Event()

    async def slow(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        began.set()
        with anyio.CancelScope(shield=True):
            await go.wait()

    text = flow("{id: a, steps: [{id: s, type: t}, {id: next, type: t}]}")
    async with live(text, tmp_path, {"t": slow}) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await began.wait()
        run.executor.cancel("a person")
        await anyio.wait_all_tasks_blocked()
        run.executor.leave("the server stops")
        go.set()
    assert (run.state.phase, run.state.cancel_reason) == ("CANCELLED", "a person")
