"""An old step that loses its lock to somebody else is ended, with the reason."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow import StepContext
from aetherflow.compat.old_steps import _run
from aetherflow.core.api import Step
from aetherflow.store.named_locks import release_lock
from tests.execution.live_run import live, one_step


@pytest.mark.asyncio
async def test_an_old_step_whose_lock_is_taken_away_fails_with_the_reason(tmp_path: Path) -> None:
    taken = anyio.Event()
    ended = threading.Event()

    class Works(Step):
        def run(self) -> None:
            assert self.ctx.acquire_lock("k", ttl_seconds=1)
            self.ctx._context.run_async(tell)
            while not self.ctx._context.stopping:
                ended.wait(0.01)

    async def tell() -> None:
        taken.set()

    async def step(context: StepContext, inputs: dict[str, Any]) -> Any:
        return await _run(Works, context, inputs)

    async with live(one_step("kind"), tmp_path, {"kind": step}) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        with anyio.fail_after(30):
            await taken.wait()
        now = datetime.now(UTC)
        await run.database.transact(lambda raw: release_lock(raw, "k", now, force=True))

    error = run.step("a.s").error
    assert run.step("a.s").status == "FAILED"
    assert error.code == "AF621"
    assert "the lock 'k' was lost" in error.message
