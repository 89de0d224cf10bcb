"""What a sync step does with its context: it calls coroutine functions, and stops while one waits."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from tests.execution.live_run import LiveRun, live, one_step
from tests.store.clock_double import FakeClock


async def run_of(folder: Path, step: Any, *, more: str = "") -> LiveRun:
    """Run a flow of one step."""
    async with live(one_step("kind", more=more), folder, {"kind": step}) as run:
        await run.run()
    return run


@pytest.mark.asyncio
async def test_a_sync_step_calls_coroutine_functions_also_from_its_own_threads(tmp_path: Path) -> None:
    loop_thread = threading.get_ident()

    async def where(extra: int) -> tuple[int, int]:
        await anyio.lowlevel.checkpoint()
        return threading.get_ident(), extra

    def step(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        del inputs
        found = [context.run_async(where, 1)]
        thread = threading.Thread(target=lambda: found.append(context.run_async(where, 2)))
        thread.start()
        thread.join()
        return {"found": found, "here": threading.get_ident()}

    outputs = (await run_of(tmp_path, step)).step("a.s").outputs

    assert outputs["found"] == [[loop_thread, 1], [loop_thread, 2]]
    assert outputs["here"] != loop_thread


@pytest.mark.asyncio
async def test_what_the_coroutine_raises_is_raised_in_the_step(tmp_path: Path) -> None:
    async def fails() -> None:
        raise StepError("no entry", code="AF799")

    def step(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        del inputs
        with pytest.raises(StepError, match="no entry"):
            context.run_async(fails)
        return {"went": "on"}

    assert (await run_of(tmp_path, step)).step("a.s").outputs == {"went": "on"}


@pytest.mark.asyncio
async def test_a_sync_step_that_waits_is_ended_at_once_when_its_time_is_over(tmp_path: Path) -> None:
    ended: list[str] = []
    waits, clock = anyio.Event(), FakeClock()

    async def wait() -> None:
        waits.set()
        await anyio.sleep_forever()

    def step(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        try:
            context.run_async(wait)
        except StepError as error:
            ended.append(error.kind)
            ended.append(context.run_async(afterwards))
            raise

    async def afterwards() -> str:
        return "may still clean up"

    text = one_step("kind", more="timeout_seconds: 0.6")
    async with live(text, tmp_path, {"kind": step}, clock=clock) as run:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.run)
                await waits.wait()
                await clock.sleeping(1)
                clock.advance(0.6)

    assert run.step("a.s").status == "FAILED"
    assert ended == ["cancelled", "may still clean up"]
    assert run.seen.logged == []


@pytest.mark.asyncio
async def test_on_the_event_loop_it_is_refused(tmp_path: Path) -> None:
    async def step(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        del inputs
        reported: list[str] = []
        for call in (lambda: None, lambda: context.run_async(anyio.lowlevel.checkpoint)):
            await context.run_sync(call) if not reported else None
            with pytest.raises(StepError) as raised:
                context.run_async(anyio.lowlevel.checkpoint)
            reported.append(raised.value.code)
        return {"reported": reported}

    assert (await run_of(tmp_path, step)).step("a.s").outputs == {"reported": ["AF549", "AF549"]}


@pytest.mark.asyncio
async def test_folders_of_the_layout_are_made_on_first_use(tmp_path: Path) -> None:
    base = tmp_path / "work/demo/a/run-1"

    def step(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        assert not base.exists()
        assert context.directory("artifacts") == context.artifacts == base / "artifacts"
        assert context.directory("") == base
        assert context.directory("reports", "other") == tmp_path / "work/demo/other/run-1/reports"
        assert context.directory("reports", "other").is_dir()

    assert (await run_of(tmp_path, step)).step("a.s").status == "SUCCESS"
