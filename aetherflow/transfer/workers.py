"""Call a function for many items, several at once; a failure ends it, or the others are still tried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

from aetherflow.errors import StepError

T = TypeVar("T")

MOST_NAMES = 5
"""How many items an error names."""


async def each(
    function: Callable[[T], Awaitable[None]],
    items: Iterable[T],
    *,
    name: Callable[[T], str],
    workers: int,
    fail_fast: bool = True,
) -> None:
    """Call a function for each item, at most `workers` at once.

    Args:
        function: the function.
        items: the items in order.
        name: returns the name of an item for the error.
        workers: how many calls run at once.
        fail_fast: whether the first failure cancels the other calls.

    Raises:
        StepError: that of the item that failed, or AF320 for several.
    """
    waiting = iter(items)
    failed: dict[str, StepError] = {}

    async def work() -> None:
        for item in waiting:
            try:
                await function(item)
            except StepError as error:
                failed[name(item)] = error
                if fail_fast:
                    tasks.cancel_scope.cancel()
                    return

    async with anyio.create_task_group() as tasks:
        for _ in range(workers):
            tasks.start_soon(work)
    if failed:
        raise _error_of(failed)


def _error_of(failed: dict[str, StepError]) -> StepError:
    errors = list(failed.values())
    if len(errors) == 1:
        return errors[0]
    names = list(failed)[:MOST_NAMES]
    more = ", ..." if len(failed) > MOST_NAMES else ""
    return StepError(
        f"{len(failed)} files failed ({', '.join(names)}{more}); the first: {errors[0].message}",
        hint=errors[0].hint,
        kind="connection" if all(error.kind == "connection" for error in errors) else "other",
        code="AF320",
        detail={"failed": {one: failed[one].message for one in names}},
    )
