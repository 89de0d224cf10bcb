"""A block that works with something held for a time: renewed meanwhile, cancelled when it is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from aetherflow.clock import Clock
from aetherflow.errors import StateError
from aetherflow.plugin_errors import is_our_cancellation


@asynccontextmanager
async def renewing(
    clock: Clock,
    ttl_seconds: float,
    *,
    renew: Callable[[], Awaitable[bool]],
    give_back: Callable[[], Awaitable[bool]],
    lost: Callable[[], Exception],
) -> AsyncIterator[None]:
    """Renew what is held every third of its time while the block runs, and give it back at the end.

    Args:
        clock: what the waits go by.
        ttl_seconds: how long it is held without a renewal.
        renew: renews it; says whether it was still held.
        give_back: called shielded, however the block ends; says whether it was held to the end.
        lost: the error to raise if it was not.

    Raises:
        StateError: the database could not be used; the block was cancelled.
    """
    trouble: StateError | None = None
    failure: BaseException | None = None
    kept = False

    async def renew_until_lost(scope: anyio.CancelScope) -> None:
        nonlocal trouble
        try:
            await clock.sleep(ttl_seconds / 3)
            while await renew():
                await clock.sleep(ttl_seconds / 3)
        except StateError as error:
            trouble = error
        scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(renew_until_lost, scope)
                try:
                    yield
                except BaseException as error:  # raised again below, outside of the group
                    if is_our_cancellation(error):
                        raise
                    failure = error
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            kept = await give_back()
    if trouble is not None:
        raise trouble from failure
    if not kept:
        raise lost() from failure
    if failure is not None:
        raise failure
