"""Unwrap the errors of task groups: raise a single one as it is, list the distinct ones of a group."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc

from aetherflow.plugin_errors import text_of


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


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield all errors in a nested group, however deep; an error that is not a group yields itself."""
    waiting = [error]
    while waiting:
        first = waiting.pop()
        if isinstance(first, BaseExceptionGroup):
            waiting.extend(reversed(first.exceptions))
        else:
            yield first


def distinct_errors(error: BaseException) -> list[BaseException]:
    """Return the errors in a group, in order; of several with the same type and text, the first."""
    found: dict[tuple[type[BaseException], str], BaseException] = {}
    for leaf in leaves(error):
        found.setdefault((type(leaf), text_of(leaf)), leaf)
    return list(found.values())
