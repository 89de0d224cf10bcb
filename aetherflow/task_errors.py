"""A task group whose only error comes out as it is, not wrapped in an `ExceptionGroup`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc


@asynccontextmanager
async def one_error() -> AsyncIterator[anyio.abc.TaskGroup]:
    """Open a task group; if exactly one of its tasks, or the block, fails, raise that error itself.

    Raises:
        BaseExceptionGroup: several of them failed.
    """
    error: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        error = group.exceptions[0] if len(group.exceptions) == 1 else group
    if error is not None:  # outside of the handler: the group is no context of its own error
        raise error
