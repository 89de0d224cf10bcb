"""Hold a lease while a block runs: renew it, cancel the block if it is lost, release it at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc

from aetherflow.clock import Clock
from aetherflow.errors import StateError
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.store.database import SHIELD_SECONDS
from aetherflow.task_errors import one_error


@asynccontextmanager
async def renewing(
    clock: Clock,
    ttl_seconds: float,
    *,
    renew: Callable[[], Awaitable[bool]],
    release: Callable[[], Awaitable[bool]],
    lost: Callable[[], Exception],
) -> AsyncIterator[None]:
    """Renew a lease every third of its time while the block runs, and release it at the end.

    Args:
        clock: measures the waits.
        ttl_seconds: how long the lease lasts without a renewal.
        renew: renews it; returns whether it was still held.
        release: releases it, called shielded however the block ends; returns whether it was still held.
        lost: makes the error to raise if it was not.

    Raises:
        StateError: the database cannot be used; the block was cancelled.
    """
    state_error: StateError | None = None
    failure: BaseException | None = None
    was_held = False

    async def renew_until_lost(
        scope: anyio.CancelScope, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        nonlocal state_error
        task_status.started()
        try:
            await clock.sleep(ttl_seconds / 3)
            while await renew():
                await clock.sleep(ttl_seconds / 3)
        except StateError as error:
            state_error = error
        scope.cancel()

    try:
        async with one_error() as tasks:
            with anyio.CancelScope() as scope:
                await tasks.start(renew_until_lost, scope)  # code of a step may cancel what has not begun
                yield
            tasks.cancel_scope.cancel()
    except BaseException as error:  # raised again below, unless the loss is what matters
        if is_our_cancellation(error):
            raise
        failure = error
    finally:
        with anyio.move_on_after(SHIELD_SECONDS, shield=True) as releasing:
            was_held = await release()
        if releasing.cancelled_caught:
            state_error = state_error or StateError(
                "a lease could not be released in time; it ends by itself"
            )
    if state_error is not None:
        raise state_error from failure
    if not was_held:
        raise lost() from failure
    if failure is not None:
        raise failure
