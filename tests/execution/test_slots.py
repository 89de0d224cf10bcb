"""Steps that need slots of a pool: they wait in turn, within the time of their job, and give them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.events.run_events import StepWaiting
from aetherflow.sdk.context import StepContext
from aetherflow.testing import MemoryPools
from tests.execution.live_run import flow, live
from tests.polling import eventually

pytestmark = pytest.mark.asyncio


def job(name: str, more: str = "") -> str:
    """Return a job of one step that needs the only slot of the pool."""
    return f"{{id: {name}, {more} steps: [{{id: s, type: t, pool: p}}]}}"


async def test_steps_take_turns_and_give_back_their_slots(tmp_path: Path) -> None:
    pools = MemoryPools({"p": 1})
    inside: list[list[tuple[str, int]]] = []

    async def look(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        inside.append(list(pools.holders["p"]))

    async with live(flow(job("a"), job("b")), tmp_path, {"t": look}, pools=pools) as run:
        assert (await run.run()).phase == "SUCCESS"
    assert sorted(inside) == [[("a.s", 1)], [("b.s", 1)]]
    assert pools.holders == {"p": []}


@pytest.mark.parametrize(("limit", "status"), [(60, "SUCCESS"), (0.2, "FAILED")])
async def test_the_time_of_a_job_counts_also_while_its_step_waits_for_slots(
    tmp_path: Path, limit: float, status: str
) -> None:
    pools = MemoryPools({"p": 1})
    is_free = anyio.Event()

    async def nothing(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs

    async def another_run(seconds: float) -> None:
        async with pools.hold("p", 1, job_id="x", step_id="y", on_wait=lambda _: None):
            with anyio.move_on_after(seconds):
                await is_free.wait()

    text = flow(job("a", f"timeout_seconds: {limit},"))
    async with live(text, tmp_path, {"t": nothing}, pools=pools) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(another_run, 0.1 if limit > 1 else 20)
        await anyio.wait_all_tasks_blocked()
        assert (await run.run()).phase == status
        is_free.set()
    if status == "FAILED":
        error = run.step("a.s").error
        assert "0.2 s" in error.message
        assert error.cause == "job_timeout"


async def test_a_step_that_is_cancelled_while_it_waits_leaves_the_queue(tmp_path: Path) -> None:
    """At once: the hooks of its run may take their time."""
    pools = MemoryPools({"p": 1})
    got: list[list[tuple[str, int]]] = []

    async def take(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        is_over.set()
        with anyio.fail_after(30):
            async with pools.hold("p", 1, job_id="x", step_id="z", on_wait=lambda _: None):
                got.append(list(pools.holders["p"]))

    is_over = anyio.Event()
    text = flow(job("a"), head="on_exit: [{id: h, type: take}]")
    async with (
        live(text, tmp_path, {"t": take, "take": take}, pools=pools) as run,
        anyio.create_task_group() as tasks,
        pools.hold("p", 1, job_id="x", step_id="y", on_wait=lambda _: None),
    ):
        tasks.start_soon(run.run)
        assert await eventually(lambda: any(isinstance(x, StepWaiting) for x in run.seen.events))
        run.executor.cancel("enough")
        with anyio.fail_after(30):
            await is_over.wait()
    assert got == [[("x.z", 1)]]
    assert run.state.phase == "CANCELLED"
