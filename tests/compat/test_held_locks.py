"""The locks of a sync step: taken and given back by calls, lost with the step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from aetherflow import LockNotAcquired, StepError
from aetherflow.compat.run_locks import HeldLocks


class Context:
    """Gives locks that a test can take away."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.lost = anyio.Event()

    @asynccontextmanager
    async def lock(self, key: str, *, ttl_seconds: float, wait_seconds: float = 0) -> AsyncIterator[None]:
        assert (ttl_seconds, wait_seconds) == (5.0, 0)
        if key == "taken":
            raise LockNotAcquired("held by another")
        if key == "broken":
            raise StepError("no database", code="AF601")
        self.held.append(key)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._lose, tasks.cancel_scope)
                yield
                tasks.cancel_scope.cancel()
        finally:
            self.held.remove(key)
        if self.lost.is_set():
            raise StepError("lost", code="AF621")

    async def _lose(self, scope: anyio.CancelScope) -> None:
        await self.lost.wait()
        scope.cancel()


@asynccontextmanager
async def locks() -> AsyncIterator[tuple[HeldLocks, Context, Any]]:
    context: Any = Context()
    async with anyio.create_task_group() as tasks:
        yield HeldLocks(context, tasks), context, tasks
        tasks.cancel_scope.cancel()


@pytest.mark.asyncio
async def test_a_lock_is_taken_once_and_given_back() -> None:
    async with locks() as (held, context, _):
        assert await held.acquire("k", 5.0)
        assert not await held.acquire("k", 5.0)
        assert context.held == ["k"]
        await held.release("k")
        assert context.held == []
        assert await held.acquire("k", 5.0)


@pytest.mark.asyncio
async def test_a_lock_of_another_is_not_taken_and_not_given_back() -> None:
    async with locks() as (held, context, _):
        assert not await held.acquire("taken", 5.0)
        await held.release("taken")
        assert context.held == []


@pytest.mark.asyncio
async def test_what_else_goes_wrong_is_raised_where_the_lock_was_wanted() -> None:
    async with locks() as (held, _, _tasks):
        with pytest.raises(StepError, match="no database"):
            await held.acquire("broken", 5.0)
        assert held.failure is None


@pytest.mark.asyncio
async def test_locks_end_with_the_step() -> None:
    async with locks() as (held, context, _):
        await held.acquire("one", 5.0)
        await held.acquire("two", 5.0)
    assert context.held == []
    assert held.failure is None


@pytest.mark.asyncio
async def test_a_lost_lock_cancels_the_step_and_says_why() -> None:
    async with locks() as (held, context, tasks):
        await held.acquire("k", 5.0)
        context.lost.set()
        with anyio.fail_after(20):
            await anyio.sleep_forever()
    assert tasks.cancel_scope.cancel_called
    assert held.failure is not None
    assert held.failure.code == "AF621"
